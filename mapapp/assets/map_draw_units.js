/* Units on the schools' canvas (a marker element each would cost more than the whole map): they move live, fade with
 * the age of their position, and say so. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const FRESH_S = 60, STALE_S = 300, LOOK_MS = 5000;
  const NEAR_FROM = 13; // from this zoom with sign and name, below a small disc
  // Signs on a field of 20 x 20, its middle at 10, 10.
  const SIGNS = {
    patrol_car: new Path2D("M5 12.6v-3l1.6-3.4h6.8L15 9.6v3zM8.4 13a1.5 1.5 0 1 1-3 0 1.5 1.5 0 1 1 3 0M14.6 13a1.5 1.5 0 1 1-3 0 1.5 1.5 0 1 1 3 0"),
    motorcycle: new Path2D("M8 12.4a2.2 2.2 0 1 1-4.4 0 2.2 2.2 0 1 1 4.4 0M16.4 12.4a2.2 2.2 0 1 1-4.4 0 2.2 2.2 0 1 1 4.4 0M6 11.6 8.8 7.8h3.8l1.5 3.8-2.2.2-1.2-2z"),
    foot: new Path2D("M12 5.6a1.9 1.9 0 1 1-3.8 0 1.9 1.9 0 1 1 3.8 0M8 8.4h4l1.1 4-1.4.3-.5 3.2H8.9l-.6-3.2L6.9 12.4z"),
    station: new Path2D("M5.2 14.6V8.4L10 4.8l4.8 3.6v6.2h-3.4v-3.4H8.6v3.4z"),
  };
  const units = new Map(); // unit id -> mark
  let map = null;
  let isOn = true;
  let timer = null;
  let ahead = 0; // ms the server's clock is ahead of this screen's

  const now = () => (campus.text ? campus.text.now() : Date.now() + ahead);

  function ageOf(row) {
    if (row.kind === "station") return "fresh";
    const age = (now() - Date.parse(row.at)) / 1000;
    return !(age < STALE_S) ? "stale" : age < FRESH_S ? "fresh" : "old";
  }

  const isNear = (leaflet) => leaflet.getZoom() >= NEAR_FROM;

  const Mark = L.CircleMarker.extend({
    options: { radius: 5, fill: true, bubblingMouseEvents: false },

    _project() {
      this._radius = (isNear(this._map) ? 11 : this.row.status === "off" ? 0 : 4.2) * campus.geo.grow(this._map);
      L.CircleMarker.prototype._project.call(this);
    },

    _updateBounds() {
      const reach = this._radius + 8, wide = isNear(this._map) ? 70 * campus.geo.grow(this._map) : reach; // the name belongs to it
      this._pxBounds = L.bounds(this._point.subtract([wide, reach]), this._point.add([wide, reach + wide / 3]));
    },

    _updatePath() {
      if (isOn && this._radius && this._renderer._drawing && this._renderer._bounds.intersects(this._pxBounds)) this.draw(this._renderer._ctx);
    },

    draw(ctx) {
      const colour = campus.paletteOf(this._map), { x, y } = this._point, r = this._radius, { row, age } = this;
      const isStale = age === "stale";
      ctx.globalAlpha = isStale ? 0.6 : age === "old" ? 0.8 : 1;
      ctx.beginPath();
      ctx.arc(x, y, r, 0, 2 * Math.PI);
      ctx.fillStyle = isStale || row.status === "off" ? colour.unitOff : row.status === "busy" ? colour.unitBusy : colour.unitFree;
      ctx.fill();
      ctx.strokeStyle = "#fff";
      ctx.lineWidth = r > 6 ? 2 : 1.4;
      if (isStale && r > 6) ctx.setLineDash([3, 3]); // a position nobody should trust looks broken, not only pale
      ctx.stroke();
      ctx.setLineDash([]);
      if (r > 6) this.drawNear(ctx, x, y, r, colour);
      ctx.globalAlpha = 1;
    },

    drawNear(ctx, x, y, r, colour) {
      const { row } = this, scale = r / 10;
      ctx.save();
      ctx.translate(x - 10 * scale, y - 10 * scale);
      ctx.scale(scale, scale);
      ctx.fillStyle = "#fff";
      ctx.fill(SIGNS[row.kind] || SIGNS.foot);
      ctx.restore();
      if (row.status === "busy") {
        ctx.beginPath();
        ctx.arc(x + r * 0.85, y - r * 0.85, r * 0.5, 0, 2 * Math.PI);
        ctx.fillStyle = "#fff";
        ctx.fill();
        ctx.fillStyle = colour.unitBusy;
        ctx.fillRect(x + r * 0.79, y - r * 1.16, r * 0.13, r * 0.36);
        ctx.fillRect(x + r * 0.79, y - r * 0.7, r * 0.13, r * 0.13);
      }
      ctx.font = `500 ${11.5 * scale}px "Inter", "Noto Sans SC", sans-serif`;
      ctx.textAlign = "center";
      ctx.textBaseline = "top";
      ctx.lineWidth = 3;
      ctx.lineJoin = "round";
      ctx.strokeStyle = colour.halo;
      ctx.strokeText(this.words, x, y + r + 4);
      ctx.fillStyle = colour.unitName;
      ctx.fillText(this.words, x, y + r + 4);
    },

    /** Look at the clock again; whether what is drawn changed. */
    tone() {
      const age = ageOf(this.row);
      const words = age === "stale" && campus.text && this.row.at ? `${this.row.code} · ${campus.text.ageOf(this.row.at)}` : this.row.code;
      const isNew = age !== this.age || words !== this.words;
      this.age = age;
      this.words = words;
      return isNew;
    },
  });

  function make(row) {
    const mark = new Mark([row.lat, row.lon]);
    mark.row = row;
    mark.tone();
    mark.on("click", () => campus.layers.choose({ kind: "unit", id: row.unit_id, lat: mark.row.lat, lon: mark.row.lon }));
    mark.on("mouseover", (event) => campus.layers.tip.show({ kind: "units", id: row.unit_id, latlng: mark.getLatLng() }, event.originalEvent));
    mark.on("mouseout", () => campus.layers.tip.hide());
    units.set(row.unit_id, mark);
    if (map) mark.addTo(map);
  }

  /** Take over what is said of a unit; false for one that is not known yet and does not say where it is. */
  function put(said) {
    const row = said.position_at ? { ...said, at: said.position_at } : said; // the stream names the column
    const mark = units.get(row.unit_id);
    if (!mark) {
      if (!Number.isFinite(row.lat) || !row.kind) return false;
      make(row);
      return true;
    }
    if (mark.row.at && row.at && Date.parse(row.at) < Date.parse(mark.row.at)) return true; // an older position came late
    mark.row = { ...mark.row, ...row };
    mark.tone();
    if (Number.isFinite(row.lat)) mark.setLatLng([row.lat, row.lon]);
    else if (mark._map) mark.redraw();
    return true;
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
      for (const [id, mark] of units) if (!here.has(id)) mark.remove(), units.delete(id);
      body.units.forEach(put);
      if (map) campus.layers.grounds.names.bringToFront(); // names stay readable above them
    },
  });

  campus.layers.declare({
    id: "units",
    order: 70,
    attach(leaflet) {
      map = leaflet;
      for (const mark of units.values()) mark.remove().addTo(map);
      // After the schools, so that units are drawn above them.
      campus.layers.schoolsPainted.then(() => api.refresh()).catch((err) => console.warn("units not read", err));
      timer = timer || setInterval(() => units.forEach((mark) => { if (mark.tone() && mark._map) mark.redraw(); }), LOOK_MS);
    },
    setOn(on) {
      isOn = on;
      for (const mark of units.values()) if (mark._map) mark.redraw();
    },
    refresh: () => api.refresh(),
    live: {
      "unit.moved": (body) => (body.units || [body]).forEach((row) => row.unit_id && api.move(row)),
      "unit.changed": (body) => body.unit_id && put(body),
    },
  });
})();
