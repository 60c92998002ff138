/* Keys: one table of what they do, which also makes the help. */

import { $, el, remembered } from "./dom.js";

const REPEATED = /^(Arrow|[-+=]$)/; // while they are held

/** groups: [title, [[keys as shown, what, test(event), action]…]]. `where()` says which of them count now. */
export function makeKeys(groups) {
  const dialog = $("#keys"), on = $("#keys-on");
  on.checked = remembered.get("keys") !== "off";
  on.addEventListener("change", () => remembered.set("keys", on.checked ? "on" : "off"));
  $("#keys-list").append(...groups.map(({ title, keys }) => el("section", {}, el("h3", {}, title), el("dl", {}, ...keys.map(([shown, what]) =>
    el("div", {}, el("dt", {}, ...shown.split(" ").map((key) => el("kbd", {}, key))), el("dd", {}, what)))))));
  const show = () => { if (!document.querySelector("dialog[open]")) dialog.showModal(); };
  $("#keys-open").addEventListener("click", show);

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.altKey || event.metaKey || event.ctrlKey) return;
    if (!on.checked || document.querySelector("dialog[open]")) return;
    if (event.key === "?" && !typing(event.target)) { event.preventDefault(); show(); return; }
    for (const { when, keys } of groups) {
      const found = when() && keys.find(([, , test]) => test?.(event));
      if (found && allowed(event)) { event.preventDefault(); if (!event.repeat || REPEATED.test(event.key)) found[3](event); return; }
    }
  });
}

const typing = (target) => target.matches?.("input:not([type=range], [type=checkbox]), textarea, select") ?? false;

/* A control keeps the keys that it needs itself: a button Space, a slider its arrows. */
function allowed({ key, target }) {
  if (typing(target)) return false;
  const inStrip = target.closest?.("#strip");
  if (key === " " || key === "Enter") return Boolean(inStrip && key === " ") || !target.closest?.("button, a, summary, label, input[type=checkbox]");
  if (["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].includes(key)) return !target.matches?.("input[type=range], [role=slider]");
  return true;
}

export const key = (...names) => (event) => names.includes(event.key) && !(event.shiftKey && event.key.startsWith("Arrow"));
export const shifted = (...names) => (event) => event.shiftKey && names.includes(event.key);
