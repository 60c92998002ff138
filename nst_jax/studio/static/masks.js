/* The masks' editor: painting over the photograph where each painting goes, and how much style there is anywhere. */

import { $, $$, ask, el, message, say } from "./dom.js";
import { api, address } from "./api.js";
import { masksKey, store } from "./store.js";
import { flood } from "./flood.js";
import { makeLayers } from "./layers.js";
import { greyPng } from "./png.js";
import { listenForStrokes } from "./mask-input.js";

const EDGE = 1024;
const COLOURS = [[74, 144, 226], [240, 152, 55], [196, 84, 190], [104, 182, 72], [226, 82, 82], [90, 200, 200]]; // of the overlays

let editor = null, opening = false;

/** Opens the editor on the photograph; when done, the masks are uploaded and stand in the store. */
export async function openMasks() {
  if (opening) return undefined;
  opening = true;
  try {
    await sending; // they are what it goes on with
    const { content, styles, masks } = store.get();
    editor = await makeEditor(content, styles, masks);
  } catch (error) {
    return message(error.message);
  } finally {
    opening = false;
  }
  const answer = ask($("#masks"));
  editor.layout();
  editor.draw();
  const done = await answer === "done", made = editor;
  editor = null;
  if (done) await (sending = keep(made));
  return undefined;
}

