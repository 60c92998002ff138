/* The drawer with the paintings so far; deleting one asks once. */

import { $, el, icon, message } from "./dom.js";
import { api, address } from "./api.js";
import { capital, size, stateWord } from "./words.js";

export function makeDrawer(navigate, current) {
  const drawer = $("#drawer");
  let timer = null;

  async function load() {
    try {
      const known = await api.paintings();
      if (!drawer.open) return;
      $("#drawer-none").hidden = known.length > 0;
      if (!$("[data-sure]", drawer)) $("#drawer-list").replaceChildren(...known.map(entry));
      timer = setTimeout(load, 3000);
    } catch (error) {
      drawer.close();
      message(error.message);
    }
  }

  function entry(painting) {
    const here = painting.id === current();
    const words = painting.state === "painting" || painting.state === "paused" ? `${stateWord(painting.state)}, ${painting.step} of ${painting.total}` : stateWord(painting.state, painting.place ?? 0);
    const image = el("img", { src: painting.width ? address.frame(painting.id, "latest", true, painting.step) : null, class: painting.width ? null : "none", alt: "", onerror: () => image.classList.add("none") });
    const link = el("a", { href: `/p/${painting.id}`, "aria-current": here ? "page" : null, onclick: (event) => { if (event.metaKey || event.ctrlKey) return; event.preventDefault(); drawer.close(); navigate(`/p/${painting.id}`); } },
      image, el("span", { class: "drawer-text" }, el("span", {}, capital(painting.title)), el("small", {}, [words, painting.width ? size(painting.width, painting.height) : ""].filter(Boolean).join(" · "))));
    const bin = el("button", { type: "button", class: "quiet", "aria-label": `Delete ${painting.title}`, title: "Delete", onclick: () => sure(row, painting) }, icon("bin"));
    const row = el("li", { "data-painting": painting.id }, link, bin);
    return row;
  }

  function sure(row, painting) {
    const yes = el("button", { type: "button", class: "danger", "data-sure": painting.id, onclick: async () => {
      try { await api.remove(painting.id); } catch (error) { message(error.message); }
      row.remove();
      clearTimeout(timer);
      if (painting.id === current()) { drawer.close(); navigate("/"); } else load();
    } }, "Delete");
    const no = el("button", { type: "button", class: "secondary", onclick: () => row.replaceWith(entry(painting)) }, "Keep");
    row.replaceChildren(el("p", {}, "Delete ", el("b", {}, painting.title), " for good?"), el("span", { class: "sure" }, no, yes));
    no.focus();
  }

  const open = () => { if (!drawer.open) { drawer.showModal(); load(); } };
  $("#drawer-open").addEventListener("click", open);
  drawer.addEventListener("close", () => { clearTimeout(timer); $("#drawer-list").replaceChildren(); });
  drawer.addEventListener("click", (event) => { if (event.target === drawer) drawer.close(); });
  return { open };
}
