/* The settings' fields, made from the server's form: the main ones by hand's rule, all others under "More settings". */

import { $, $$, el, say, showError } from "./dom.js";
import { QUALITY, store } from "./store.js";
import { capital, choiceWord, headingWord, helpWord, labelWord, plural } from "./words.js";

const SIZES = ["256", "384", "512", "768", "1024"];
const fieldId = (name) => `field-${name}`;

/** Makes all fields, once. */
export function makeForm(form) {
  const main = form.fields.filter((field) => field.heading === "main");
  $("#main-fields").append(el("div", { class: "group" }, ...main.map((field) => makeField(field, form))));
  const headings = [...new Set(form.fields.map((field) => field.heading))].filter((heading) => heading !== "main");
  for (const heading of headings) {
    const fields = form.fields.filter((field) => field.heading === heading);
    $("#more-fields").append(el("section", { class: "more-section" }, el("h3", {}, headingWord(heading)), ...fields.map((field) => makeField(field, form))));
  }
  $("#more-find").addEventListener("input", find);
  $("#more-find").addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  $("#more-reset").addEventListener("click", () => { store.set({ settings: {}, turns: [] }); });
  store.on(["settings"], show);
  show(store.get());
}

function makeField(field, form) {
  const id = fieldId(field.name);
  const label = el("label", { for: id }, labelWord(field));
  const control = makeControl(field, form, id);
  const help = el("p", { class: "hint", id: `${id}-help` }, helpWord(field));
  const error = el("p", { class: "field-error", id: `${id}-error`, role: "alert", hidden: true });
  const box = el("div", { class: `field field-${field.kind}`, "data-field": field.name });
  if (field.kind === "flag") box.append(el("div", { class: "check" }, control, label));
  else if (isStrength(field)) box.append(el("div", { class: "label-row" }, label, el("output", { for: id, class: "number" })), control, ends("the photograph", "pure style"));
  else box.append(label, control);
  if (control.hasAttribute("list")) box.append(el("datalist", { id: `${id}-list` }, ...field.choices.map((choice) => el("option", { value: choice }, choiceWord(field.name, choice)))));
  if (field.name === "size") box.append(sizeButtons());
  if (!isStrength(field)) box.append(help);
  box.append(error);
  control.setAttribute("aria-describedby", `${isStrength(field) ? "" : `${id}-help `}${id}-error`);
  return box;
}

const isStrength = (field) => field.name === "strength";
const ends = (left, right) => el("div", { class: "ends", "aria-hidden": "true" }, el("span", {}, left), el("span", {}, right));

function makeControl(field, form, id) {
  const common = { id, name: field.name, "data-name": field.name, autocomplete: "off" };
  let control;
  if (isStrength(field)) control = el("input", { ...common, type: "range", min: 0, max: 1, step: 0.01 });
  else if (field.kind === "flag") control = el("input", { ...common, type: "checkbox" });
  else if (field.kind === "choice") control = el("select", common, ...options(field));
  else control = el("input", { ...common, type: "text", placeholder: hint(field), inputmode: field.kind === "number" ? "decimal" : null, spellcheck: "false", list: field.choices?.length ? `${id}-list` : null });
  control.addEventListener(field.kind === "text" || field.kind === "number" ? "change" : "input", () => change(field, valueOf(field, control)));
  if (isStrength(field)) control.addEventListener("dblclick", () => change(field, ""));
  return control;
}

/* A single letter says nothing; a form of writing does. */
const hint = ({ placeholder }) => placeholder && !/^[A-Z]+$/.test(placeholder) ? placeholder : null;

function options(field) {
  const bare = field.default ? [] : [el("option", { value: "" }, "as the recipe says")];
  return [...bare, ...field.choices.map((choice) => el("option", { value: choice }, choiceWord(field.name, choice)))];
}

function sizeButtons() {
  return el("div", { class: "chips" }, ...SIZES.map((size) => el("button", { type: "button", class: "chip number", "data-size": size, "aria-pressed": "false",
    onclick: () => change(fieldCalled("size"), size) }, size)));
}

