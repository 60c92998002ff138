/* Pictures that are dropped or pasted anywhere on the page go where they belong; results restore their settings. */

import { $, $$ } from "./dom.js";
import { take, takeAnywhere } from "./wells.js";
import { isResult, restore } from "./restore.js";

const pictures = (transfer) => [...(transfer?.files ?? [])].filter((file) => file.type.startsWith("image/") || /\.(png|jpe?g|webp|avif|tiff?|bmp|gif)$/i.test(file.name));

/** `ready()` says whether there is a form to drop on, and opens it when needed. */
export function listenForDrops(ready) {
  let depth = 0;
  const over = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const end = () => { depth = 0; $("#veil").hidden = true; mark(null); };
  document.addEventListener("dragenter", (event) => { if (over(event)) { depth += 1; $("#veil").hidden = !ready.possible() || ready.onStart(); } });
  document.addEventListener("dragleave", (event) => { if (over(event) && (depth -= 1) <= 0) end(); });
  document.addEventListener("dragover", (event) => { if (over(event)) { event.preventDefault(); mark(placeOf(event.target)); } });
  document.addEventListener("drop", (event) => {
    if (!over(event)) return;
    event.preventDefault();
    const place = placeOf(event.target), files = pictures(event.dataTransfer);
    end();
    if (files.length && ready.possible()) { ready.open(); receive(files, place?.id); }
  });
  document.addEventListener("paste", (event) => {
    const files = pictures(event.clipboardData);
    if (!files.length || !ready.possible()) return;
    event.preventDefault();
    ready.open();
    receive(files, null);
  });
}

const placeOf = (target) => target.closest?.("#drop-content, #drop-style, #restore-drop");

function mark(place) {
  for (const known of $$("#drop-content, #drop-style, #restore-drop")) known.classList.toggle("over", known === place);
}

async function receive(files, place) {
  if (place === "restore-drop") return restore(files[0], true);
  if (files.length === 1 && await isResult(files[0]) && await restore(files[0], false)) return undefined;
  if (place) return take(files, place === "drop-content" ? "content" : "style");
  return takeAnywhere(files);
}
