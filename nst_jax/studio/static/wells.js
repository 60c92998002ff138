/* The two places for pictures: the photograph, and one or more paintings; chosen, dropped, pasted, or a drawn sample. */

import { $, $$, el, icon, message, showError } from "./dom.js";
import { api, address } from "./api.js";
import { store } from "./store.js";
import { capital, plural, size } from "./words.js";

let photographs = 0; // that were asked for: an older one that arrives later is not taken
const coming = new Set(); // promises of pictures that are on their way

/** Resolves when no picture is on its way any more: what is asked for is asked for with them. */
export async function arrived() {
  while (coming.size) await Promise.all(coming);
}

/** Does what brings pictures; it says itself what went wrong. */
export function bring(work) {
  const promise = work().finally(() => {
    coming.delete(promise);
    document.body.classList.toggle("busy", coming.size > 0);
  });
  coming.add(promise);
  document.body.classList.add("busy");
  return promise;
}

export function makeWells(form) {
  for (const kind of ["content", "style"]) makeSamples(kind, form.samples.filter((sample) => sample.kind === kind));
  store.on(["content", "styles"], show);
  show(store.get());
}

/** Takes files for a place: the photograph, or paintings (all of them). */
export const take = (files, place) => bring(async () => {
  message("");
  const [first, ...others] = place === "content" ? files : [null, ...files];
  const nth = first && (photographs += 1), photograph = first && await load(first);
  if (photograph && nth === photographs) store.set({ content: photograph });
  for (const file of others) {
    const painting = await load(file);
    if (painting) addStyle(painting);
  }
});

/** Without a place: the first is the photograph if there is none, the others are paintings. */
export function takeAnywhere(files) {
  const before = Promise.all(coming); // one that is on its way may be the photograph
  return bring(async () => { await before; await take(files, store.get().content?.id ? "style" : "content"); });
}

/** Asks for an upload; says what was wrong with it. Resolves with a picture or null. */
async function load(file) {
  const { limits } = store.get().form;
  if (limits?.bytes && file.size > limits.bytes) {
    message(`${file.name} has ${Math.round(file.size / 1e6)} MB; the studio takes up to ${Math.round(limits.bytes / 1e6)} MB.`);
    return null;
  }
  return orSaid(async () => ({ ...(await api.upload(file)), name: file.name || "pasted picture", sample: null }), file.name);
}

async function orSaid(work, name) {
  try {
    return await work();
  } catch (error) {
    message(`${name || "The picture"}: ${error.message}`);
    return null;
  }
}

/* A restored result may want paintings by name: the first that is still missing is filled. */
function addStyle(picture) {
  const styles = [...store.get().styles];
  const missing = styles.findIndex((style) => !style.id && (style.name === picture.name || !styles.some((other) => !other.id && other.name === picture.name)));
  if (missing >= 0) styles[missing] = picture; else styles.push(picture);
  store.set({ styles });
}

/* One of the paintings of a restored result, chosen for its own place. */
const fillWanted = (index, file) => bring(async () => {
  const picture = file && await load(file);
  if (picture) store.set({ styles: store.get().styles.map((style, i) => i === index ? picture : style) });
});

function makeSamples(kind, samples) {
  const row = $(`#samples-${kind}`);
  if (!samples.length) return;
  row.append(el("h3", {}, "Or a drawn sample"), el("div", { class: "sample-row" }, ...samples.map((sample) => el("button", {
    type: "button", class: "sample", "data-sample": sample.name, "aria-pressed": "false", onclick: () => toggleSample(kind, sample.name),
  }, el("img", { src: address.sample(sample.name), alt: "", loading: "lazy", draggable: "false" }), el("span", { class: "sample-name" }, sampleName(sample.name))))));
}

const toggleSample = (kind, name) => bring(async () => {
  const { content, styles } = store.get();
  if (kind === "style" && styles.some((style) => style.sample === name)) return store.set({ styles: styles.filter((style) => style.sample !== name) });
  if (kind === "content" && content?.sample === name) return store.set({ content: null });
  message("");
  const nth = kind === "content" ? photographs += 1 : 0, picture = await orSaid(async () => ({ ...(await api.sample(name)), name, sample: name }), name);
  if (!picture) return undefined;
  if (kind === "content") return nth === photographs ? store.set({ content: picture }) : undefined;
  return store.get().styles.some((style) => style.sample === name) ? undefined : addStyle(picture);
});

