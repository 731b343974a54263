/* Comfort only: the filters of the faults. The page says everything without them. */
(() => {
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
  const form = document.getElementById("filters");
  const columns = new Map(all(".column").map((column) => [column.hash.slice(1), column]));
  const rows = all(".f").map((element) => ({ element, data: element.dataset, text: element.textContent.toLowerCase() }));
  const areas = all(".area");

  const apply = () => {
    const chosen = new FormData(form);
    const words = (chosen.get("text") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const bad = chosen.get("bad"), area = chosen.get("area"), check = chosen.get("check");
    let shown = 0;
    for (const { element, data, text } of rows) {
      const keep = (!bad || data.s !== "named")
        && (!area || data.a === area)
        && (!check || (bad ? data.b : data.o).split(" ").includes(check))
        && words.every((word) => text.includes(word));
      element.hidden = !keep;
      columns.get(element.id)?.classList.toggle("faded", !keep);
      if (keep) shown += 1;
    }
    for (const each of areas) each.hidden = !each.querySelector(".f:not([hidden])");
    const active = bad || area || check || words.length;
    document.getElementById("shown").textContent = active ? `${shown} of ${rows.length} faults` : "";
    document.getElementById("none-shown").hidden = shown > 0;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  if (Array.from(new FormData(form).values()).some(Boolean)) apply();
})();
