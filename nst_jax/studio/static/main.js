/* Begins: reads the form, makes the views, and shows the one that the address names. */

import { $, $$, message } from "./dom.js";
import { api } from "./api.js";
import { store } from "./store.js";
import { makeStart } from "./start.js";
import { makePainting } from "./painting.js";
import { makeGrid } from "./grid.js";
import { makeDrawer } from "./drawer.js";
import { listenForDrops } from "./drops.js";
import { key, makeKeys, shifted } from "./keys.js";

const PAN = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

let view = null, current = null;

function parse(path) {
  const [, kind, id] = path.match(/^\/(p|g)\/([^/]+)/) ?? [];
  return kind === "p" ? { name: "painting", id: decodeURIComponent(id) } : kind === "g" ? { name: "grid", id: decodeURIComponent(id) } : { name: "start", id: null };
}

function show(views, { name, id }) {
  const moved = view !== null && (view !== name || current !== id);
  if (view && view !== name) views[view]?.close?.();
  for (const dialog of $$("dialog[open]")) dialog.close();
  view = name;
  current = id;
  document.body.dataset.view = name;
  for (const section of $$("main > section")) section.hidden = section.id !== name;
  if (name === "start") document.title = "nst_jax studio"; else views[name].open(id);
  if (moved) $("#main").focus({ preventScroll: true });
}

async function begin() {
  let form;
  try {
    form = await api.form();
  } catch (error) {
    message(error.message);
    return setTimeout(begin, 4000);
  }
  message("");
  store.set({ form });
  const views = {};
  const navigate = (path) => { history.pushState(null, "", path); message(""); show(views, parse(path)); };
  /** From an address at which there is nothing any more: nobody goes back to it. */
  const leave = (text) => { history.replaceState(null, "", "/"); show(views, parse("/")); message(text); };
  if (form.live) document.body.dataset.live = "";
  else makeStart(form, navigate);
  views.painting = makePainting(form, navigate, leave);
  views.grid = makeGrid(form, navigate, leave);
  const drawer = makeDrawer(navigate, () => view === "painting" ? current : null);
  listen(views, navigate, drawer, form);
  const first = parse(location.pathname);
  if (form.live && first.name === "start") return live(views);
  return show(views, first);
}

/* A run begun on the command line: there is just this one, and no form. */
async function live(views) {
  const [painting] = await api.paintings().catch(() => []);
  if (!painting) { message("The painting has not begun yet."); return setTimeout(() => live(views), 1500); }
  message("");
  history.replaceState(null, "", `/p/${painting.id}`);
  return show(views, parse(location.pathname));
}

function listen(views, navigate, drawer, form) {
  window.addEventListener("popstate", () => { message(""); show(views, parse(location.pathname)); });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='/']");
    if (!link || link.hasAttribute("download") || event.defaultPrevented || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    navigate(form.live && link.getAttribute("href") === "/" ? location.pathname : link.getAttribute("href"));
  });
  $("#message-close").addEventListener("click", () => message(""));
  for (const button of $$("[data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
  if (!form.live) listenForDrops({ possible: () => !document.querySelector("dialog[open]"), onStart: () => view === "start", open: () => { if (view !== "start") navigate("/"); } });
  keys(views, navigate, drawer, form);
}

function keys({ painting }, navigate, drawer, form) {
  const onPainting = () => view === "painting", zoom = painting.easel.zoom, compare = painting.easel.compare;
  const always = () => true;
  makeKeys([
    { title: "Painting", when: onPainting, keys: [
      ["Space", "pause, or go on", key(" "), painting.pause],
      ["← →", "earlier and later pictures", key("ArrowLeft", "ArrowRight"), (event) => painting.move(event.key === "ArrowLeft" ? -1 : 1)],
      ["Home End", "the first picture, the newest", key("Home", "End"), (event) => event.key === "Home" ? painting.first() : painting.look(null)],
      ["B", "branch from the picture shown", key("b", "B"), painting.branch],
      ["G", "go back to the picture shown", key("g", "G"), painting.goBack],
      ["R", "all sliders neutral", key("r", "R"), painting.neutral],
      ["Backspace", "on a slider: this one neutral", null, null],
      ["D", "download the PNG", key("d", "D"), painting.take]] },
    { title: "Looking", when: onPainting, keys: [
      ["C", "before and after, side by side, alone", key("c", "C"), compare.next],
      ["\\", "held: the photograph", key("\\"), () => compare.hold(true)],
      ["+ −", "larger, smaller", key("+", "=", "-"), (event) => event.key === "-" ? zoom.zoomOut() : zoom.zoomIn()],
      ["0 1", "fit, pixel by pixel", key("0", "1"), (event) => event.key === "0" ? zoom.fit() : zoom.full()],
      ["Shift ← ↑ → ↓", "move over the picture", shifted(...Object.keys(PAN)), (event) => zoom.pan(...PAN[event.key])],
      ["F", "the picture only, and back", key("f", "F"), () => document.body.classList.toggle("only")]] },
    { title: "Everywhere", when: always, keys: [
      ["N", "new painting", key("n", "N"), () => { if (!form.live) navigate("/"); }],
      ["P", "paintings so far", key("p", "P"), drawer.open],
      ["T", "light or dark", key("t", "T"), () => $("#theme").click()],
      ["?", "this help", null, null],
      ["Esc", "close", key("Escape"), () => { document.body.classList.remove("only"); message(""); }]] },
    { title: "Masks", when: () => false, keys: [
      ["[ ]", "smaller, larger brush"], ["B X F", "brush, erase, fill by colour"], ["I", "invert"], ["Ctrl Z", "undo"], ["Ctrl Shift Z", "redo"], ["← ↑ → ↓", "move the brush; Space paints"]] },
  ]);
  document.addEventListener("keyup", (event) => { if (event.key === "\\") compare.hold(false); });
}

begin();
