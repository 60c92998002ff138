/* Light or dark: what was chosen before is put on <html> before anything is drawn (a plain script, so that nothing flashes). */
(() => {
  "use strict";
  const root = document.documentElement;
  const read = () => { try { return localStorage.getItem("studio-theme"); } catch { return null; } };
  const keep = (value) => { try { localStorage.setItem("studio-theme", value); } catch { /* not kept, then */ } };
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  const known = read();
  if (known === "light" || known === "dark") root.dataset.theme = known;

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      keep(root.dataset.theme);
    });
  });
})();
