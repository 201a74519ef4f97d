// Alarms and candidates on the map: a few strong marks in a pane of their own, above every layer.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const { h, svg, shape } = campus.dom;
  const { t, code, name, metres } = campus.text;
  const state = campus.state;
  const STRONG = 120; // marks that pulse as elements; beyond them a plain disc on canvas keeps the frame rate
  const LABELLED = 6;
  const TOGETHER_MS = 500;
  const NEAR_M = 160; // what a fly-to shows around the point, metres each way
  const CALM = window.matchMedia("(prefers-reduced-motion: reduce)");
  const COLOURS = { critical: "#ff4d4f", high: "#ff8a3d", attention: "#f5c542", candidate: "#a78bfa" };
  const strong = new Map();
  const plain = new Map();
  let map = null;
  let canvas = null;
  let links = null;

  function mark(item) {
    const { sort, row } = item;
    const sign = sort === "candidate" ? "candidate" : row.priority;
    const node = h("div", { class: "pin pin-" + sign });
    node.append(
      h("span", { class: "pin-ring" }),
      h("span", { class: "pin-ring pin-ring-late" }),
      h("span", { class: "pin-core" }, shape(sign)),
    );
    node.append(h("span", { class: "pin-label" }));
    return node;
  }

  function place(row) {
    return Number.isFinite(row.lat) && Number.isFinite(row.lon) ? [row.lat, row.lon] : null;
  }

  function addStrong(item, spot) {
    const node = mark(item);
    const icon = L.divIcon({ html: node, className: "pin-box", iconSize: [0, 0] });
    const marker = L.marker(spot, { icon, pane: "alarms", keyboard: false, alt: item.key, zIndexOffset: zIndex(item) }).addTo(map);
    marker.on("click", () => {
      campus.operator.acted();
      state.select({ sort: item.sort, id: Number(item.key.slice(1)) }, "operator");
    });
    node.dataset.key = item.key;
    const entry = { marker, node, press: 0, row: null };
    strong.set(item.key, entry);
    return entry;
  }

  const zIndex = (item) => (item.sort === "alarm" && state.demands(item.row) ? 3000 - 1000 * state.rank(item.row) : 0);

  function paintStrong(entry, item, isSelected, isLabelled) {
    const { row, sort } = item;
    const lang = campus.text.lang();
    if (entry.row === row && entry.isSelected === isSelected && entry.isLabelled === isLabelled && entry.lang === lang) return;
    Object.assign(entry, { row, isSelected, isLabelled, lang });
    const demands = sort === "alarm" ? state.demands(row) : true;
    const label =
      isSelected || isLabelled ? [name(row, "school") || t("alarm.unassigned"), name(row, "place")].filter(Boolean).join(" · ") : "";
    const { node, marker } = entry;
    node.dataset.demands = demands ? "1" : "0";
    node.dataset.selected = isSelected ? "1" : "0";
    campus.dom.text(node.lastChild, label);
    if (sort === "alarm" && entry.press !== row.press) {
      entry.press = row.press;
      // Two names for one animation: the other name starts it again, without asking for the layout.
      node.dataset.burst = node.dataset.burst === "a" ? "b" : "a";
    }
    marker.setZIndexOffset(isSelected ? 9000 : zIndex(item));
  }

  function paint() {
    if (!map) return;
    tellSchools();
    const items = state.rows().filter((item) => place(item.row));
    const chosen = state.selected();
    const chosenKey = chosen ? (chosen.sort === "alarm" ? "a" : "c") + chosen.id : "";
    const demanding = items.filter((item) => item.sort === "alarm" && state.demands(item.row)).length;
    const keepStrong = new Set();
    const keepPlain = new Set();
    items.forEach((item, index) => {
      const spot = place(item.row);
      if (index < STRONG || item.key === chosenKey) {
        keepStrong.add(item.key);
        const entry = strong.get(item.key) || addStrong(item, spot);
        paintStrong(entry, item, item.key === chosenKey, demanding <= LABELLED && index < LABELLED);
      } else {
        keepPlain.add(item.key);
        if (!plain.has(item.key)) {
          const disc = L.circleMarker(spot, {
            renderer: canvas,
            radius: 7,
            weight: 2,
            color: "#fff",
            fillColor: COLOURS[item.row.priority] || COLOURS.candidate,
            fillOpacity: 1,
          });
          disc.on("click", () => state.select({ sort: item.sort, id: Number(item.key.slice(1)) }, "operator"));
          plain.set(item.key, disc.addTo(map));
        }
      }
    });
    for (const [key, entry] of strong) if (!keepStrong.has(key)) (entry.marker.remove(), strong.delete(key));
    for (const [key, disc] of plain) if (!keepPlain.has(key)) (disc.remove(), plain.delete(key));
    map.getContainer().classList.toggle("is-storm", demanding > STRONG / 4);
  }

  // The part of the map that no panel covers.
  function padding() {
    const box = map.getContainer().getBoundingClientRect();
    const edge = (selector) => {
      const node = document.querySelector(selector);
      return node && node.offsetParent !== null && getComputedStyle(node).position !== "static" ? node.getBoundingClientRect() : null;
    };
    const [bar, queue, detail, strip] = ["#wall-bar", "#wall-queue", "#wall-detail", "#wall-strip"].map(edge);
    const wide = box.width > 900;
    return {
      paddingTopLeft: [wide && queue ? queue.right - box.left + 24 : 16, bar && wide ? bar.bottom - box.top + 24 : 16],
      paddingBottomRight: [
        wide && detail && !document.querySelector("#wall-detail").hidden ? box.right - detail.left + 24 : 16,
        wide && strip ? box.bottom - strip.top + 24 : 16,
      ],
    };
  }

  function goTo(row) {
    const spot = row && place(row);
    if (!map || !spot) return;
    const bounds = L.latLng(spot).toBounds(2 * NEAR_M);
    const isFar = !map.getBounds().contains(spot) || map.getZoom() < 15;
    const options = { ...padding(), maxZoom: 18, duration: isFar ? 0.9 : 0.5 };
    if (CALM.matches || document.hidden) map.fitBounds(bounds, { ...options, animate: false });
    else map.flyToBounds(bounds, options);
  }

  function wedge(camera) {
    if (!Number.isFinite(camera.azimuth_deg) || !Number.isFinite(camera.lat)) return null;
    const points = [[camera.lat, camera.lon]];
    const reach = camera.range_m || 40;
    const metreLat = 1 / 111_320;
    const metreLon = metreLat / Math.cos((camera.lat * Math.PI) / 180);
    for (let i = 0; i <= 12; i++) {
      const angle = ((camera.azimuth_deg - camera.fov_deg / 2 + (camera.fov_deg * i) / 12) * Math.PI) / 180;
      points.push([camera.lat + Math.cos(angle) * reach * metreLat, camera.lon + Math.sin(angle) * reach * metreLon]);
    }
    return points;
  }

  // What belongs to the selected alarm: the views of its cameras, and a straight line to the nearest units.
  function showLinks(row, cameras, near) {
    if (!links) return;
    links.clearLayers();
    const spot = row && place(row);
    if (!spot) return;
    for (const camera of cameras || []) {
      const outline = camera.view ? L.GeoJSON.coordsToLatLngs(camera.view.coordinates[0]) : camera.sees ? wedge(camera) : null;
      const isUp = camera.state === "ok" || camera.state === "unknown";
      if (outline) {
        links.addLayer(
          L.polygon(outline, {
            pane: "links",
            interactive: false,
            weight: 1.5,
            dashArray: isUp ? null : "3 5",
            color: isUp ? "#2dd4a7" : "#8aa0bf",
            fillOpacity: isUp ? 0.16 : 0.04,
          }),
        );
      }
      if (Number.isFinite(camera.lat)) {
        links.addLayer(
          L.circleMarker([camera.lat, camera.lon], {
            pane: "links",
            interactive: false,
            radius: 4,
            weight: 2,
            color: "#0b1220",
            fillColor: isUp ? "#2dd4a7" : "#8aa0bf",
            fillOpacity: 1,
          }),
        );
      }
    }
    (near || []).slice(0, 3).forEach((unit, index) => {
      if (!Number.isFinite(unit.lat)) return;
      const line = L.polyline([spot, [unit.lat, unit.lon]], {
        pane: "links",
        interactive: false,
        weight: index ? 1.5 : 3,
        opacity: index ? 0.5 : 0.95,
        dashArray: "2 8",
        lineCap: "round",
        color: "#a78bfa",
      });
      links.addLayer(line);
      if (index) return;
      const words = [name(unit, "name") || unit.code, metres(unit.distance_m), t("detail.straight")].join(" · ");
      const icon = L.divIcon({ className: "link-label", iconSize: [0, 0], html: h("span", {}, words) });
      links.addLayer(L.marker([unit.lat, unit.lon], { icon, pane: "links", interactive: false, keyboard: false }));
    });
  }

  // Everything this person may see, in the part of the map that no panel covers.
  function home(isAtOnce) {
    map.fitBounds(campus.me.bounds, { ...padding(), animate: !isAtOnce && !CALM.matches });
  }

  function start(leaflet) {
    map = leaflet;
    strong.clear();
    plain.clear();
    for (const [pane, z] of [
      ["links", 580],
      ["alarms-plain", 640],
      ["alarms", 660],
    ])
      if (!map.getPane(pane)) map.createPane(pane).style.zIndex = z;
    canvas = L.canvas({ pane: "alarms-plain" });
    links = L.layerGroup().addTo(map);
    map.on("dragstart", () => campus.operator.acted());
    map.getContainer().addEventListener("wheel", () => campus.operator.acted(), { passive: true });
    campus.frame.need("markers");
  }

  // The school itself: a flash for every press, the state of an alarm for as long as one is open there. Each change draws
  // the canvas of all schools again, so a storm changes them together.
  const toTell = new Map(); // school id -> how it was pressed, "closed" when its alarm is over
  let toldAt = -Infinity;
  let tellTimer = null;

  function tellSchools() {
    const { schools } = campus.layers || {};
    if (!schools || !map || !toTell.size) return;
    const rest = (isStorm() ? TOGETHER_MS : 0) - (performance.now() - toldAt);
    if (rest > 0) {
      tellTimer = tellTimer || setTimeout(() => ((tellTimer = null), tellSchools()), rest);
      return;
    }
    toldAt = performance.now();
    let isOver = false;
    for (const [id, how] of toTell) {
      const isOpen = how !== "closed" || [...state.alarms.values()].some((one) => one.school_id === id);
      schools.setState(id, isOpen ? "alarm" : "unknown");
      if (how === "live" && !isStorm()) schools.flash(id);
      isOver = isOver || !isOpen;
    }
    toTell.clear();
    if (isOver) schools.refresh().catch((error) => console.warn("school states not read", error));
  }

  const isStorm = () => map.getContainer().classList.contains("is-storm");

  state.on("press", (alarm, { how }) => alarm.school_id && toTell.set(alarm.school_id, how));
  state.on("moved", (alarm) => alarm.state === "closed" && alarm.school_id && toTell.set(alarm.school_id, "closed"));
  campus.frame.job("markers", paint);
  for (const topic of ["alarms", "candidates", "select"]) state.on(topic, () => campus.frame.need("markers"));

  campus.goTo = goTo;
  campus.marks = { start, showLinks, home, padding, map: () => map, svg, code };
})();
