/* A grid of nine: cells appear as they are done; one that is pressed is painted with its settings. */

import { $, announce, el, message, say } from "./dom.js";
import { api, address } from "./api.js";
import { capital, stateWord } from "./words.js";

export function makeGrid(form, navigate, leave) {
  let id = null, opened = 0, busy = false, timer = null, grid = null, done = "";

  const label = (name) => form.fields.find((field) => field.name === name)?.label ?? capital(name);

  function open(whose) {
    close();
    id = whose;
    grid = null;
    done = "";
    $("#grid-table").replaceChildren();
    say($("#grid-state"), "Opening");
    load();
  }

  function close() {
    clearTimeout(timer);
    opened += 1;
    id = null;
  }

  async function load() {
    const nth = opened;
    try {
      const next = await api.grid(id);
      if (nth !== opened) return;
      grid = next;
      show();
      if (grid.state !== "finished" && grid.state !== "failed") timer = setTimeout(load, 1200);
    } catch (error) {
      if (nth !== opened) return;
      if (error.status === 404) { leave(error.message); return; }
      say($("#grid-state"), "Not connected, trying again");
      timer = setTimeout(load, 4000);
    }
  }

  function show() {
    const now = grid.cells.filter((cell) => cell.done).length;
    const words = `${stateWord(grid.state)}, ${now} of ${grid.cells.length}`;
    say($("#grid-state"), grid.state === "finished" ? "Press the one you like: it is painted with its settings, to steer and keep." : `${words}. Press one to paint it with its settings.`);
    document.title = `${words} · nst_jax studio`;
    say($("#grid-note"), grid.message || "");
    $("#grid-note").hidden = !grid.message;
    if (!done) make();
    const key = `${grid.state} ${now}`;
    if (key !== done && (grid.state === "finished" || grid.state === "failed")) announce(words);
    done = key;
    for (const cell of grid.cells) if (cell.done) fill(cell);
  }

  function make() {
    const { across, down } = grid;
    const photograph = new Image();
    photograph.onload = () => $("#grid-table").style.setProperty("--aspect", photograph.naturalWidth / photograph.naturalHeight);
    photograph.src = address.picture(grid.ask.content, 320);
    const corner = el("td", { class: "corner" });
    $("#grid-table").replaceChildren(
      el("caption", {}, `${label(across.name)} across, ${label(down.name).toLowerCase()} down`),
      el("thead", {}, el("tr", {}, corner, ...across.values.map((value) => el("th", { scope: "col" }, el("span", {}, `${label(across.name)} `), el("b", { class: "number" }, value))))),
      el("tbody", {}, ...down.values.map((value, row) => el("tr", {}, el("th", { scope: "row" }, el("span", {}, `${label(down.name)} `), el("b", { class: "number" }, value)),
        ...across.values.map((_, column) => el("td", {}, el("div", { class: "cell", "data-cell": `${row}-${column}` })))))));
  }

  function fill(cell) {
    const box = $(`[data-cell="${cell.row}-${cell.column}"]`);
    if (!box || box.firstChild) return;
    const name = `${label(grid.down.name)} ${grid.down.values[cell.row]}, ${label(grid.across.name)} ${grid.across.values[cell.column]}`;
    box.append(el("button", { type: "button", "aria-label": `Paint this one: ${name}`, onclick: () => paint(cell) },
      el("img", { src: address.cell(id, cell.row, cell.column), alt: "" }), el("span", { class: "cell-text", "aria-hidden": "true" }, "Paint this one")));
  }

  async function paint(cell) {
    if (busy) return;
    busy = true;
    const { content, style, mask, "strength-map": map, settings, turns } = grid.ask;
    try {
      const made = await api.paint({ content, style, mask: mask ?? [], "strength-map": map ?? null, settings: { ...settings, ...cell.settings }, turns: turns ?? [] });
      navigate(`/p/${made.id}`);
    } catch (error) {
      message(error.message);
    } finally {
      busy = false;
    }
  }

  return { open, close };
}
