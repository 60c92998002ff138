/* What can be taken away: the result as PNG, JPEG, animation, or everything in a zip. */

import { $ } from "./dom.js";
import { address } from "./api.js";

const LINKS = { "#download-png": "result.png", "#download-jpg": "result.jpg", "#download-film": "film", "#download-zip": "bundle.zip" };

/** Links work as soon as there is a picture; after going back there is only its history until it goes on. */
export function showTake(state, painted) {
  for (const [selector, what] of Object.entries(LINKS)) {
    const link = $(selector), path = address.take(state.id, what), ready = painted && (state.takes || what === "film");
    if (ready && link.getAttribute("href") !== path) link.href = path;
    if (!ready) link.removeAttribute("href");
    if (ready) link.removeAttribute("aria-disabled"); else link.setAttribute("aria-disabled", "true");
  }
}
