/* Compare: the painting alone, under a before-and-after handle, or beside the photograph and the paintings. */

import { $, $$, el } from "./dom.js";
import { address } from "./api.js";
import { put } from "./easel.js";

const MODES = ["one", "split", "side"];

export function makeCompare({ zoom, size, place }) {
  let mode = "one", part = 50, inputs = null, beside = 0, held = false, last = null;
  const handle = $("#split-handle"), split = $("#split"), before = $("#before");

  const choices = () => [{ name: "Photograph", id: inputs.content }, ...(inputs.style ?? []).map((id, i) => ({ name: inputs.style.length > 1 ? `Painting ${i + 1}` : "The painting", id }))].filter((choice) => choice.id);
  /* A texture has no photograph; a reconstruction no painting. */
  const possible = (wanted) => wanted === "one" || Boolean(inputs && (wanted === "split" ? inputs.content : choices().length));

  function setMode(next) {
    mode = possible(next) ? next : "one";
    held = false;
    for (const button of $$("[data-mode]")) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    $("#pane-beside").hidden = mode !== "side";
    $("#beside-choice").hidden = mode !== "side";
    $("#panes").classList.toggle("side", mode === "side");
    if (mode === "side") showBeside(beside);
    show();
    place();
  }

  function show() {
    const photograph = mode === "split" || held;
    split.hidden = !photograph;
    handle.hidden = mode !== "split" || held;
    $("#tag-before").hidden = !photograph;
    $("#tag-main").hidden = mode === "one" || held;
    if (photograph && inputs) setSource(before, inputs.content, Math.max(size().width, size().height));
  }

  function setSource(image, id, edge) {
    const path = address.picture(id, Math.min(4096, Math.max(512, edge)));
    if (image.getAttribute("src") !== path) image.src = path;
  }

  function showBeside(index) {
    beside = Math.min(index, choices().length - 1);
    const choice = choices()[beside];
    setSource($("#beside"), choice.id, 1600);
    $("#beside").alt = choice.name;
    $("#tag-beside").textContent = choice.name;
    for (const [i, button] of [...$("#beside-choice").children].entries()) button.setAttribute("aria-pressed", String(i === beside));
  }

  function makeChoices() {
    $("#beside-choice").replaceChildren(...choices().map((choice, i) => el("button", { type: "button", class: "thumb", "aria-pressed": "false", title: choice.name, "aria-label": choice.name,
      onclick: () => { showBeside(i); place(); } }, el("img", { src: address.picture(choice.id, 96), alt: "", draggable: "false" }))));
  }

  function setPart(value) {
    part = Math.min(100, Math.max(0, value));
    handle.setAttribute("aria-valuenow", String(Math.round(part)));
    handle.setAttribute("aria-valuetext", `${Math.round(part)} % photograph`);
    if (last) placeSplit(last);
  }

  /* The handle moves over what can be seen of the picture, whether it is whole or near. */
  function placeSplit(box) {
    last = box;
    const pane = $("#pane-main"), from = Math.max(0, box.left), to = Math.min(pane.clientWidth, box.left + box.width);
    const x = held ? pane.clientWidth : from + (to - from) * part / 100;
    split.style.clipPath = `inset(0 ${pane.clientWidth - x}px 0 0)`;
    handle.style.left = `${x}px`;
    const top = Math.max(0, box.top), bottom = Math.max(0, pane.clientHeight - box.top - box.height);
    handle.style.top = `${top}px`;
    handle.style.bottom = `${bottom}px`;
    for (const tag of [$("#tag-before"), $("#tag-main")]) { tag.style.top = `${top + 10}px`; tag.style.bottom = "auto"; }
    $("#tag-before").style.left = `${from + 10}px`;
    $("#tag-main").style.right = `${pane.clientWidth - to + 10}px`;
    handle.dataset.from = from;
    handle.dataset.to = to;
    put(before, size(), box);
  }

  listen(handle, () => part, setPart);
  for (const button of $$("[data-mode]")) button.addEventListener("click", () => setMode(button.dataset.mode));
  $("#beside").addEventListener("load", place);
  setPart(50);

  return {
    open(known) {
      inputs = known;
      beside = 0;
      makeChoices();
      for (const button of $$("[data-mode]")) button.disabled = !possible(button.dataset.mode);
      setMode("one");
    },
    next() {
      const known = MODES.filter(possible);
      setMode(known[(known.indexOf(mode) + 1) % known.length]);
    },
    /** The photograph alone, while a key is held. */
    hold(on) { if (held !== on && possible("split") && mode !== "side") { held = on; show(); place(); } },
    /** Beside or below each other: whichever shows more. */
    arrange() {
      const { clientWidth: width, clientHeight: height } = $("#panes"), aspect = size().width / size().height;
      $("#panes").classList.toggle("stacked", mode === "side" && Math.min(width, height / 2 * aspect) > 1.1 * Math.min(width / 2, height * aspect));
    },
    place(box) {
      if (mode === "side") for (const side of ["left", "right", "top", "bottom"]) $("#tag-main").style[side] = "";
      if (mode === "split" || held) placeSplit(box);
      const image = $("#beside");
      if (mode === "side" && image.naturalWidth) {
        const natural = { width: image.naturalWidth, height: image.naturalHeight };
        put(image, natural, zoom.box($("#pane-beside"), natural));
      }
    },
  };
}

function listen(handle, get, set) {
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    handle.classList.add("held");
  });
  handle.addEventListener("pointermove", (event) => {
    if (!handle.classList.contains("held")) return;
    const { left } = $("#pane-main").getBoundingClientRect(), from = Number(handle.dataset.from), to = Number(handle.dataset.to);
    set(100 * (event.clientX - left - from) / Math.max(1, to - from));
  });
  for (const end of ["pointerup", "pointercancel"]) handle.addEventListener(end, () => handle.classList.remove("held"));
  handle.addEventListener("dblclick", () => set(50));
  handle.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 10 : 2;
    const next = { ArrowLeft: get() - step, ArrowDown: get() - step, ArrowRight: get() + step, ArrowUp: get() + step, Home: 0, End: 100 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    set(next);
  });
}
