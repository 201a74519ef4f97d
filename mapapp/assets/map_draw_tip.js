/* What is under the pointer, in words: name, state and since when. One element, no request until the pointer rests. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const REST_MS = 130;
  const KEPT_MS = 15000;
  const known = new Map(); // "kind/id" -> {at, row}
  let map = null, parts = [], box = null, timer = null, current = "", overMark = false;

  const say = () => campus.text;
  const t = (key, values) => (say() ? say().t(key, values) : key);
  const code = (prefix, value) => (say() ? say().code(prefix, value) : value);
  const named = (row, stem) => (say() ? say().name(row, stem) : row[`${stem}_zh`] || "");
  const age = (iso) => (iso && say() ? say().ageOf(iso) : "");

  function line(className, text) {
    if (!text) return null;
    const node = document.createElement("div");
    node.className = className;
    node.textContent = text;
    return node;
  }

  /** State in words and for how long: "lost · 5 min (timeout)"; evidence that is old says so itself. */
  function state(row) {
    if (!row.state) return "";
    const since = row.state_at ? ` · ${age(row.state_at)}` : "";
    const why = row.state_reason ? ` (${code("layer.reason", row.state_reason)})` : "";
    return `${code("layer.state", row.state)}${since}${why}`;
  }

  const LINES = {
    schools: (row) => [named(row, "name"), state(row), row.devices ? t("layer.tip.devices", { up: row.devices_up, all: row.devices }) : ""],
    cameras: (row) => [named(row, "name"), state(row), row.seen_at ? t("layer.tip.seen", { age: age(row.seen_at) }) : t("layer.tip.never_seen"), named(row, "school")],
    devices: (row) => [`${named(row, "name")} · ${code("layer.zone", row.zone)}`, state(row), row.seen_at ? t("layer.tip.seen", { age: age(row.seen_at) }) : t("layer.tip.never_seen"), named(row, "school")],
    cells: (row) => [row.code, row.open_hazards ? t("layer.tip.hazards", { n: row.open_hazards }) : t("layer.tip.no_hazard"),
      named(row, "owner") ? t("layer.tip.owner", { name: named(row, "owner") }) : t("layer.tip.no_owner"), named(row, "school")],
    routes: (row) => [named(row, "name"), t("layer.tip.route", { km: (row.length_m / 1000).toFixed(2), n: row.per_day }),
      row.state_at ? t("layer.tip.walked", { age: age(row.state_at) }) : t("layer.tip.never_walked"), named(row, "school")],
    units: (row) => [`${row.code} · ${named(row, "name")}`, `${code("layer.unit", row.kind)} · ${code("layer.status", row.status)}`, row.seen_at ? t("layer.tip.heard", { age: age(row.seen_at) }) : ""],
  };

  function fill(what, row) {
    box.replaceChildren();
    LINES[what.kind](row).forEach((text, i) => {
      const node = line(i ? "map-tip-line" : "map-tip-name", text);
      if (node) box.append(node);
    });
    box.dataset.state = row.state || "";
    box.hidden = false;
    const at = map.latLngToContainerPoint(what.latlng), size = map.getSize();
    const x = Math.min(at.x + 14, size.x - box.offsetWidth - 8), y = at.y + 14 + box.offsetHeight > size.y ? at.y - 14 - box.offsetHeight : at.y + 14;
    box.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
  }

  async function describe(what) {
    const key = `${what.kind}/${what.id}`;
    const kept = known.get(key);
    let row = kept && performance.now() - kept.at < KEPT_MS ? kept.row : null;
    if (!row) {
      row = await campus.describe(what.kind, what.id);
      known.set(key, { at: performance.now(), row });
      if (known.size > 200) known.delete(known.keys().next().value);
    }
    if (row && current === key) fill(what, row);
  }

  const tip = (campus.layers.tip = {
    attach(leaflet, made) {
      map = leaflet;
      parts = made.filter((part) => part.hit).reverse();
      box = document.createElement("div");
      box.className = "map-tip";
      box.setAttribute("role", "tooltip");
      box.hidden = true;
      map.getContainer().append(box);
      map.on("mousemove", (event) => { if (!overMark) point(event); });
      map.on("mouseout movestart zoomstart", () => tip.hide());
      map.on("click", (event) => {
        const found = under(event.latlng);
        if (!found) campus.layers.highlight([]);
        else campus.layers.choose({ kind: found.kind.replace(/s$/, ""), id: found.id, lat: event.latlng.lat, lon: event.latlng.lng });
      });
      map.on("keydown", (event) => { if (event.originalEvent.key === "Escape") tip.hide(); });
    },

    show(what) {
      overMark = what.kind === "schools" || what.kind === "units";
      const key = `${what.kind}/${what.id}`;
      if (key === current) return;
      current = key;
      box.hidden = true;
      clearTimeout(timer);
      timer = setTimeout(() => describe(what).catch((err) => console.warn("not described", key, err)), REST_MS);
    },

    hide() {
      overMark = false;
      current = "";
      clearTimeout(timer);
      if (box) box.hidden = true;
    },
  });

  function under(latlng) {
    const [x, y] = campus.geo.world(latlng.lat, latlng.lng), zoom = Math.round(map.getZoom());
    for (const part of parts) {
      const found = part.isOn ? part.hit(x, y, zoom) : null;
      if (found) return found;
    }
    return null;
  }

  let rests = null; // where the pointer was last; looked at once a frame
  function point(event) {
    const isAsked = rests !== null;
    rests = event.latlng;
    if (isAsked) return;
    requestAnimationFrame(() => {
      const latlng = rests;
      rests = null;
      if (overMark) return;
      const found = under(latlng);
      map.getContainer().classList.toggle("is-over", Boolean(found) && found.kind !== "cells");
      if (found) tip.show({ ...found, latlng: found.x ? campus.geo.latlng(found.x, found.y) : latlng });
      else if (current) tip.hide();
    });
  }
})();
