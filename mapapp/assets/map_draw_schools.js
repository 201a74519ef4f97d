/* Schools: 2,600 canvas marks filled by dl.GeoJSON; each can be restyled alone, nothing is ever rebuilt. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const layers = (campus.layers = campus.layers || {});
  const STATES = ["unknown", "ok", "attention", "alarm"];
  const FLASH_MS = 2600;
  const marks = new Map(); // school id -> mark
  const states = new Map(); // school id -> state, also of schools whose mark is not there yet
  const hazards = new Map(); // school id -> worst open hazard, 1..4
  const HIGH = 3; // lesser ones are for a closer look
  const CELLS_FROM = 13; // from this zoom the cells themselves are drawn
  const hidden = { all: false, hazards: false };

  const radiusAt = (zoom) => (zoom <= 9 ? 1.8 : zoom <= 10 ? 2.2 : zoom <= 11 ? 2.8 : zoom <= 12 ? 3.6 : zoom <= 13 ? 4.8 : zoom <= 14 ? 6 : 7.5);

  function outline(ctx, shape, x, y, r) {
    ctx.beginPath();
    if (shape === "triangle") {
      ctx.moveTo(x, y - 1.35 * r);
      ctx.lineTo(x + 1.25 * r, y + 0.85 * r);
      ctx.lineTo(x - 1.25 * r, y + 0.85 * r);
      ctx.closePath();
    } else {
      ctx.arc(x, y, r, 0, 2 * Math.PI);
    }
  }

  /** A school: disc when well, triangle when something needs attention, ring when nothing is known, halo when alarmed. */
  const Mark = L.CircleMarker.extend({
    options: { radius: 3, weight: 1, fill: true, state: "unknown", bubblingMouseEvents: false },

    _project() {
      this._radius = radiusAt(Math.round(this._map.getZoom())) * campus.geo.grow(this._map) + (this.options.state === "alarm" ? 2 : 0);
      L.CircleMarker.prototype._project.call(this);
    },

    _updateBounds() {
      const reach = this._radius * 3 + 3; // halo and flash are part of what is redrawn
      this._pxBounds = L.bounds(this._point.subtract([reach, reach]), this._point.add([reach, reach]));
    },

    _updatePath() {
      if (!hidden.all && this._renderer._drawing && this._renderer._bounds.intersects(this._pxBounds)) this.draw(this._renderer._ctx);
    },

    draw(ctx) {
      const { x, y } = this._point;
      const hazard = hidden.hazards || this._map.getZoom() >= CELLS_FROM ? 0 : hazards.get(this.school.id);
      if (hazard >= HIGH) { // a square, as the cells are, in the colour of the worst one
        const half = this._radius + 2.5 + hazard / 2;
        ctx.fillStyle = campus.paletteOf(this._map).cell[hazard];
        ctx.fillRect(x - half, y - half, 2 * half, 2 * half);
      }
      if (this._flashUntil) this.drawBeat(ctx, x, y);
      drawMark(ctx, x, y, this._radius, this.options.state, campus.paletteOf(this._map));
    },

    drawBeat(ctx, x, y) {
      const part = 1 - (this._flashUntil - performance.now()) / FLASH_MS;
      if (part >= 1) return;
      const beat = (part * 4) % 1;
      ctx.beginPath();
      ctx.arc(x, y, this._radius * (1 + 2 * beat), 0, 2 * Math.PI);
      ctx.globalAlpha = 1 - beat;
      ctx.strokeStyle = campus.paletteOf(this._map).critical;
      ctx.lineWidth = 2;
      ctx.stroke();
      ctx.globalAlpha = 1;
    },
  });

  function drawMark(ctx, x, y, r, state, colour) {
    if (state === "unknown") {
      outline(ctx, "disc", x, y, r * 0.85);
      ctx.fillStyle = colour.land;
      ctx.fill();
      ctx.strokeStyle = colour.muted;
      ctx.lineWidth = Math.max(1, r * 0.3);
      ctx.stroke();
      return;
    }
    outline(ctx, state === "attention" ? "triangle" : "disc", x, y, r);
    ctx.fillStyle = state === "alarm" ? colour.critical : state === "attention" ? colour.attention : colour.info;
    ctx.fill();
    if (r >= 4 || state === "alarm") {
      ctx.strokeStyle = state === "alarm" ? "#fff" : colour.schoolEdge;
      ctx.lineWidth = state === "alarm" ? 1.8 : 1;
      ctx.stroke();
    }
    if (r >= 6 && state === "ok") {
      ctx.beginPath();
      ctx.arc(x, y, r * 0.36, 0, 2 * Math.PI);
      ctx.fillStyle = colour.schoolEdge;
      ctx.fill();
    }
  }

  function redraw(mark) {
    if (!mark._map || !mark._point) return;
    mark._project();
    mark.redraw();
  }

  const schools = (layers.schools = {
    marks,

    /** pointToLayer of dl.GeoJSON. */
    mark(feature, latlng) {
      const mark = new Mark(latlng, { state: states.get(feature.id) || "unknown" });
      const { code, zh, en, kind, district } = feature.properties; // dash-leaflet adds an id of its own to them
      mark.school = { id: feature.id, code, zh, en, kind, district };
      return mark;
    },

    /** onEachFeature of dl.GeoJSON: after a rebuild by React this fills the handles and their states again. */
    each(feature, mark) {
      const [x, y] = campus.geo.world(mark.getLatLng().lat, mark.getLatLng().lng);
      mark.school.x = x;
      mark.school.y = y;
      marks.set(feature.id, mark);
      mark.on("click", () => campus.layers.choose({ kind: "school", id: feature.id, lat: mark.getLatLng().lat, lon: mark.getLatLng().lng }));
      mark.on("mouseover", (event) => layers.tip.show({ kind: "schools", id: feature.id, latlng: mark.getLatLng() }, event.originalEvent));
      mark.on("mouseout", () => layers.tip.hide());
      layers.schoolsCame(mark);
    },

    get: (id) => (marks.has(id) ? marks.get(id).school : null),
    stateOf: (id) => states.get(id) || "unknown",

    /** state: "unknown" | "ok" | "attention" | "alarm". */
    setState(id, state) {
      if (!STATES.includes(state)) throw new RangeError(`no school state ${state}`);
      states.set(id, state);
      const mark = marks.get(id);
      if (!mark || mark.options.state === state) return;
      mark.options.state = state;
      redraw(mark);
      if (state === "alarm") mark.bringToFront();
    },

    /** Four beats of a ring around a school; a second call starts them again. */
    flash(id) {
      const mark = marks.get(id);
      if (!mark) return;
      const isRunning = mark._flashUntil > performance.now();
      mark._flashUntil = performance.now() + FLASH_MS;
      if (isRunning) return;
      const beat = () => {
        mark.redraw();
        if (mark._flashUntil > performance.now() && mark._map) requestAnimationFrame(beat);
        else mark._flashUntil = 0;
      };
      requestAnimationFrame(beat);
    },

    showHazards(isVisible) {
      hidden.hazards = !isVisible;
      for (const mark of marks.values()) if (mark._map && hazards.has(mark.school.id)) mark.redraw();
    },

    setVisible(isVisible, map) {
      hidden.all = !isVisible;
      for (const mark of marks.values()) if (mark._map === map) mark.redraw();
    },

    /** Labels of the schools in a world box. */
    names(box) {
      const found = [];
      if (hidden.all) return found;
      for (const { school } of marks.values()) {
        if (school.x >= box[0] && school.x <= box[2] && school.y >= box[1] && school.y <= box[3]) {
          found.push({ what: "school", zh: school.zh, en: school.en, x: school.x, y: school.y, angle: 0, room: Infinity });
        }
      }
      return found;
    },

    bounds() {
      const box = L.latLngBounds([]);
      for (const mark of marks.values()) box.extend(mark.getLatLng());
      return box.isValid() ? box : null;
    },

    async refreshHazards() {
      const answer = await campus.fetchWhole("school-hazards");
      if (!answer) return;
      const found = campus.unpackStates(await answer.arrayBuffer());
      const touched = new Set([...hazards.keys(), ...found.keys()]);
      hazards.clear();
      for (const [id, severity] of found) hazards.set(id, severity);
      for (const id of touched) if (marks.has(id) && marks.get(id)._map) marks.get(id).redraw();
    },

    /** Read the states again; what came live meanwhile stands. */
    async refresh() {
      const came = new Map();
      const before = new Map(states);
      const answer = await campus.fetchWhole("school-states");
      if (!answer) return;
      for (const [id, state] of states) if (before.get(id) !== state) came.set(id, state);
      const read = campus.unpackStates(await answer.arrayBuffer());
      for (const id of marks.keys()) {
        if (came.has(id) || states.get(id) === "alarm") continue;
        schools.setState(id, STATES[read.get(id) || 0]);
      }
      for (const [id, code] of read) if (!states.has(id)) states.set(id, STATES[code]);
    },
  });
})();
