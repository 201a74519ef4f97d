// Search and school card: Dash callbacks write both; here is what a key, a click and a choice on the map do with them.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  let root = null;
  let input = null;
  let results = null;
  let isHurried = false; // Enter came before the answer: the first result is taken when it is there

  const items = () => [...results.querySelectorAll(".result")];

  function choose(node) {
    const { schoolId, lon, lat } = node.dataset;
    results.hidden = true;
    input.blur();
    open(Number(schoolId));
    campus.operator.acted();
    campus.goTo({ lon: Number(lon), lat: Number(lat) });
  }

  function mark(node) {
    items().forEach((one) => one.setAttribute("aria-selected", one === node ? "true" : "false"));
    if (node) {
      input.setAttribute("aria-activedescendant", node.id);
      node.scrollIntoView({ block: "nearest" });
    }
  }

  function onKey(event) {
    const all = items();
    const index = all.findIndex((one) => one.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      mark(all[Math.max(0, Math.min(all.length - 1, index + (event.key === "ArrowDown" ? 1 : -1)))]);
    } else if (event.key === "Enter") {
      const node = all[Math.max(0, index)];
      if (node) choose(node);
      else isHurried = input.value.trim() !== "";
    } else if (event.key === "Escape") {
      event.stopPropagation();
      results.hidden = true;
      input.blur();
    }
  }

  function open(schoolId) {
    window.dash_clientside.set_props("wall-school", { data: { school_id: schoolId, lang: campus.text.lang(), asked: Date.now() } });
    root.querySelector("#wall-card").hidden = false;
    if (campus.layers && campus.layers.highlight) campus.layers.highlight([{ kind: "school", id: schoolId }]);
    root.dataset.school = schoolId;
  }

  // Gives whether a card was there to close.
  function close() {
    const card = root.querySelector("#wall-card");
    if (!card || card.hidden) return false;
    card.hidden = true;
    delete root.dataset.school;
    return true;
  }

  document.addEventListener("campus:select", (event) => {
    if (!root || !root.isConnected) return;
    campus.operator.acted();
    if (event.detail.kind === "school" && input) open(event.detail.id);
  });

  function again() {
    if (!input || !root.isConnected) return;
    if (root.dataset.school) open(Number(root.dataset.school));
    window.dash_clientside.set_props("wall-search-lang", { data: campus.text.lang() });
  }

  campus.school = {
    open,
    close,
    again,
    start(node) {
      root = node;
      input = node.querySelector("#wall-search");
      if (!input) return;
      // Dash's input takes none of these from the layout.
      for (const [name, value] of [
        ["data-testid", "search"],
        ["role", "combobox"],
        ["aria-controls", "wall-results"],
        ["data-t-hint", "wall.search"],
        ["data-t-label", "wall.search"],
      ])
        input.setAttribute(name, value);
      results = node.querySelector("#wall-results");
      input.addEventListener("keydown", onKey);
      input.addEventListener("focus", () => (results.hidden = false));
      input.addEventListener("input", () => ((results.hidden = false), (isHurried = false), campus.operator.acted()));
      new MutationObserver(() => {
        const first = items()[0];
        if (isHurried && first) choose(first);
        isHurried = false;
      }).observe(results, { childList: true });
      results.addEventListener("pointerdown", (event) => {
        const item = event.target.closest(".result");
        if (item) (event.preventDefault(), choose(item));
      });
      input.addEventListener("blur", () => setTimeout(() => (results.hidden = document.activeElement !== input), 150));
      node.querySelector("#wall-card-close").addEventListener("click", close);
    },
  };
})();
