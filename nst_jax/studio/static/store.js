/* The one small store: what will be painted (pictures, masks, settings), and the server's form. */

function makeStore(state) {
  const listeners = new Set();
  return {
    get: () => state,
    set(patch) {
      state = { ...state, ...patch };
      for (const listener of listeners) listener(state, patch);
    },
    /** Calls back after changes of any of these names. */
    on(names, listener) {
      listeners.add((now, patch) => { if (names.some((name) => name in patch)) listener(now); });
    },
  };
}

/* A picture: {id, width, height, name, sample (its name) or null, wanted (of a restored result: a name without a picture)} */
export const store = makeStore({
  form: null,
  content: null,
  styles: [],
  settings: {},        // name of a field: text, only those that differ from what they are by default
  turns: [],
  masks: null,         // {key, ids: [one for each style] or [], strength: id or null, layers (for the editor to go on with)}
  restored: null,
});

/** What masks belong to: with other pictures they are void. */
export const masksKey = ({ content, styles }) => [content?.id, ...styles.map((style) => style.id)].join(" ");

/** The order as the server wants it; null while a picture is missing. */
export function currentAsk() {
  const { content, styles, masks, turns } = store.get();
  if (!content?.id || !styles.length || styles.some((style) => !style.id)) return null;
  const fit = masks && masks.key === masksKey(store.get()) ? masks : null;
  return { content: content.id, style: styles.map((style) => style.id), mask: fit?.ids ?? [], "strength-map": fit?.strength ?? null,
    settings: wholeSettings(store.get()), turns };
}

/** All settings as the server wants them: what the form shows by default, too; what is left blank is the recipe's. */
function wholeSettings({ form, settings }) {
  const shown = form.fields.filter((field) => field.default).map((field) => [field.name, field.default]);
  return Object.fromEntries(Object.entries({ ...Object.fromEntries(shown), ...settings }).filter(([, text]) => text !== ""));
}

/* What the form calls quality is told by these fields in a record. */
export const QUALITY = ["network", "preview", "fast-first"];

/** Settings of an order as the form's own: a field that it leaves out is blank there; fields that the form lacks are kept. */
export function settingsOf(order) {
  const found = Object.fromEntries(Object.entries(order ?? {}).filter(([, value]) => value !== null && value !== undefined).map(([name, value]) => [name, String(value)]));
  for (const field of store.get().form.fields) {
    if (field.name in found) { if (found[field.name] === field.default) delete found[field.name]; continue; }
    if (field.name === "quality") Object.assign(found, qualityOf(found, field));
    else if (field.kind === "text" && field.default) found[field.name] = "";
  }
  if (found.quality === "sketch") delete found.network;
  return found;
}

function qualityOf(settings, { choices, default: usual }) {
  const quality = settings["fast-first"] ? "quick" : settings.network === "fast" || settings.preview ? "sketch" : "full";
  return choices.includes(quality) && quality !== usual ? { quality } : {};
}
