// Legend and layer switch in one place: what a mark means, and whether it is drawn.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const { h, fill, attr } = campus.dom;
  const { t } = campus.text;
  let root = null;
  let isOpen = false;

  function swatch(sign) {
    const node = h("span", { class: "swatch" });
    node.innerHTML = campus.layers.swatch(sign.shape, sign.colour); // our own constant shapes, no data in them
    return node;
  }

  function line(layer) {
    const isOn = layer.on;
    const zoom = campus.marks.map() ? campus.marks.map().getZoom() : 20;
    const tooFar = layer.min_zoom > Math.round(zoom);
    const signs = layer.signs.map((sign) => h("li", {}, swatch(sign), h("span", {}, t(sign.key))));
    const control = layer.switch
      ? h(
          "button",
          {
            class: "switch",
            role: "switch",
            "aria-checked": isOn ? "true" : "false",
            "data-layer": layer.id,
            on: { click: () => toggle(layer.id) },
          },
          h("span", { class: "switch-dot" }),
          h("span", {}, t(layer.title)),
        )
      : h("span", { class: "switch switch-fixed" }, t(layer.title));
    return h(
      "li",
      { class: "legend-layer" },
      h("div", { class: "legend-line" }, control, isOn && tooFar ? h("span", { class: "sub" }, t("legend.closer")) : null),
      h("ul", { class: "legend-signs" }, ...signs),
    );
  }

  function toggle(id) {
    campus.layers.toggle(id);
    campus.operator.acted();
    campus.frame.need("legend");
  }

  const own = [
    ["critical", "legend.critical"],
    ["high", "legend.high"],
    ["attention", "legend.attention"],
    ["candidate", "legend.candidate"],
  ];

  function paint() {
    if (!root || !campus.layers || !campus.layers.legend) return;
    const held = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.layer : null;
    const list = campus.layers.legend();
    const may = own.filter(([sign]) => sign !== "candidate" || campus.me.may("candidate.view"));
    const short = root.querySelector("#legend-short");
    fill(
      short,
      ...may.map(([sign, key]) => h("span", { class: "legend-chip sign-" + sign }, campus.dom.shape(sign), t(key))),
      ...list
        .filter((layer) => layer.id === "schools")
        .flatMap((layer) =>
          layer.signs
            .filter((sign) => !sign.key.endsWith(".alarm"))
            .map((sign) => h("span", { class: "legend-chip" }, swatch(sign), t(sign.key))),
        ),
    );
    const full = root.querySelector("#legend-full");
    full.hidden = !isOpen;
    attr(root.querySelector("#legend-toggle"), "aria-expanded", isOpen ? "true" : "false");
    if (isOpen) {
      fill(full, h("ul", { class: "legend-layers" }, ...list.map(line)));
      if (held) full.querySelector('[data-layer="' + held + '"]')?.focus();
    }
  }

  campus.frame.job("legend", paint);
  campus.legend = {
    start(node, map) {
      root = node.querySelector("#wall-legend");
      root.querySelector("#legend-toggle").addEventListener("click", () => {
        isOpen = !isOpen;
        campus.frame.need("legend");
      });
      map.on("campus:layers zoomend", () => campus.frame.need("legend"));
      campus.frame.need("legend");
    },
  };
})();
