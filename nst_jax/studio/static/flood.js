/* Which pixels are like the one that was pressed, and reachable from it through others like it. */

/** rgba: bytes of a picture; tolerance in [0, 1]. Answers 255 where it is alike, else 0, a little softened at the edge. */
export function flood(rgba, width, height, x, y, tolerance) {
  const found = new Uint8Array(width * height), start = y * width + x;
  const [r, g, b] = rgba.subarray(4 * start, 4 * start + 3);
  const most = (tolerance * 255) ** 2 * 3 * 0.36;
  const alike = (i) => (rgba[4 * i] - r) ** 2 + (rgba[4 * i + 1] - g) ** 2 + (rgba[4 * i + 2] - b) ** 2 <= most;
  const stack = [start];
  while (stack.length) {
    let i = stack.pop();
    const row = i - i % width;
    while (i > row && !found[i - 1] && alike(i - 1)) i -= 1;
    let above = false, below = false;
    for (; i < row + width && !found[i] && alike(i); i += 1) {
      found[i] = 255;
      const up = i >= width && !found[i - width] && alike(i - width), down = i + width < found.length && !found[i + width] && alike(i + width);
      if (up && !above) stack.push(i - width);
      if (down && !below) stack.push(i + width);
      above = up;
      below = down;
    }
  }
  return soften(found, width, height);
}

/* Closes single holes and softens the edge: the mean of 3 × 3, one direction after the other. */
function soften(mask, width, height) {
  const once = (from, step, first, last) => {
    const to = new Uint8Array(from.length);
    for (let i = 0; i < from.length; i += 1) to[i] = (from[first(i) ? i : i - step] + from[i] + from[last(i) ? i : i + step]) / 3;
    return to;
  };
  const across = once(mask, 1, (i) => i % width === 0, (i) => i % width === width - 1);
  return once(across, width, (i) => i < width, (i) => i >= mask.length - width);
}
