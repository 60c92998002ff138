/* The easel: the canvas on which frames are drawn, at one displayed size whatever the frames' size; and how it is looked at. */

import { $, say } from "./dom.js";
import { makeZoom } from "./zoom.js";
import { makeCompare } from "./compare.js";

const MOST = 24e6; // pixels that the canvas holds; larger pictures are shown smaller

export function makeEasel() {
  const canvas = $("#canvas"), root = $("#panes"), context = canvas.getContext("2d", { alpha: false });
  let size = { width: 3, height: 2 }, drawn = false, photograph = null;

  const panes = () => [$("#pane-beside"), $("#pane-main")].filter((pane) => !pane.hidden);
  const zoom = makeZoom(root, { size: () => size, panes, onChange: () => place() });
  const compare = makeCompare({ zoom, size: () => size, place: () => zoom.again() });

  function place() {
    if (root.clientWidth === 0) return;
    compare.arrange();
    const box = zoom.box($("#pane-main"), size);
    put(canvas, size, box);
    compare.place(box);
    say($("#zoom-full"), `${zoom.percent()} %`);
    root.classList.toggle("zoomed", zoom.zoomed());
  }

  new ResizeObserver(() => zoom.again()).observe(root);
  $("#zoom-in").addEventListener("click", zoom.zoomIn);
  $("#zoom-out").addEventListener("click", zoom.zoomOut);
  $("#zoom-fit").addEventListener("click", zoom.fit);
  $("#zoom-full").addEventListener("click", zoom.full);

  return {
    zoom, compare,
    /** A new painting: an empty canvas of its final size. */
    open(width, height) {
      size = { width, height };
      drawn = false;
      const least = Math.min(1, Math.sqrt(MOST / (width * height)));
      canvas.width = Math.max(1, Math.round(width * least));
      canvas.height = Math.max(1, Math.round(height * least));
      canvas.hidden = !photograph;
      if (photograph) context.drawImage(photograph, 0, 0, canvas.width, canvas.height);
      zoom.fit();
    },
    /** Forgets the picture of another painting. */
    clear() {
      photograph = null;
      drawn = false;
      canvas.hidden = true;
    },
    sameSize: (width, height) => size.width === width && size.height === height,
    /** The photograph, pale, while there is nothing else. */
    prepare(bitmap) {
      if (drawn) return;
      photograph = bitmap;
      context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      canvas.classList.add("unpainted");
      canvas.hidden = false;
      place();
    },
    draw(bitmap) {
      canvas.classList.remove("unpainted");
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      if (!drawn) { drawn = true; photograph = null; canvas.hidden = false; place(); }
    },
    empty: () => !drawn,
    describe: (text) => { if (canvas.getAttribute("aria-label") !== text) canvas.setAttribute("aria-label", text); },
  };
}

/** Lays a picture of this size into a box: scaled whole; its pixels show when one has come near. */
export function put(element, { width, height }, { scale, near, left, top }) {
  element.style.width = `${width}px`;
  element.style.height = `${height}px`;
  element.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
  element.style.imageRendering = near && scale >= 2.5 ? "pixelated" : "auto";
}
