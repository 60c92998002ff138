/* The filmstrip: thumbnails of the history; the one that is looked at is marked, and so are turns. */

import { $, $$, el } from "./dom.js";
import { address } from "./api.js";

export function makeStrip(onLook) {
  const strip = $("#strip");
  let id = null, epoch = 0, steps = [], looked = null, turned = "";

  function thumbnail(step) {
    return el("button", { type: "button", "data-step": step, tabindex: "-1", "aria-label": `Step ${step}`, onclick: () => choose(step) },
      el("img", { src: address.frame(id, step, true, epoch), alt: "", loading: "lazy", draggable: "false" }), el("span", { class: "number" }, String(step)));
  }

  const newest = () => steps.at(-1);
  const choose = (step) => onLook(step === newest() ? null : step);

  function update(state) {
    const atEnd = strip.scrollLeft + strip.clientWidth > strip.scrollWidth - 90;
    const history = state.history;
    const same = steps.length <= history.length && steps.every((step, i) => step === history[i]);
    if (!same) { // gone back: later steps will be others
      epoch += 1;
      for (const button of $$("button", strip)) if (!history.includes(Number(button.dataset.step))) button.remove();
      steps = history.filter((step) => strip.querySelector(`[data-step="${step}"]`));
    }
    strip.append(...history.filter((step) => !steps.includes(step)).map(thumbnail));
    steps = [...history];
    strip.parentElement.hidden = steps.length === 0;
    marks(state.turns);
    show(looked);
    if (atEnd && looked === null) strip.scrollLeft = strip.scrollWidth;
  }

  /* A turn is marked at the first picture that it has changed. */
  function marks(turns) {
    const text = JSON.stringify(turns) + steps.length;
    if (text === turned) return;
    turned = text;
    const marked = new Set((turns ?? []).map(([step]) => steps.find((known) => known >= step)));
    for (const button of $$("button", strip)) {
      const step = Number(button.dataset.step), here = marked.has(step);
      button.classList.toggle("turned", here);
      button.setAttribute("aria-label", here ? `Step ${step}, after a change` : `Step ${step}`);
    }
  }

  function show(step) {
    if (step === null && looked !== null) strip.scrollLeft = strip.scrollWidth;
    looked = step;
    const at = step ?? newest();
    for (const button of $$("button", strip)) {
      const here = Number(button.dataset.step) === at;
      if (here) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
      button.tabIndex = here ? 0 : -1;
    }
  }

  /** Moves by so many pictures; past the last one is the newest. */
  function move(by) {
    if (!steps.length) return;
    const at = looked === null ? steps.length - 1 : steps.indexOf(looked);
    const to = Math.max(0, Math.min(steps.length - 1, at + by));
    const inside = strip.contains(document.activeElement);
    choose(steps[to]);
    const button = $(`[data-step="${steps[to]}"]`, strip);
    if (inside) button.focus();
    button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  return {
    open(whose) { id = whose; steps = []; looked = null; turned = ""; strip.replaceChildren(); strip.parentElement.hidden = true; },
    update, show, move, epoch: () => epoch,
    /** The step of the history that is nearest to this one. */
    nearest: (step) => steps.reduce((best, known) => Math.abs(known - step) < Math.abs(best - step) ? known : best, steps[0]),
    choose,
  };
}
