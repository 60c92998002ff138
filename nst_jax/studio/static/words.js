/* Words for numbers, times, sizes, states and the names of choices: plain English in one place. */

const CHOICES = {
  colour: { style: "The painting’s", "content-luminance": "The photograph’s", "match-chol": "The photograph’s, matched", "match-pca": "The photograph’s, matched by main axes",
    "match-sym": "The photograph’s, matched evenly", only: "The painting’s, without strokes" },
  network: { vgg19: "Best (VGG19)", fast: "Fast (a first look)" },
  quality: { quick: "Quick", sketch: "Sketch (soonest, roughest)", full: "Full (best, slowest)" },
  init: { content: "the photograph", noise: "noise", style: "the painting", statistics: "the painting’s colours" },
};
const LABELS = { network: "Quality", colour: "Colours" };
const HELP = { quality: "Quick begins with a small network and ends with the large one.", size: "Of the longer edges, in pixels; or exactly: 640x480.", recipe: "", colour: "Whose colours the picture has.", network: "Fast is nearly the same picture in a tenth of the time." };
const HEADINGS = { recipe: "The recipe in detail", control: "What goes where, whose colours", network: "The network", run: "How long", machine: "The machine" };
const STATES = { waiting: "Waiting", preparing: "Preparing", painting: "Painting", paused: "Paused", finished: "Finished", failed: "Failed" };
const LOSSES = { content: "from the photograph", style: "from the painting", variation: "roughness" };

export const choiceWord = (field, value) => CHOICES[field]?.[value] ?? value;
export const labelWord = (field) => LABELS[field.name] ?? field.label;
export const helpWord = (field) => HELP[field.name] ?? capital(field.help ?? "");
export const headingWord = (heading) => HEADINGS[heading] ?? capital(heading);
export const lossWord = (name) => LOSSES[name] ?? name;
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export function stateWord(state, place) {
  if (state !== "waiting") return STATES[state] ?? capital(state);
  return place > 1 ? `Waiting, ${ordinal(place)} in the queue` : place === 1 ? "Waiting, next in the queue" : "Waiting in the queue";
}

export function ordinal(n) {
  const teen = n % 100 > 10 && n % 100 < 14;
  return n + (teen ? "th" : ["th", "st", "nd", "rd"][n % 10] ?? "th");
}

export function number(x) {
  if (!Number.isFinite(x)) return "–";
  const size = Math.abs(x);
  if (size === 0) return "0";
  if (size >= 1e5 || size < 1e-3) return x.toExponential(1).replace("e+", "e").replace("-", "−");
  return size >= 100 ? Math.round(x).toLocaleString("en") : String(Number(x.toPrecision(3)));
}

export function time(seconds) {
  if (seconds < 1) return "a moment";
  if (seconds < 90) return plural(Math.round(seconds), "second");
  if (seconds < 5400) return plural(Math.round(seconds / 60), "minute");
  return `${Number((seconds / 3600).toPrecision(2))} hours`;
}

export function bytes(n) {
  if (n < 1e6) return `${Math.max(1, Math.round(n / 1e3))} kB`;
  return n < 1e9 ? `${Math.round(n / 1e6)} MB` : `${Number((n / 1e9).toPrecision(2))} GB`;
}

export const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
export const size = (width, height) => `${width} × ${height}`;
/** A bare name for a file: without folders. */
export const fileName = (text) => String(text ?? "").split(/[\\/]/).pop();
