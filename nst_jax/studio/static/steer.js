/* Steering: sliders for what can be changed while it is painted; the last value always reaches the server. */

import { $, $$, el, message, say, throttle } from "./dom.js";
import { api } from "./api.js";
import { number } from "./words.js";

const STEPS = 200; // of a logarithmic slider

export function makeSteer(fields) {
  let id = null, current = null, over = false, allowed = [], styles = 1, touched = -Infinity;

  let sent = Promise.resolve(); // one after another: the last one stays
  const sendSoon = throttle((whose, turn) => { sent = sent.then(() => api.turn(whose, turn)).catch((error) => message(error.message)); }, 260);

  const toSlider = (field, value) => field.scale === "log" ? Math.round(STEPS * Math.log(value / field.min) / Math.log(field.max / field.min)) : value;
  const fromSlider = (field, at) => field.scale === "log" ? Number((field.min * (field.max / field.min) ** (at / STEPS)).toPrecision(3)) : at;

  function change(patch) {
    current = { ...current, ...patch };
    touched = performance.now();
    show();
    if (!over) sendSoon(id, current);
  }

  function slider({ name, label, min, max, step, neutral, get, set, words }) {
    const control = `steer-${name}`;
    const output = el("output", { for: control, class: "number" });
    const input = el("input", { type: "range", id: control, "data-name": name, min, max, step, autocomplete: "off",
      oninput: () => set(Number(input.value)), ondblclick: () => set(neutral),
      onkeydown: (event) => { if (event.key === "Backspace" || event.key === "Delete") { event.preventDefault(); set(neutral); } } });
    const reset = el("button", { type: "button", class: "quiet reset", "aria-label": `${label}: back to neutral`, title: "Back to neutral", onclick: () => { set(neutral); input.focus(); } });
    reset.append($("#neutral .icon").cloneNode(true));
    const row = el("div", { class: "slider", "data-neutral": neutral }, el("div", { class: "label-row" }, el("label", { for: control }, label), reset, output), input);
    row.show = () => {
      const at = get();
      if (Number(input.value) !== at) input.value = at;
      say(output, words());
      input.setAttribute("aria-valuetext", words());
      const from = (neutral - min) / (max - min), to = (at - min) / (max - min);
      row.style.setProperty("--from", `${100 * Math.min(from, to)}%`);
      row.style.setProperty("--to", `${100 * Math.max(from, to)}%`);
      row.style.setProperty("--neutral-part", from);
      row.classList.toggle("changed", Math.abs(at - neutral) > step / 2);
    };
    return row;
  }

  const plain = (field) => slider({ name: field.name, label: field.label, min: field.scale === "log" ? 0 : field.min, max: field.scale === "log" ? STEPS : field.max,
    step: field.scale === "log" ? 1 : (field.max - field.min) / 100, neutral: toSlider(field, field.neutral),
    get: () => toSlider(field, current[field.name] ?? field.neutral), set: (at) => change({ [field.name]: at === toSlider(field, field.neutral) ? field.neutral : fromSlider(field, at) }),
    words: () => { const value = current[field.name] ?? field.neutral; return field.scale === "log" ? `× ${number(value)}` : value.toFixed(2); } });

  const even = () => Array(styles).fill(1);

  const mixed = (i) => slider({ name: `mix-${i + 1}`, label: `Painting ${i + 1}`, min: 0, max: 1, step: 0.01, neutral: 1,
    get: () => (current.mix ?? even())[i],
    set: (at) => {
      const mix = [...(current.mix ?? even())];
      mix[i] = at;
      if (mix.some((share) => share > 0)) change({ mix: mix.every((share) => share === 1) ? even() : mix }); else show();
    },
    words: () => { const mix = current.mix ?? even(); return `${Math.round(100 * mix[i] / mix.reduce((a, b) => a + b, 0))} %`; } });

  function make() {
    const rows = fields.filter((field) => allowed.includes(field.name)).map(plain);
    if (allowed.includes("mix") && styles > 1) rows.push(el("h3", {}, "Mix of the paintings"), ...even().map((_, i) => mixed(i)));
    $("#steer").replaceChildren(...rows);
  }

  function show() {
    for (const row of $$("#steer .slider")) row.show();
    $("#neutral").hidden = !$("#steer .changed");
  }

  const neutral = () => ({ ...Object.fromEntries(fields.map((field) => [field.name, field.neutral])), mix: styles > 1 && allowed.includes("mix") ? even() : null });

  $("#neutral").addEventListener("click", () => change(neutral()));

  return {
    open(state) {
      id = state.id;
      allowed = state.steer ?? [];
      styles = state.styles ?? 1;
      touched = -Infinity;
      current = fill(state.turn);
      make();
      show();
    },
    /** Follows the server's turn, unless it was us a moment ago. */
    update(state) {
      over = state.state === "finished" || state.state === "failed";
      $("#steer-note").hidden = !over;
      $("#steer-group").hidden = !allowed.length || state.state === "failed";
      if (performance.now() - touched < 1500 || !state.turn) return;
      current = fill(state.turn);
      show();
    },
    turn: () => current,
    neutral: () => { if (id) change(neutral()); },
  };

  function fill(turn) {
    const known = { ...neutral(), ...turn };
    if (known.mix) { const most = Math.max(...known.mix, 1e-9); known.mix = known.mix.map((share) => share / most); }
    return known;
  }
}
