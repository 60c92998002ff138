/* The masks themselves: one layer of bytes for each painting, and one for strength; strokes, and undo and redo of them. */

const KEPT = 40; // strokes that can be undone

export function makeLayers(width, height, styles, known) {
  const count = width * height;
  const full = (value) => new Uint8ClampedArray(count).fill(value);
  const regions = known?.regions.map((layer) => layer.slice()) ?? Array.from({ length: styles > 1 ? styles : 0 }, (_, i) => full(i === 0 ? 255 : 0));
  const strength = known?.strength.slice() ?? full(255);
  const past = [], future = [];
  let stroke = null, before = null, box = null, whole = true;

  const all = () => [...regions, strength];

  function begin() {
    stroke = new Uint8Array(count);
    before = all().map((layer) => layer.slice());
    box = { left: width, top: height, right: 0, bottom: 0 };
  }

  function widen(left, top, right, bottom) {
    box = { left: Math.min(box.left, left), top: Math.min(box.top, top), right: Math.max(box.right, right), bottom: Math.max(box.bottom, bottom) };
  }

  /** A round dab of the brush; soft in [0, 1]. Answers the rectangle that may have changed. */
  function dab(target, x, y, radius, soft) {
    const left = Math.max(0, Math.floor(x - radius)), right = Math.min(width, Math.ceil(x + radius) + 1);
    const top = Math.max(0, Math.floor(y - radius)), bottom = Math.min(height, Math.ceil(y + radius) + 1);
    if (left >= right || top >= bottom) return null;
    const inner = radius * (1 - soft), fade = Math.max(0.75, radius - inner);
    for (let row = top; row < bottom; row += 1) {
      for (let column = left; column < right; column += 1) {
        const far = Math.hypot(column - x, row - y);
        if (far > radius + 0.5) continue;
        const t = Math.min(1, Math.max(0, (radius - far) / fade)), i = row * width + column;
        const much = 255 * t * t * (3 - 2 * t);
        if (much > stroke[i]) { stroke[i] = much; mix(target, i); }
      }
    }
    widen(left, top, right, bottom);
    return { left, top, right, bottom };
  }

  /** A whole stroke at once (a filled region, inverting, clearing). */
  function pour(target, much) {
    stroke.set(much);
    for (let i = 0; i < count; i += 1) if (stroke[i]) mix(target, i);
    widen(0, 0, width, height);
  }

  /* target: {layer: index, or -1 for strength; erase; amount in [0, 255], of strength} */
  function mix({ layer, erase, amount }, i) {
    const a = stroke[i] / 255;
    if (layer < 0) {
      strength[i] = before.at(-1)[i] * (1 - a) + (erase ? 255 : amount) * a;
      return;
    }
    const was = before[layer][i], now = erase ? was * (1 - a) : was + (255 - was) * a;
    regions[layer][i] = now;
    if (whole) share(layer, i, was, now);
  }

  /* What this layer gains the others lose, in proportion; what it loses they gain. */
  function share(layer, i, was, now) {
    const others = regions.length - 1;
    const rest = 255 - was, left = 255 - now;
    for (let k = 0; k < regions.length; k += 1) if (k !== layer) regions[k][i] = rest > 0.5 ? Math.min(255, before[k][i] * left / rest) : left / others;
  }

  function end() {
    if (box.right > box.left) {
      past.push({ box, before: cut(before), after: cut(all()) });
      if (past.length > KEPT) past.shift();
      future.length = 0;
    }
    stroke = before = null;
  }

  const cut = (layers) => layers.map((layer) => {
    const wide = box.right - box.left, part = new Uint8ClampedArray(wide * (box.bottom - box.top));
    for (let y = box.top; y < box.bottom; y += 1) part.set(layer.subarray(y * width + box.left, y * width + box.right), (y - box.top) * wide);
    return part;
  });

  function paste(parts, { left, top, right, bottom }) {
    all().forEach((layer, k) => { for (let y = top; y < bottom; y += 1) layer.set(parts[k].subarray((y - top) * (right - left), (y - top + 1) * (right - left)), y * width + left); });
  }

  function step(from, to, which) {
    const change = from.pop();
    if (!change) return false;
    paste(change[which], change.box);
    to.push(change);
    return true;
  }

  function replace(layer, make) {
    begin();
    const target = layer < 0 ? strength : regions[layer];
    for (let i = 0; i < count; i += 1) {
      const was = target[i], now = make(i);
      target[i] = now;
      if (layer >= 0 && whole) share(layer, i, was, now);
    }
    widen(0, 0, width, height);
    end();
  }

  return {
    width, height, regions, strength, begin, dab, pour, end,
    undo: () => step(past, future, "before"), redo: () => step(future, past, "after"),
    canUndo: () => past.length > 0, canRedo: () => future.length > 0,
    setWhole(on) { whole = on; },
    invert: (layer) => replace(layer, (i) => 255 - (layer < 0 ? strength : regions[layer])[i]),
    /** As it was at the beginning: strength everywhere; the first painting everywhere, others nowhere. */
    clear(layer) { replace(layer, () => layer === 0 || layer < 0 ? 255 : 0); },
    usedRegions: () => regions.length > 1 && (regions[0].some((value) => value < 255) || regions.slice(1).some((layer) => layer.some((value) => value > 0))),
    usedStrength: () => strength.some((value) => value < 255),
    keep: () => ({ regions: regions.map((layer) => layer.slice()), strength: strength.slice(), width, height }),
  };
}