function show({ content, styles }) {
  if (content?.id) showError($("#error-content"), "");
  if (styles.length) showError($("#error-style"), "");
  $("#content-body").replaceChildren(content?.id ? tile(content, { swap: "content", remove: () => store.set({ content: null }) }) : place("content", content?.name));
  $("#style-body").replaceChildren(...styles.map((style, i) => style.id
    ? tile(style, { remove: () => store.set({ styles: styles.filter((other) => other !== style) }), number: styles.length > 1 ? i + 1 : 0, first: i ? () => forward(i) : null })
    : place("wanted", style.name, i)), place("style"));
  $("#style-body").dataset.count = styles.length;
  $("#style-title").textContent = styles.length > 1 ? plural(styles.length, "painting") : "Painting";
  for (const sample of $$("[data-sample]")) {
    const used = sample.dataset.sample === content?.sample || styles.some((style) => style.sample === sample.dataset.sample);
    sample.setAttribute("aria-pressed", String(used));
  }
}

function forward(i) {
  const styles = [...store.get().styles];
  [styles[i - 1], styles[i]] = [styles[i], styles[i - 1]];
  store.set({ styles });
}

function tile(picture, { swap, remove, number, first }) {
  const what = swap ? "the photograph" : `the painting ${picture.name}`;
  const figure = el("figure", { class: "tile", "data-picture": picture.id });
  const frame = (width, height) => figure.style.setProperty("--aspect", width / height || 1.5);
  const image = el("img", { src: address.picture(picture.id, swap ? 1280 : 768), alt: swap ? "The photograph" : `Painting: ${picture.name}`, draggable: "false", onload: () => frame(image.naturalWidth, image.naturalHeight) });
  frame(picture.width, picture.height);
  figure.append(image, el("figcaption", {}, el("span", { class: "tile-name" }, number ? `${number}. ` : "", picture.sample ? sampleName(picture.name) : picture.name),
    el("span", { class: "number muted" }, picture.width ? size(picture.width, picture.height) : ""),
    el("span", { class: "tile-tools" },
      first ? el("button", { type: "button", class: "quiet", "aria-label": `Move ${what} forward`, title: "Move forward", onclick: first }, icon("left")) : null,
      swap ? chooser("content", "swap", "Choose another photograph") : null,
      el("button", { type: "button", class: "quiet", "aria-label": `Remove ${what}`, title: "Remove", onclick: remove }, icon("close")))));
  return figure;
}

const sampleName = (name) => capital(name.replaceAll("-", " ").replaceAll("_", " "));

/** A label around a file input: works by click, touch and keyboard. */
function chooser(kind, iconName, title) {
  return el("label", { class: "quiet", title }, fileInput(kind, title), icon(iconName));
}

function fileInput(kind, label) {
  return el("input", { class: "sr", type: "file", accept: "image/*", id: `file-${kind}`, "aria-label": label, multiple: kind === "style",
    onchange: ({ target }) => {
      const files = [...target.files];
      target.value = ""; // the same file may be chosen again
      return kind.startsWith("wanted") ? fillWanted(Number(kind.split("-")[1]), files[0]) : take(files, kind);
    } });
}

function place(kind, wanted, i) {
  const content = kind === "content";
  const label = wanted ? `Choose ${wanted}` : content ? "Choose a photograph" : store.get().styles.length ? "Add a painting" : "Choose a painting";
  const input = fileInput(kind === "wanted" ? `wanted-${i}` : kind, label);
  return el("label", { class: `place${kind === "style" && store.get().styles.length ? " place-small" : ""}` }, input, icon(content ? "photo" : store.get().styles.length ? "plus" : "brush"),
    el("span", { class: "place-text" }, label), wanted ? el("small", {}, "this picture belongs to the result") : el("small", {}, "drop, paste, or press to choose"));
}
