/* Small helpers about the document: find, make and fill elements (always as text), icons, messages, announcements. */

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "htmlFor", "textContent", "className", "selected", "draggable"]);

/** An element with attributes (null and false: without), listeners ("onclick") and children (text or elements). */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export function icon(name) {
  const made = svg("svg", { class: "icon", "aria-hidden": "true" });
  made.append(svg("use", { href: `#i-${name}` }));
  return made;
}

/** Sets a text only when it differs, so that nothing is laid out or read out for nothing. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Puts a line into the message bar; an empty one closes it. */
export function message(text) {
  say($("#message-text"), text || "");
  $("#message").hidden = !text;
}

/** For screen readers: one line, politely. */
export function announce(text) {
  say($("#announce"), text);
}

export function showError(element, text) {
  say(element, text || "");
  element.hidden = !text;
}

/** Does what a button has begun: not a second time before the first has ended. */
export async function once(button, work) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try { await work(); } finally { button.removeAttribute("aria-busy"); }
}

/** Calls at most once in `wait` milliseconds, at once if it can; the last call always comes through. */
export function throttle(call, wait) {
  let timer = null, last = -Infinity, latest = null;
  const run = () => { timer = null; last = performance.now(); call(...latest); };
  return (...given) => {
    latest = given;
    if (timer === null) timer = setTimeout(run, Math.max(0, last + wait - performance.now()));
  };
}

/** Calls once nothing has come for `wait` milliseconds. */
export function debounce(call, wait) {
  let timer;
  return (...given) => { clearTimeout(timer); timer = setTimeout(() => call(...given), wait); };
}

/** Shows a dialog and resolves with its answer when it is closed. */
export function ask(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}

/** What is remembered in this browser only; nothing where storage is off. */
export const remembered = {
  get(name) { try { return localStorage.getItem(`studio-${name}`); } catch { return null; } },
  set(name, value) { try { localStorage.setItem(`studio-${name}`, value); } catch { /* not kept, then */ } },
};