async function makeEditor(content, styles, masks) {
  const photo = $("#mask-photo");
  photo.src = address.picture(content.id, EDGE);
  await photo.decode();
  const scale = Math.min(1, EDGE / Math.max(photo.naturalWidth, photo.naturalHeight));
  const width = Math.round(photo.naturalWidth * scale), height = Math.round(photo.naturalHeight * scale);
  const fits = masks?.key === masksKey(store.get()) && masks.layers?.width === width ? masks.layers : null;
  const layers = makeLayers(width, height, styles.length, fits ?? await layersFrom(masks, styles.length, width, height));
  const canvas = $("#mask-canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), rgba = pixels(photo, width, height);
  const made = { key: masksKey({ content, styles }), layers, rgba, context, layer: styles.length > 1 ? 1 : -1, tool: "brush", layout: () => layout(width, height), draw: (box) => draw(made, box) };
  layers.setWhole($("#mask-whole").checked);
  makeTabs(styles, made);
  return made;
}

function pixels(image, width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

/* Masks that came with a restored result are read back from the server. */
async function layersFrom(masks, styles, width, height) {
  if (!masks || masks.key !== masksKey(store.get()) || (!masks.ids.length && !masks.strength)) return null;
  const read = async (id) => {
    const image = new Image();
    image.src = address.picture(id);
    await image.decode();
    return pixels(image, width, height).filter((_, i) => i % 4 === 0);
  };
  const regions = masks.ids.length === styles && styles > 1 ? await Promise.all(masks.ids.map(read)) : null;
  const strength = masks.strength ? await read(masks.strength) : new Uint8ClampedArray(width * height).fill(255);
  return { regions: regions ?? Array.from({ length: styles > 1 ? styles : 0 }, (_, i) => new Uint8ClampedArray(width * height).fill(i ? 0 : 255)), strength };
}

function makeTabs(styles, made) {
  const tabs = styles.length > 1 ? styles.map((style, i) => [i, `Painting ${i + 1}`, address.picture(style.id, 96)]) : [];
  $("#mask-layers").replaceChildren(...[...tabs, [-1, "How much", null]].map(([layer, name, image]) => {
    const button = el("button", { type: "button", "data-layer": layer, "aria-pressed": "false", onclick: () => choose(layer) }, image ? el("img", { src: image, alt: "" }) : null, el("span", {}, name));
    if (layer >= 0) button.style.setProperty("--layer", `rgb(${COLOURS[layer % COLOURS.length].join(" ")})`);
    return button;
  }));
  choose(made.layer, made);
}

function choose(layer, made = editor) {
  made.layer = layer;
  for (const button of $$("[data-layer]")) button.setAttribute("aria-pressed", String(Number(button.dataset.layer) === layer));
  $("#mask-amount-label").hidden = layer >= 0;
  $("#mask-whole-label").hidden = layer < 0 || made.layers.regions.length < 2;
  say($("#mask-hint"), layer < 0 ? "Where it is dark, the photograph stays as it is. Erase brings the style back."
    : `Paint where painting ${layer + 1} goes.${$("#mask-whole").checked ? " It takes the place from the others." : ""}`);
  made.draw();
}

function chooseTool(tool) {
  editor.tool = tool;
  for (const button of $$("button[data-tool]")) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  for (const label of $$("[data-for]")) label.hidden = !label.dataset.for.includes(tool);
  $("#mask-stage").dataset.using = tool;
}

function layout(width, height) {
  const stage = $("#mask-stage"), scale = Math.min((stage.clientWidth - 24) / width, (stage.clientHeight - 24) / height);
  $("#mask-box").style.width = `${width * scale}px`;
  $("#mask-box").style.height = `${height * scale}px`;
}

/* Colours of the regions, or the dark of what is kept back; only inside a rectangle when one is given. */
function draw({ layers, context, layer }, box = { left: 0, top: 0, right: layers.width, bottom: layers.height }) {
  const wide = box.right - box.left, image = context.createImageData(wide, box.bottom - box.top), { data } = image;
  for (let y = box.top; y < box.bottom; y += 1) {
    for (let x = box.left; x < box.right; x += 1) {
      const i = y * layers.width + x, to = 4 * ((y - box.top) * wide + x - box.left);
      if (layer < 0) { data[to] = data[to + 1] = data[to + 2] = 16; data[to + 3] = (255 - layers.strength[i]) * 0.86; } else tint(data, to, layers.regions, i, layer);
    }
  }
  context.putImageData(image, box.left, box.top);
  $("#mask-undo").disabled = !layers.canUndo();
  $("#mask-redo").disabled = !layers.canRedo();
}

function tint(data, to, regions, i, chosen) {
  let r = 0, g = 0, b = 0, sum = 0;
  for (let k = 0; k < regions.length; k += 1) {
    const much = regions[k][i] * (k === chosen ? 1 : 0.62), [red, green, blue] = COLOURS[k % COLOURS.length];
    r += much * red; g += much * green; b += much * blue; sum += much;
  }
  if (!sum) return;
  data[to] = r / sum; data[to + 1] = g / sum; data[to + 2] = b / sum;
  data[to + 3] = Math.min(255, sum) * 0.54;
}

const target = () => ({ layer: editor.layer, erase: editor.tool === "erase", amount: 2.55 * $("#mask-amount").value });

const strokes = {
  size: () => Number($("#mask-size").value),
  tool: () => editor.tool,
  extent: () => editor.layers,
  begin: () => editor.layers.begin(),
  dab(x, y) { const box = editor.layers.dab(target(), x, y, strokes.size() / 2, $("#mask-soft").value / 100); if (box) editor.draw(box); },
  end() { editor.layers.end(); editor.draw(); },
  fill(x, y) {
    const { layers, rgba } = editor;
    layers.begin();
    layers.pour(target(), flood(rgba, layers.width, layers.height, x, y, $("#mask-tolerance").value / 100));
    strokes.end();
  },
};

let sending = Promise.resolve();

/** When the masks that were painted last are with the server. */
export const masksSent = () => sending;

async function keep({ layers, key }) {
  const { width, height } = layers;
  const upload = async (layer) => (await api.upload(await greyPng(layer, width, height))).id;
  try {
    const ids = layers.usedRegions() ? await Promise.all(layers.regions.map(upload)) : [];
    const strength = layers.usedStrength() ? await upload(layers.strength) : null;
    store.set({ masks: { key, ids, strength, layers: layers.keep() } });
  } catch (error) {
    message(error.message);
  }
}

function act(name) {
  if (name === "undo" || name === "redo") editor.layers[name](); else editor.layers[name](editor.layer);
  editor.draw();
}

/** Once, when the page begins. */
export function listenForMasks() {
  for (const name of ["undo", "redo", "invert", "clear"]) $(`#mask-${name}`).addEventListener("click", () => act(name));
  for (const button of $$("button[data-tool]")) button.addEventListener("click", () => chooseTool(button.dataset.tool));
  $("#mask-done").addEventListener("click", () => $("#masks").close("done"));
  $("#mask-cancel").addEventListener("click", () => $("#masks").close(""));
  $("#mask-whole").addEventListener("change", ({ target: box }) => { editor.layers.setWhole(box.checked); choose(editor.layer); });
  new ResizeObserver(() => { if (editor) editor.layout(); }).observe($("#mask-stage"));
  listenForStrokes(strokes, { tool: chooseTool, act });
}
