/* The map's layers. Everything other files and tests use is here:
 *
 *   campus.layers.start(map)            panes, ground, names and every layer this viewer may see; resolves when the index is read
 *   campus.layers.add(map, id)          switch a layer on;  remove(map, id) off;  toggle(id, isOn) the same on the started map
 *   campus.layers.isOn(id)              whether a layer is switched on
 *   campus.layers.legend()              [{id, title, switch, on, min_zoom, signs: [{key, shape, colour}]}], titles are locale keys
 *   campus.layers.swatch(shape, colour) SVG text of a legend sign, 16 x 16 (map_core_swatch.js)
 *   campus.layers.home()                LatLngBounds of all schools this viewer sees, or null while they load
 *   campus.layers.ready                 promise: ground and schools were painted once
 *   campus.layers.choose({kind, id, lat, lon})   what a click calls: campus.select if there is one, and the event "campus:select"
 *   campus.layers.highlight([{kind, id}])        draw these as chosen (cameras show what they really see)
 *   campus.layers.schools               .flash(id) .setState(id, "ok") .get(id) .marks (Map id -> Leaflet layer)
 *   campus.layers.cameras / cells / devices      .setState(id, code) .refresh()
 *   campus.layers.units                 .move({unit_id, lon, lat, at, ...}) .refresh()
 *
 * Layers follow the live stream by themselves through campus.live.on where live.js is there.
 */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const layers = (campus.layers = campus.layers || {});
  const PANE = "campus-ground";
  const LOOK_MS = 250;
  const NO_SCHOOL_BYTES = 100; // an empty collection
  const made = []; // {id, layer object with attach/setOn}, added by the files of the layers
  let map = null;
  let index = new Map();
  let grounds = null;
  let settle = null;
  let isFollowing = false;

  // The map is made by dash-leaflet; this is the only place where its handle can be caught.
  L.Map.addInitHook(function () {
    campus.map = this;
    campus.layerIndex().catch((err) => console.warn("layers not listed", err)); // asked while the page is still being put together
  });
  L.Canvas.mergeOptions({ padding: 0.2 }); // schools and units are there already when a pan ends

  layers.ready = new Promise((resolve) => { settle = resolve; });

  /** A layer's file calls this: `part` = {id, order (from below), painter?, attach?(map, grid), setOn?(isOn, map), hit?(x, y, zoom), refresh?(), live?: {kind: fn}}. */
  layers.declare = (part) => { made.push(part); };

  layers.start = async function (leaflet) {
    map = leaflet;
    const pane = map.getPane(PANE) || map.createPane(PANE);
    pane.style.zIndex = 200;
    pane.style.pointerEvents = "none";
    map.getContainer().style.background = campus.paletteOf(map).sea;
    map._fadeAnimated = false; // fading in makes a layer of every tile, and a tile that is there should be seen
    map.getContainer().classList.remove("leaflet-fade-anim");
    const names = campus.makeLabels();
    made.sort((one, other) => one.order - other.order);
    const grid = campus.makeGrid(made.filter((part) => part.painter).map((part) => part.painter));
    grounds = { grid, names };
    layers.grounds = grounds;
    grid.once("load", () => Promise.race([layers.schoolsPainted, noSchools()]).then(settle));
    grid.on("campus:painted", () => names.soon());
    grid.addTo(map);
    names.addTo(map);
    index = await campus.layerIndex();
    for (const part of made) {
      const entry = index.get(part.id);
      if (!entry) continue;
      if (part.attach) part.attach(map, grid);
      if (entry.on === false) turn(part, false);
      else part.isOn = true;
    }
    if (layers.tip) layers.tip.attach(map, made);
    follow();
    map.fire("campus:layers");
  };

  layers.schoolsPainted = new Promise((resolve) => {
    let last = null;
    const look = () => requestAnimationFrame(() => {
      if (!last._map) return look(); // made by dash-leaflet, not yet put on the map
      if (grounds) grounds.names.bringToFront();
      requestAnimationFrame(resolve);
    });
    layers.schoolsCame = (mark) => {
      if (!last) look();
      last = mark;
    };
  });

  /** Resolves in a city that has no schools (or none for this viewer), where dl.GeoJSON makes no mark. */
  function noSchools() {
    return new Promise((resolve) => {
      const timer = setInterval(() => {
        const [read] = performance.getEntriesByName(`${location.origin}/tiles/schools`);
        if (!read || !read.responseEnd) return;
        clearInterval(timer);
        if (read.decodedBodySize < NO_SCHOOL_BYTES) resolve();
      }, LOOK_MS);
    });
  }

  function follow() {
    if (isFollowing || !campus.live || !campus.live.on) return;
    isFollowing = true; // the page may be left and opened again on a new map; the stream stays
    for (const part of made) for (const [kind, fn] of Object.entries(part.live || {})) campus.live.on(kind, fn);
    campus.live.on("snapshot", () => layers.refresh());
    campus.live.on("place.changed", () => layers.reload());
  }

  /** Read every state again: after a gap in the stream nothing on the map may be older than it says. */
  layers.refresh = () => Promise.all(made.filter((part) => part.refresh && part.isOn).map((part) => part.refresh().catch((err) => console.warn("layer not refreshed", part.id, err))));

  /** Geometry was imported: ask which versions stand now and draw everything from them. */
  layers.reload = async function () {
    index = await campus.layerIndex(true);
    for (const part of made) if (part.painter) part.painter.source.forget();
    grounds.grid.redraw();
  };

  function turn(part, isOn) {
    part.isOn = isOn;
    if (part.setOn) part.setOn(isOn, map);
    if (!part.painter) return;
    part.painter.on = isOn;
    grounds.grid.repaint(null, part.painter.minZoom);
  }

  layers.toggle = function (id, isOn) {
    const part = made.find((one) => one.id === id);
    if (!part || !index.has(id)) return false;
    turn(part, isOn === undefined ? !part.isOn : isOn);
    return part.isOn;
  };
  layers.add = (leaflet, id) => (leaflet === map ? layers.toggle(id, true) : layers.start(leaflet).then(() => layers.toggle(id, true)));
  layers.remove = (leaflet, id) => layers.toggle(id, false);
  layers.isOn = (id) => Boolean((made.find((one) => one.id === id) || {}).isOn);
  layers.legend = () => [...index.values()].filter((entry) => entry.signs && entry.signs.length).map((entry) => ({ ...entry, on: layers.isOn(entry.id) || entry.id === "schools" }));
  layers.home = () => layers.schools.bounds();

  /** Mark some features as chosen, and only these: schools beat once, cameras show what they really see. */
  layers.highlight = function (list) {
    for (const { kind, id } of list) if (kind === "school") layers.schools.flash(id);
    return layers.cameras.show(list.filter((one) => one.kind === "camera").map((one) => one.id));
  };

  layers.choose = function (what) {
    layers.cameras.show(what.kind === "camera" ? [what.id] : []);
    if (typeof campus.select === "function") campus.select(what);
    document.dispatchEvent(new CustomEvent("campus:select", { detail: what }));
  };

  layers.declare({
    id: "schools",
    order: 20,
    setOn: (isOn, leaflet) => layers.schools.setVisible(isOn, leaflet),
    refresh: () => layers.schools.refresh(),
    attach: () => layers.schoolsPainted.then(() => layers.schools.refresh()).catch((err) => console.warn("states not read", err)),
  });
})();
