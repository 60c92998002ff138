/* The small curve of losses, on a logarithmic scale, with marks where turns were made; and the losses as a list. */

import { $, el, say, svg } from "./dom.js";
import { lossWord, number } from "./words.js";

const WIDTH = 300, HEIGHT = 96, NAMES = ["content", "style", "variation"];

export function makeCurve(onStep) {
  const root = $("#curve");
  const lines = NAMES.map((name) => svg("polyline", { class: `line line-${name}`, fill: "none", points: "" }));
  const marks = svg("g", { class: "marks" }), looked = svg("line", { class: "looked", y1: 0, y2: HEIGHT });
  let total = 1, shown = "";
  root.append(marks, ...lines.reverse(), looked);
  lines.reverse();
  const values = Object.fromEntries(NAMES.map((name) => [name, el("dd", { class: "number" })]));
  const terms = Object.fromEntries(NAMES.map((name) => [name, el("dt", { class: `key key-${name}` }, lossWord(name))]));
  $("#losses").append(...NAMES.map((name) => el("div", {}, terms[name], values[name])));

  root.addEventListener("click", (event) => {
    const { left, width } = root.getBoundingClientRect();
    onStep(Math.round(total * (event.clientX - left) / width));
  });

  const x = (step) => WIDTH * step / total;

  function update(state) {
    total = Math.max(1, state.total);
    for (const name of NAMES) {
      const known = state.losses?.[name];
      terms[name].parentElement.hidden = Boolean(state.losses) && (known === undefined || known === null);
      say(values[name], Number.isFinite(known) ? number(known) : "–");
    }
    const now = `${state.id} ${state.curve.length} ${state.curve.at(-1)?.[0]} ${state.turns.length} ${total}`;
    if (now === shown) return;
    shown = now;
    NAMES.forEach((_, i) => lines[i].setAttribute("points", points(state.curve, i + 1)));
    marks.replaceChildren(...state.turns.map(([step]) => svg("line", { x1: x(step), x2: x(step), y1: 0, y2: HEIGHT })));
    describe(state);
  }

  /* Each loss on its own logarithmic scale: what they have in common is how they fall, not their size. */
  function points(curve, i) {
    const logs = curve.filter((row) => row[i] > 0).map((row) => [row[0], Math.log(row[i])]);
    if (logs.length < 2) return "";
    const all = logs.map(([, y]) => y), low = Math.min(...all), high = Math.max(...all), span = Math.max(high - low, 0.05);
    return logs.map(([step, y]) => `${x(step).toFixed(1)},${(6 + (HEIGHT - 12) * (high - y) / span).toFixed(1)}`).join(" ");
  }

  function describe({ curve, turns }) {
    if (curve.length < 2) return root.setAttribute("aria-label", "No losses yet");
    const first = curve[0], last = curve.at(-1);
    const parts = NAMES.map((name, i) => [lossWord(name), first[i + 1], last[i + 1]]).filter(([, a, b]) => Number.isFinite(a) && Number.isFinite(b))
      .map(([word, a, b]) => `${word}: ${number(a)} to ${number(b)}`);
    const changes = turns.length ? `; changed at step ${turns.map(([step]) => step).join(", ")}` : "";
    return root.setAttribute("aria-label", `How far off, from step ${first[0]} to ${last[0]}. ${parts.join("; ")}${changes}`);
  }

  return {
    update,
    look(step) {
      looked.setAttribute("visibility", step === null ? "hidden" : "visible");
      if (step !== null) for (const end of ["x1", "x2"]) looked.setAttribute(end, x(step));
    },
  };
}
