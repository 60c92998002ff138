/* Strokes of the masks' editor by mouse, pen, finger and keys. */

import { $ } from "./dom.js";

/** strokes: {size(), tool(), extent(), begin(), dab(x, y), end(), fill(x, y)}, in pixels of the mask. */
export function listenForStrokes(strokes, { tool, act }) {
  const canvas = $("#mask-canvas"), cursor = $("#mask-cursor"), dialog = $("#masks");
  let last = null, at = null, pressed = false;

  const scale = () => canvas.clientWidth / strokes.extent().width;

  function point(event) {
    const { left, top } = canvas.getBoundingClientRect();
    return { x: (event.clientX - left) / scale(), y: (event.clientY - top) / scale() };
  }

  /* Dabs along the way, close enough that they look like one stroke. */
  function along(to) {
    const from = last ?? to, far = Math.hypot(to.x - from.x, to.y - from.y), gap = Math.max(1, strokes.size() / 8), count = Math.ceil(far / gap);
    for (let i = 1; i <= count; i += 1) strokes.dab(from.x + (to.x - from.x) * i / count, from.y + (to.y - from.y) * i / count);
    if (!count) strokes.dab(to.x, to.y);
    last = to;
  }

  function showCursor(place) {
    const brush = strokes.tool() !== "fill", edge = brush ? strokes.size() * scale() : 14;
    cursor.hidden = false;
    cursor.style.width = cursor.style.height = `${edge}px`;
    cursor.style.transform = `translate(${place.x * scale() - edge / 2}px, ${place.y * scale() - edge / 2}px)`;
  }

  function inside({ x, y }) {
    const { width, height } = strokes.extent();
    return { x: Math.round(Math.min(width - 1, Math.max(0, x))), y: Math.round(Math.min(height - 1, Math.max(0, y))) };
  }

  function fill(place) {
    const { x, y } = inside(place);
    strokes.fill(x, y);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0 || last || !event.isPrimary) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    at = point(event);
    showCursor(at);
    if (strokes.tool() === "fill") { fill(at); return; }
    strokes.begin();
    along(at);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!event.isPrimary) return;
    at = point(event);
    showCursor(at);
    if (last) for (const part of event.getCoalescedEvents?.() ?? [event]) along(point(part));
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { if (last) { last = null; strokes.end(); } });
  canvas.addEventListener("pointerleave", () => { if (!last) cursor.hidden = true; });
  canvas.addEventListener("blur", release);

  function release() {
    if (pressed) { pressed = false; last = null; strokes.end(); }
  }

  function move(event) {
    const by = event.shiftKey ? 40 : 8, [dx, dy] = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] }[event.key];
    const { width, height } = strokes.extent(), from = at ?? { x: width / 2, y: height / 2 };
    at = inside({ x: from.x + dx, y: from.y + dy });
    showCursor(at);
    if (pressed) along(at);
  }

  canvas.addEventListener("keydown", (event) => {
    if (event.key.startsWith("Arrow")) { event.preventDefault(); move(event); }
    if (event.key !== " ") return;
    event.preventDefault();
    if (event.repeat) return;
    at ??= inside({ x: strokes.extent().width / 2, y: strokes.extent().height / 2 });
    showCursor(at);
    if (strokes.tool() === "fill") { fill(at); return; }
    pressed = true;
    strokes.begin();
    along(at);
  });
  canvas.addEventListener("keyup", (event) => { if (event.key === " ") release(); });

  dialog.addEventListener("keydown", (event) => {
    const command = event.ctrlKey || event.metaKey, key = event.key.toLowerCase();
    if (last || pressed) return;
    if (command && (key === "z" || key === "y")) { event.preventDefault(); act(key === "y" || event.shiftKey ? "redo" : "undo"); return; }
    if (command || event.altKey) return;
    const size = $("#mask-size");
    if (key === "[" || key === "]") {
      size.value = Math.round(Number(size.value) * (key === "]" ? 1.2 : 1 / 1.2)) + (key === "]" ? 1 : 0);
      if (at) showCursor(at);
    } else if (key === "x") tool(strokes.tool() === "erase" ? "brush" : "erase");
    else if (key === "b") tool("brush");
    else if (key === "f") tool("fill");
    else if (key === "i") act("invert");
    else return;
    event.preventDefault();
  });
}
