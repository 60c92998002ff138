/* What a painting will take: one line always, and a question before a large one. */

import { $, ask, debounce, el, say } from "./dom.js";
import { api } from "./api.js";
import { clearErrors, showOrderError } from "./form.js";
import { currentAsk, store } from "./store.js";
import { bytes, plural, size, time } from "./words.js";

let running = null;

export function makePlan() {
  const soon = debounce(update, 350);
  store.on(["content", "styles", "settings", "masks"], soon);
}

async function update() {
  running?.abort();
  const order = currentAsk();
  if (!order) return say($("#plan"), missing());
  running = new AbortController();
  try {
    const plan = await api.plan(order, running.signal);
    clearErrors();
    say($("#plan"), summary(plan));
  } catch (error) {
    if (error.name === "AbortError") return undefined;
    showOrderError(error);
    say($("#plan"), $("#order [aria-invalid]") ? "One setting needs another value." : "");
  }
  return undefined;
}

function missing() {
  const { content, styles } = store.get();
  const wanted = [content, ...styles].filter((one) => one && !one.id).map((one) => one.name);
  if (wanted.length) return `Still needed: ${wanted.join(", ")}.`;
  if (!content && !styles.length) return "Choose a photograph and a painting.";
  return content ? "Choose a painting." : "Choose a photograph.";
}

function summary(plan) {
  const steps = plan.stages.reduce((sum, stage) => sum + stage.steps, 0);
  return [size(plan.width, plan.height), plural(steps, "step"), bytes(plan.memory), plan.seconds ? `about ${time(plan.seconds)}` : null].filter(Boolean).join(" · ");
}

/** Asks whether a large one is to begin; true at once for others. */
export async function agreed(plan, what = "Paint") {
  if (!plan.large) return true;
  $("#confirm-title").textContent = "This is a large one";
  say($("#confirm-yes"), what);
  $("#confirm-body").replaceChildren(
    el("dl", { class: "facts" }, ...facts(plan).flatMap(([name, text]) => [el("dt", {}, name), el("dd", { class: "number" }, text)])),
    ...plan.notes.map((note) => el("p", { class: "hint" }, note)));
  return await ask($("#confirm")) === "yes";
}

function facts(plan) {
  const stages = plan.stages.map((stage) => `${size(stage.width, stage.height)}, ${plural(stage.steps, "step")}${stage.network && stage.network !== "main" ? ` (${stage.network})` : ""}`);
  return [["Size", size(plan.width, plan.height)], ["Time", plan.seconds ? `about ${time(plan.seconds)}` : "not known yet"], ["Memory", bytes(plan.memory)], ["How", plan.how], ["Sizes", stages.join("; ")]].filter(([, text]) => text);
}
