/* Asks what the nine pictures of a grid differ in. */

import { $, ask, once, showError } from "./dom.js";

const AXES = {
  "style-weight": { label: "Weight of the painting", values: ["0.3", "1", "3"], note: "Times what the recipe says." },
  "content-weight": { label: "Weight of the photograph", values: ["0.3", "1", "3"], note: "Times what the recipe says." },
  "tv-weight": { label: "Smoothness", values: ["0", "1e3", "1e4"], note: "The weight of total variation itself: 0 is none." },
  seed: { label: "Chance (seed)", values: ["0", "1", "2"], note: "Differs only where it starts from noise." },
};

export function makeGridDialog(form, start) {
  const axis = $("#grid-axis"), inputs = $("#grid-form").elements;
  const known = Object.keys(AXES).filter((name) => form.fields.some((field) => field.name === name));
  axis.append(...known.map((name) => new Option(AXES[name].label, name)));
  const fill = () => {
    const { values, note } = AXES[axis.value];
    values.forEach((value, i) => { inputs[`across${i}`].value = value; });
    $("#grid-axis-note").textContent = note;
  };
  axis.addEventListener("change", fill);
  if (known.length) fill();
  const three = (name) => [0, 1, 2].map((i) => inputs[`${name}${i}`].value.trim());

  $("#grid-open").addEventListener("click", () => once($("#grid-open"), async () => {
    showError($("#grid-error"), "");
    for (;;) {
      if (await ask($("#grid-dialog")) !== "yes") return;
      try {
        await start({ name: axis.value, values: three("across") }, { name: "strength", values: three("down") });
        return;
      } catch (error) {
        showError($("#grid-error"), error.message);
      }
    }
  }));
  $("#grid-form").addEventListener("keydown", (event) => { if (event.key === "Enter" && event.target.tagName === "INPUT") { event.preventDefault(); $("#grid-start").click(); } });
}
