/* Comfort only: the theme, copying, links into what is closed. The page says everything without it. */
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");

  // The theme: the system's, until the button says otherwise. A file:// page may have no storage.
  const stored = (value) => {
    try {
      if (value) localStorage.setItem("deltaproof-theme", value);
      return localStorage.getItem("deltaproof-theme");
    } catch { return null; }
  };
  if (stored()) root.dataset.theme = stored();
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    stored(root.dataset.theme);
  });

  // Copying: with the clipboard where the browser lets a file have it, else by selection.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    const code = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = document.execCommand("copy") ? "copied" : "selected";
    }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });

  // A link into a closed place opens it (browsers do so for `details`, the older ones only sometimes).
  const reveal = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (!target) return;
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    target.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
