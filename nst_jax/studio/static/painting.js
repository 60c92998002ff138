/* A painting while it is made: what comes from the server goes to easel, strip, curve and progress; what is pressed goes back. */

import { $, announce, el, message, say } from "./dom.js";
import { api, fetchBitmap, address } from "./api.js";
import { watch } from "./watch.js";
import { makeEasel } from "./easel.js";
import { makeSteer } from "./steer.js";
import { makeStrip } from "./strip.js";
import { makeCurve } from "./curve.js";
import { makeProgress } from "./progress.js";
import { capital } from "./words.js";
import { showTake } from "./take.js";
import { startLike } from "./start.js";

export function makePainting(form, navigate, leave) {
  const easel = makeEasel(), steer = makeSteer(form.steer), strip = makeStrip(look), curve = makeCurve((step) => look(strip.nearest(step))), progress = makeProgress();
  let id = null, state = null, newest = null, looking = null, stop = null;

  function open(whose) {
    close();
    id = whose;
    state = newest = looking = null;
    strip.open(id);
    progress.open();
    showLooking();
    say($("#state"), "Opening");
    say($("#painting-title"), "Painting");
    stop = watch(id, { onMessage: (next, blob) => receive(whose, next, blob), onLink: (on) => { if (id === whose) progress.link(on); }, onGone: (text) => { close(); leave(text); } });
  }

  function close() {
    stop?.();
    stop = null;
    id = null;
  }

  async function receive(whose, next, blob) {
    if (whose !== id) return;
    const bitmap = blob ? await createImageBitmap(blob).catch(() => null) : null;
    if (whose !== id) return;
    const first = state === null;
    state = next;
    if (first) begin(); else if (state.width && !easel.sameSize(state.width, state.height)) resize(state);
    if (bitmap) {
      if (!state.width && !newest) resize(bitmap);
      newest?.close();
      newest = bitmap;
      if (looking === null) easel.draw(bitmap);
    }
    show();
  }

  /* The server says how large it becomes only once it has begun. */
  function resize({ width, height }) {
    easel.open(width, height);
    if (newest) easel.draw(newest);
  }

  function begin() {
    const whose = id;
    easel.clear();
    if (state.width) easel.open(state.width, state.height);
    easel.compare.open(state.inputs);
    steer.open(state);
    if (state.inputs.content) fetchBitmap(address.picture(state.inputs.content, 1024)).then((photograph) => { if (whose === id) showPhotograph(photograph); }, () => {});
    $("#from").hidden = !state.from;
    if (state.from) $("#from").replaceChildren("Branched at step ", String(state.from.step), " from ", el("a", { href: `/p/${state.from.id}` }, "another painting"));
    $("#made-list").replaceChildren(...Object.entries(state.settings).filter(([, value]) => value !== null && value !== "").flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]));
    $("#made").hidden = !Object.keys(state.settings).length;
  }

  function showPhotograph(photograph) {
    if (state && !state.width && easel.empty()) easel.open(photograph.width, photograph.height);
    easel.prepare(photograph);
  }

  function show() {
    say($("#painting-title"), capital(state.title));
    progress.update(state, state.takes && !easel.empty());
    strip.update(state);
    curve.update(state);
    steer.update(state);
    showTake(state, !easel.empty());
    if (looking !== null && !state.history.includes(looking)) look(null);
    easel.describe(`The painting at step ${looking ?? state.frame ?? 0} of ${state.total}`);
    say($("#empty"), easel.empty() ? ({ waiting: "Waiting for its turn", failed: "There is no picture" }[state.state] ?? "The first brushstrokes are coming") : "");
    $("#again").disabled = form.live;
  }

  /** Looks at an older picture; null: at the newest again. */
  async function look(step) {
    if (!state || (step !== null && !state.history.includes(step))) return;
    looking = step;
    showLooking();
    if (step === null) { if (newest) easel.draw(newest); return; }
    try {
      const bitmap = await fetchBitmap(address.frame(id, step, false, strip.epoch()));
      if (looking === step) easel.draw(bitmap);
      bitmap.close();
    } catch (error) {
      message(error.message);
    }
  }

  function showLooking() {
    $("#looking").hidden = looking === null;
    if (looking !== null) say($("#looking-text"), `Looking at step ${looking}`);
    strip.show(looking);
    curve.look(looking);
  }

  let busy = false;
  const run = async (work) => {
    if (busy || !state) return;
    busy = true;
    try { message(""); await work(); } catch (error) { message(error.message); } finally { busy = false; }
  };

  const pause = () => { if (state && !$("#pause").hidden && !$("#pause").disabled) run(() => state.state === "paused" ? api.goOn(id) : api.pause(id)); };
  const finish = () => run(() => api.finish(id));
  const goBack = () => run(async () => { const step = looking; if (step === null) return; await api.back(id, step); look(null); announce(`Back at step ${step}, paused`); });
  const branch = () => run(async () => { const step = looking ?? state.history.at(-1); if (step === undefined) return; navigate(`/p/${(await api.branch(id, step, steer.turn())).id}`); });

  for (const [selector, action] of [["#pause", pause], ["#finish", finish], ["#go-back", goBack], ["#branch", branch], ["#newest", () => look(null)], ["#again", () => startLike(state)]]) $(selector).addEventListener("click", action);

  return { open, close, pause, goBack, branch, easel, look, move: strip.move, neutral: steer.neutral, take: () => $("#download-png").click(), first: () => { if (state?.history.length) look(state.history[0]); } };
}
