/* The start: pictures and settings become an order, and the order a painting or a grid. */

import { $, message, once, showError } from "./dom.js";
import { api } from "./api.js";
import { clearErrors, goToError, makeForm, showOrderError } from "./form.js";
import { agreed, makePlan } from "./plan.js";
import { arrived, makeWells } from "./wells.js";
import { listenForRestored } from "./restore.js";
import { listenForMasks, masksSent, openMasks } from "./masks.js";
import { settingsOf, currentAsk, masksKey, store } from "./store.js";
import { makeGridDialog } from "./grid-dialog.js";

let go = null; // opens an address of the page

export function makeStart(form, navigate) {
  go = navigate;
  makeForm(form);
  makeWells(form);
  makePlan();
  listenForRestored();
  listenForMasks();
  makeGridDialog(form, startGrid);
  $("#order").addEventListener("submit", (event) => { event.preventDefault(); start(); });
  $("#mask-open").addEventListener("click", openMasks);
  store.on(["content", "styles", "masks"], showMasks);
}

/** The order once everything that is on its way is here; null, and said, if something is missing. */
async function complete() {
  await Promise.all([arrived(), masksSent()]);
  const order = currentAsk();
  if (order) return order;
  const { content, styles } = store.get();
  clearErrors();
  if (!content?.id) showError($("#error-content"), "A photograph is needed.");
  if (!styles.length || styles.some((style) => !style.id)) showError($("#error-style"), "A painting is needed.");
  ($(content?.id ? "#file-style" : "#file-content") ?? $("#drop-content")).focus();
  return null;
}

const start = () => once($("#paint"), async () => {
  try {
    clearErrors();
    const order = await complete();
    if (!order || !await agreed(await api.plan(order))) return;
    go(`/p/${(await api.paint(order)).id}`);
  } catch (error) {
    showOrderError(error);
    goToError();
  }
});

async function startGrid(across, down) {
  const order = await complete();
  if (!order) return false;
  go(`/g/${(await api.makeGrid({ ...order, across, down })).id}`);
  return true;
}

function showMasks(state) {
  const { content, styles, masks } = state;
  const fits = masks && masks.key === masksKey(state);
  $("#mask-open").disabled = !content?.id || !styles.length;
  const note = !content?.id || !styles.length ? "Choose the pictures first"
    : fits && (masks.ids.length || masks.strength) ? [masks.ids.length && "each painting in its place", masks.strength && "style by the map"].filter(Boolean).join(", ")
      : styles.length > 1 ? "Paint each painting’s place" : "Keep parts of the photograph";
  $("#mask-note").textContent = note;
  if (masks && !fits && content?.id) {
    store.set({ masks: null });
    if (masks.ids.length || masks.strength) message("The masks belonged to other pictures and were taken away.");
  }
}

/** Puts a painting's pictures and settings back on the start. */
export function startLike({ settings, inputs, styles: count }) {
  const picture = (id, name) => ({ id, name, sample: null, width: 0, height: 0 });
  const styles = inputs.style.map((id, i) => picture(id, count > 1 ? `painting ${i + 1}` : "painting"));
  const content = picture(inputs.content, "photograph");
  const parts = inputs.mask?.length || inputs["strength-map"];
  store.set({ content, styles, settings: settingsOf(settings), turns: [], restored: null,
    masks: parts ? { key: masksKey({ content, styles }), ids: inputs.mask ?? [], strength: inputs["strength-map"] ?? null, layers: null } : null });
  go("/");
}
