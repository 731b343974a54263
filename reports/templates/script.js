/* Comfort only: the filters of a run. The page says everything without them. */
(() => {
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));

  // Filters: they act on the results and on the grid, whose squares are counted again from what is left.
  const form = document.getElementById("filters");
  const gravity = ["failed", "inconclusive", "known", "skipped", "passed"];
  const symbols = { failed: "✕", inconclusive: "?", known: "◆", skipped: "–", passed: "✓" };
  const rows = all(".r").map((element) => ({
    element, data: element.dataset, text: element.querySelector("summary").textContent.toLowerCase(),
  }));
  const tiles = new Map(all("a.tile").map((tile) => [[tile.dataset.f, tile.dataset.w, tile.dataset.l, tile.dataset.r].join("\n"), tile]));
  const groups = all(".group");
  const kinds = all(".groups");
  const fields = { family: "fa", dtype: "d", form: "f", standing: "s", cause: "c" };

  const apply = () => {
    const chosen = new FormData(form);
    const words = (chosen.get("text") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = Object.entries(fields).map(([name, key]) => [key, chosen.get(name)]).filter((pair) => pair[1]);
    const active = wanted.length > 0 || words.length > 0;
    const counts = new Map();
    let shown = 0;
    for (const { element, data, text } of rows) {
      const route = `${data.w}>${data.f}${data.l ? "-" + data.l : ""}>${data.r}`.toLowerCase();
      const keep = wanted.every(([key, value]) => data[key] === value)
        && words.every((word) => text.includes(word) || route.includes(word));
      element.hidden = !keep;
      if (!keep) continue;
      shown += 1;
      const square = [data.f, data.w, data.l, data.r].join("\n");
      if (!counts.has(square)) counts.set(square, {});
      counts.get(square)[data.s] = (counts.get(square)[data.s] || 0) + 1;
    }
    for (const [square, tile] of tiles) {
      const count = counts.get(square) || {};
      const worst = gravity.find((each) => count[each] && each !== "skipped") || (count.skipped && "skipped");
      const total = gravity.reduce((sum, each) => sum + (count[each] || 0), 0);
      tile.className = worst ? `tile ${worst}` : "tile none faded";
      tile.firstChild.textContent = worst ? symbols[worst] : "·";
      tile.lastChild.textContent = worst ? (count[worst] === total ? total : `${count[worst]}/${total}`) : "none";
      const sentence = gravity.filter((each) => count[each]).map((each) => `${count[each]} ${each}`).join(", ");
      const { w, l, r } = tile.dataset;
      tile.title = `${w}${l ? " " + l : ""}${r ? " → " + r : ""}: ${sentence || "nothing matches"}`;
      tile.setAttribute("aria-label", `${tile.title} (${tile.dataset.f})`);
    }
    for (const group of groups) {
      group.hidden = !group.querySelector(".r:not([hidden])");
      if (active && shown <= 60 && !group.hidden) group.open = true;
    }
    for (const kind of kinds) {
      kind.hidden = !kind.querySelector(".group:not([hidden])");
      kind.previousElementSibling.hidden = kind.hidden;
    }
    document.getElementById("shown").textContent = active ? `${shown} of ${rows.length} results` : "";
    document.getElementById("none-shown").hidden = shown > 0;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  if (new FormData(form).values().some?.((value) => value)) apply();
})();
