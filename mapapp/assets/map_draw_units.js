/* Units: a few hundred markers of their own pane; they move live, fade with the age of their position, and say so. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const FRESH_S = 60, STALE_S = 300, LOOK_MS = 5000;
  const NAMED_FROM = 13;
  const SIGNS = {
    patrol_car: '<path d="M5 13.5v-3l1.6-3.6h6.8L15 10.5v3z"/><circle cx="7" cy="13.6" r="1.5"/><circle cx="13" cy="13.6" r="1.5"/>',
    motorcycle: '<circle cx="6" cy="13" r="2.2"/><circle cx="14" cy="13" r="2.2"/><path d="M6 12.4 9 8.6h3.6l1.4 3.8-2.2.2-1.2-2z"/>',
    foot: '<circle cx="10" cy="6" r="1.9"/><path d="M8 9h4l1 4-1.4.3L11 16h-2l-.6-2.7L7 13z"/>',
    station: '<path d="M5.4 15V8.6L10 5.2l4.6 3.4V15h-3.2v-3.6H8.6V15z"/>',
  };
  const units = new Map(); // unit id -> {row, marker, node}
  let map = null;
  let isOn = true;
  let timer = null;
  let ahead = 0; // ms the server's clock is ahead of this screen's

  const now = () => (campus.text ? campus.text.now() : Date.now() + ahead);

  function icon(row) {
    const node = document.createElement("div");
    node.className = "unit";
    node.innerHTML = `<svg viewBox="0 0 20 20" aria-hidden="true">${SIGNS[row.kind] || SIGNS.foot}</svg><span class="unit-name"></span>`;
    return node;
  }

  function tone(unit) {
    const { row, node } = unit;
    const age = row.kind === "station" ? 0 : (now() - Date.parse(row.at)) / 1000;
    const look = !(age < STALE_S) ? "stale" : age < FRESH_S ? "fresh" : "old";
    if (node.dataset.age !== look) node.dataset.age = look;
    if (node.dataset.status !== row.status) node.dataset.status = row.status;
    const words = look === "stale" && campus.text && row.at ? `${row.code} · ${campus.text.ageOf(row.at)}` : row.code;
    if (node.lastChild.textContent !== words) node.lastChild.textContent = words;
  }

  function put(said) {
    const row = said.position_at ? { ...said, at: said.position_at } : said; // the stream names the column
    let unit = units.get(row.unit_id);
    if (!unit) {
      if (!Number.isFinite(row.lat) || !row.code) return false;
      const node = icon(row);
      const marker = L.marker([row.lat, row.lon], {
        icon: L.divIcon({ html: node, className: "unit-box", iconSize: [0, 0] }), pane: "campus-units", keyboard: false, alt: row.code,
      });
      unit = { row, marker, node };
      units.set(row.unit_id, unit);
      marker.on("click", () => campus.layers.choose({ kind: "unit", id: row.unit_id, lat: unit.row.lat, lon: unit.row.lon }));
      marker.on("mouseover", (event) => campus.layers.tip.show({ kind: "units", id: row.unit_id, latlng: marker.getLatLng() }, event.originalEvent));
      marker.on("mouseout", () => campus.layers.tip.hide());
      if (map && isOn) marker.addTo(map);
    } else {
      if (unit.row.at && row.at && Date.parse(row.at) < Date.parse(unit.row.at)) return true; // an older position came late
      unit.row = { ...unit.row, ...row };
      if (Number.isFinite(row.lat)) unit.marker.setLatLng([row.lat, row.lon]);
    }
    tone(unit);
    return true;
  }

  function show() {
    if (!map) return;
    map.getPane("campus-units").classList.toggle("is-named", map.getZoom() >= NAMED_FROM);
    for (const unit of units.values()) {
      if (isOn) unit.marker.addTo(map);
      else unit.marker.remove();
      tone(unit);
    }
  }

  const api = (campus.layers.units = {
    units,
    /** A live position: {unit_id, lon, lat, at, ...}; an unknown unit makes the list be read again. */
    move(row) {
      if (!put(row)) api.refresh().catch((err) => console.warn("units not read", err));
    },
    async refresh() {
      const answer = await campus.fetchWhole("units");
      if (!answer) return;
      const body = await answer.json();
      ahead = Date.parse(body.now) - Date.now();
      const here = new Set(body.units.map((row) => row.unit_id));
      for (const [id, unit] of units) if (!here.has(id)) unit.marker.remove(), units.delete(id);
      body.units.forEach(put);
    },
  });

  campus.layers.declare({
    id: "units",
    attach(leaflet) {
      map = leaflet;
      api.refresh().then(show, (err) => console.warn("units not read", err));
      map.on("zoomend", show);
      timer = timer || setInterval(() => units.forEach(tone), LOOK_MS);
    },
    setOn(on) {
      isOn = on;
      show();
    },
    refresh: () => api.refresh(),
    live: {
      "unit.moved": (body) => (body.units || [body]).forEach((row) => row.unit_id && api.move(row)),
      "unit.changed": (body) => (body.unit_id ? put(body) : null),
    },
  });
})();
