/* Where we look and how near: one view for all panes (so that they move together), moved by wheel, drag, pinch and keys. */

/** view: k times as large as fitting, around the point (x, y) of the picture, each in [0, 1]. */
export function makeZoom(root, { size, panes, onChange }) {
  let view = { k: 1, x: 0.5, y: 0.5 };

  const fit = (pane, { width, height }) => {
    const margin = pane.clientWidth > 500 ? 24 : 0;
    return Math.max(1e-3, Math.min((pane.clientWidth - 2 * margin) / width, (pane.clientHeight - 2 * margin) / height));
  };

  /** Scale and corner of a picture of this size in a pane. */
  function box(pane, picture) {
    const scale = fit(pane, picture) * view.k;
    const at = (length, whole, c) => length <= whole ? (whole - length) / 2 : Math.min(0, Math.max(whole - length, whole / 2 - c * length));
    const width = picture.width * scale, height = picture.height * scale;
    return { scale, width, height, near: view.k > 1.001, left: at(width, pane.clientWidth, view.x), top: at(height, pane.clientHeight, view.y) };
  }

  const main = () => panes().at(-1);
  const full = () => 1 / fit(main(), size());
  const limits = () => [Math.min(1, full()), Math.max(8, 16 * full())];

  function set(next) {
    const [least, most] = limits();
    const k = Math.min(most, Math.max(least, next.k));
    const clamp = (c, length, whole) => length * k <= whole ? 0.5 : Math.min(1 - whole / length / k / 2, Math.max(whole / length / k / 2, c));
    const pane = main(), picture = size(), scale = fit(pane, picture);
    view = { k, x: clamp(next.x, picture.width * scale, pane.clientWidth), y: clamp(next.y, picture.height * scale, pane.clientHeight) };
    onChange();
  }

  /** Zooms while the point of the picture under (px, py) of a pane stays there. */
  function zoomAt(factor, pane = main(), px = pane.clientWidth / 2, py = pane.clientHeight / 2) {
    const [least, most] = limits();
    const k = Math.min(most, Math.max(least, view.k * factor));
    const now = box(pane, size());
    const u = (px - now.left) / now.width, v = (py - now.top) / now.height, grown = k / view.k;
    set({ k, x: u + (pane.clientWidth / 2 - px) / (now.width * grown), y: v + (pane.clientHeight / 2 - py) / (now.height * grown) });
  }

  function pan(dx, dy) {
    const now = box(main(), size());
    set({ k: view.k, x: view.x - dx / now.width, y: view.y - dy / now.height });
  }

  listen(root, { panes, zoomAt, pan, toggle: (pane, x, y) => (Math.abs(view.k - 1) > 0.01 ? set({ k: 1, x: 0.5, y: 0.5 }) : zoomAt(full() > 1.2 ? full() : 2.5, pane, x, y)) });
  return { box, pan, zoomIn: () => zoomAt(1.4), zoomOut: () => zoomAt(1 / 1.4), fit: () => set({ k: 1, x: 0.5, y: 0.5 }), full: () => zoomAt(full() / view.k),
    again: () => set(view), percent: () => Math.round(100 * fit(main(), size()) * view.k), zoomed: () => view.k > 1.001 };
}

function listen(root, { panes, zoomAt, pan, toggle }) {
  const pointers = new Map();
  const paneOf = (event) => panes().find((pane) => pane.contains(event.target));
  const place = (event, pane) => { const { left, top } = pane.getBoundingClientRect(); return [event.clientX - left, event.clientY - top]; };

  root.addEventListener("wheel", (event) => {
    const pane = paneOf(event);
    if (!pane) return;
    event.preventDefault();
    zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : event.ctrlKey ? 0.01 : 0.002)), pane, ...place(event, pane));
  }, { passive: false });

  root.addEventListener("dblclick", (event) => { const pane = paneOf(event); if (pane && !event.target.closest("button")) toggle(pane, ...place(event, pane)); });

  root.addEventListener("pointerdown", (event) => {
    const pane = paneOf(event);
    if (!pane || event.target.closest("button") || event.button > 0) return;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, pane });
    root.setPointerCapture(event.pointerId);
  });

  root.addEventListener("pointermove", (event) => {
    const known = pointers.get(event.pointerId);
    if (!known) return;
    const next = { ...known, x: event.clientX, y: event.clientY };
    if (pointers.size === 2) pinch(known, next, [...pointers].find(([id]) => id !== event.pointerId)[1]);
    else pan(next.x - known.x, next.y - known.y);
    pointers.set(event.pointerId, next);
  });

  /* One finger stays (other), one has moved: the distance says how much, the middle says where. */
  function pinch(before, after, other) {
    const far = (p) => Math.max(1, Math.hypot(p.x - other.x, p.y - other.y));
    const { left, top } = before.pane.getBoundingClientRect();
    pan((after.x - before.x) / 2, (after.y - before.y) / 2);
    zoomAt(far(after) / far(before), before.pane, (after.x + other.x) / 2 - left, (after.y + other.y) / 2 - top);
  }

  for (const end of ["pointerup", "pointercancel"]) root.addEventListener(end, (event) => pointers.delete(event.pointerId));
}
