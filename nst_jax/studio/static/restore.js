/* A result from before tells its settings and which pictures it was made of; the page asks for those that are missing. */

import { $, el, message } from "./dom.js";
import { api } from "./api.js";
import { settingsOf, masksKey, store } from "./store.js";
import { bring, take } from "./wells.js";
import { plural } from "./words.js";

/** Whether a file has our record inside: its name stands in it as plain bytes. */
export async function isResult(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  return ["nst_jax", "nst-jax"].some((word) => find(bytes, new TextEncoder().encode(word)));
}

function find(bytes, word) {
  for (let at = bytes.indexOf(word[0]); at >= 0; at = bytes.indexOf(word[0], at + 1)) {
    if (word.every((byte, i) => bytes[at + i] === byte)) return true;
  }
  return false;
}

/** Restores what a result knows. Answers whether it could; says why not if it was asked for. */
export const restore = (file, asked) => bring(async () => {
  let found;
  try {
    found = await api.restore(file);
  } catch (error) {
    if (asked) message(`${file.name}: ${error.message}`);
    return false;
  }
  message("");
  apply(found, file);
  return true;
});

const picture = ({ name, id }) => ({ id, name, sample: null, width: 0, height: 0 });

function apply({ settings, turns, inputs }, file) {
  const [content] = inputs.content ?? [];
  const parts = ["mask", "strength-map"].flatMap((kind) => (inputs[kind] ?? []).map((part) => ({ ...part, kind })));
  store.set({ content: content ? picture(content) : null, styles: (inputs.style ?? []).map(picture), settings: settingsOf(settings), turns: turns ?? [], masks: null,
    restored: { file, parts, settled: !parts.length } });
}

/* Masks belong to pictures: they count once all pictures and all masks are here. */
function settle(state) {
  const { content, styles, restored } = state;
  if (!restored || restored.settled || !content?.id || !styles.length || [...styles, ...restored.parts].some((one) => !one.id)) return;
  const ids = (kind) => restored.parts.filter((part) => part.kind === kind).map((part) => part.id);
  store.set({ masks: { key: masksKey(state), ids: ids("mask"), strength: ids("strength-map")[0] ?? null, layers: null }, restored: { ...restored, settled: true } });
}

/* The server knows by a file's bytes whether it is the same; another one is taken all the same. */
const choosePart = (restored, index, file) => bring(async () => {
  try {
    const { id } = await api.upload(file);
    const found = await api.restore(restored.file), { kind } = restored.parts[index];
    const nth = restored.parts.slice(0, index).filter((part) => part.kind === kind).length;
    const same = found.inputs[kind]?.[nth]?.id ?? null;
    if (!same) message(`${file.name} is not the file that it was made with; it is taken all the same.`);
    const now = store.get().restored;
    if (now?.file === restored.file && now.parts[index]) store.set({ restored: { ...now, parts: now.parts.map((part, i) => i === index ? { ...part, id: same ?? id } : part) } });
  } catch (error) {
    message(`${file.name}: ${error.message}`);
  }
});

export function listenForRestored() {
  $("#file-restore").addEventListener("change", ({ target }) => { if (target.files[0]) restore(target.files[0], true); target.value = ""; });
  store.on(["restored", "content", "styles"], (state) => { settle(state); show(store.get()); });
}

function show({ restored, content, styles, turns }) {
  const box = $("#restored");
  box.hidden = !restored;
  if (!restored) return;
  const missing = [content, ...styles, ...restored.parts].filter((one) => one && !one.id).map((one) => one.name);
  const repeated = turns.length ? ` What was changed while it was painted (${plural(turns.length, "time")}) is repeated.` : "";
  const needed = missing.length ? `Still needed: ${missing.join(", ")}.` : "Its pictures are here, too.";
  box.replaceChildren(el("p", {}, `The settings of ${restored.file.name} are back. ${needed}${repeated}`), el("div", { class: "notice-buttons" },
    ...restored.parts.map((part, i) => part.id ? null : partChooser(part, (file) => choosePart(restored, i, file))),
    restored.parts.some((part) => !part.id) ? el("button", { type: "button", class: "secondary", onclick: () => store.set({ restored: { ...restored, parts: [], settled: true } }) }, "Without masks") : null,
    el("button", { type: "button", class: "secondary", onclick: () => usePicture(restored.file) }, "Use it as a photograph instead"),
    el("button", { type: "button", class: "quiet", hidden: !restored.settled, onclick: () => store.set({ restored: null }) }, "Close")));
}

function usePicture(file) {
  store.set({ restored: null, content: null, styles: [], settings: {}, turns: [], masks: null });
  take([file], "content");
}

const partChooser = (part, choose) => el("label", { class: "secondary" }, el("input", { class: "sr", type: "file", accept: "image/*", onchange: ({ target }) => { if (target.files[0]) choose(target.files[0]); } }), `Choose ${part.name}`);