const fieldCalled = (name) => store.get().form.fields.find((field) => field.name === name);

function valueOf(field, control) {
  if (field.kind === "flag") return control.checked ? "yes" : "";
  return control.value.trim();
}

function neutral(field) {
  return field.default || (isStrength(field) ? "0.5" : "");
}

/** Keeps a setting only while it differs from what it is by default. */
function change(field, text) {
  const settings = { ...store.get().settings };
  if (field.name === "quality") for (const name of QUALITY) delete settings[name];
  if (text === "" || text === neutral(field)) delete settings[field.name]; else settings[field.name] = text;
  clearErrors();
  store.set({ settings });
}

function show({ settings, form }) {
  for (const field of form.fields) {
    const control = document.getElementById(fieldId(field.name));
    const text = settings[field.name] ?? neutral(field);
    if (field.kind === "flag") control.checked = text === "yes";
    else if (document.activeElement !== control || control.value.trim() !== text) setValue(control, text);
    control.closest(".field").classList.toggle("changed", field.name in settings);
    if (isStrength(field)) say($("output", control.closest(".field")), Number(control.value).toFixed(2));
  }
  const { default: bare, placeholder } = fieldCalled("size") ?? {}, sizeNow = bare || placeholder;
  for (const chip of $$("[data-size]")) chip.setAttribute("aria-pressed", String(chip.dataset.size === (settings.size ?? sizeNow)));
  const recipe = form.recipes.find((known) => known.name === (settings.recipe ?? form.recipe));
  const about = document.getElementById(`${fieldId("recipe")}-help`);
  if (about) say(about, capital(recipe?.about ?? ""));
  const hidden = Object.keys(settings).filter((name) => fieldCalled(name)?.heading !== "main").length;
  const others = Object.entries(settings).filter(([name]) => !fieldCalled(name)).map(([name, value]) => `${name} ${value}`);
  say($("#more-extra"), others.length ? `Kept as it was: ${others.join(", ")}` : "");
  $("#more-extra").hidden = !others.length;
  say($("#more-count"), hidden ? `${plural(hidden, "change")}` : "");
  $("#more-reset").hidden = !Object.keys(settings).length;
}

/** A restored setting may have a value that is not among the choices: it is shown all the same. */
function setValue(control, text) {
  if (control.tagName === "SELECT" && ![...control.options].some((option) => option.value === text)) control.append(el("option", { value: text }, text));
  control.value = text;
}

function find() {
  const words = $("#more-find").value.trim().toLowerCase();
  let shown = 0;
  for (const box of $$("#more-fields .field")) {
    box.hidden = Boolean(words) && !box.textContent.toLowerCase().includes(words) && !box.dataset.field.includes(words);
    shown += !box.hidden;
  }
  for (const section of $$("#more-fields .more-section")) section.hidden = !$(".field:not([hidden])", section);
  $("#more-none").hidden = shown > 0;
}

export function clearErrors() {
  for (const error of $$("#order .field-error, .wells .field-error")) showError(error, "");
  for (const control of $$("#order [aria-invalid]")) control.removeAttribute("aria-invalid");
}

/** Shows what the server said: at the field it named, else above the button. */
export function showOrderError(error) {
  clearErrors();
  const text = error.message.replace(/^settings must be .*?, got: /, "");
  const name = error.field ?? text.match(/^([a-z][a-z0-9-]*)(?: must|:)/)?.[1]; // errors begin with the field that they are about
  if (name === "content" || name === "style") return showError($(`#error-${name}`), text);
  const control = name && document.getElementById(fieldId(name));
  if (!control) return showError($("#error-order"), text);
  control.setAttribute("aria-invalid", "true");
  showError(document.getElementById(`${fieldId(name)}-error`), text);
  return undefined;
}

/** Opens and goes to the field that an error is about. */
export function goToError() {
  const control = $("#order [aria-invalid]");
  if (!control) return;
  const inside = control.closest("details");
  if (inside) { inside.open = true; $("#more-find").value = ""; find(); }
  control.focus();
  control.scrollIntoView({ block: "center" });
}
