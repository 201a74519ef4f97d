/* Names on the map, drawn over everything that is not alarming: one canvas, the more important name wins its place. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const FAMILY = '"Inter", "Noto Sans SC", sans-serif';

  // size px (far: below zoom 12), weight, spacing px, colour, from/to map zoom; earlier kinds win
  const KINDS = {
    district: { size: 21, far: 16.5, weight: 500, spacing: 2, colour: "labelDistrict", from: 8, to: 13, both: true },
    school: { size: 12.5, weight: 600, spacing: 0, colour: "text", from: 15, to: 30, lift: 15 },
    street: { size: 13, weight: 500, spacing: 1.2, colour: "labelFaint", from: 13, to: 15, both: false },
    water: { size: 12, weight: 400, spacing: 1.5, colour: "labelFaint", from: 12, to: 30, slant: true },
    park: { size: 12, weight: 400, spacing: 0.4, colour: "labelFaint", from: 13, to: 30 },
    motorway: { size: 12, weight: 500, spacing: 1, colour: "labelStrong", from: 13, to: 30 },
    trunk: { size: 12, weight: 500, spacing: 1, colour: "label", from: 13, to: 30 },
    primary: { size: 11.5, weight: 400, spacing: 0.6, colour: "label", from: 14, to: 30 },
    secondary: { size: 11, weight: 400, spacing: 0.4, colour: "labelFaint", from: 15, to: 30 },
    residential: { size: 11, weight: 400, spacing: 0.2, colour: "labelFaint", from: 16, to: 30 },
  };
  const ORDER = Object.keys(KINDS);

  const widths = new Map(); // font and text -> px

  function widthOf(ctx, text) {
    const key = `${ctx.font}|${ctx.letterSpacing}|${text}`;
    let width = widths.get(key);
    if (width === undefined) {
      if (widths.size > 4000) widths.clear();
      widths.set(key, (width = ctx.measureText(text).width));
    }
    return width;
  }

  const Labels = L.Renderer.extend({
    options: { padding: 0.15, pane: "campus-labels" },

    _initContainer() {
      this._container = document.createElement("canvas");
      this._ctx = this._container.getContext("2d");
    },

    _destroyContainer() {
      this._container.remove();
    },

    _updatePaths() {
      this.draw();
    },

    _update() {
      if (this._map._animatingZoom && this._bounds) return;
      L.Renderer.prototype._update.call(this);
      const size = this._bounds.getSize();
      const ratio = Math.min(window.devicePixelRatio || 1, 2);
      const canvas = this._container;
      L.DomUtil.setPosition(canvas, this._bounds.min);
      if (canvas.width !== size.x * ratio || canvas.height !== size.y * ratio) {
        canvas.width = size.x * ratio;
        canvas.height = size.y * ratio;
        canvas.style.width = `${size.x}px`;
        canvas.style.height = `${size.y}px`;
      }
      this._ratio = ratio;
      this.fire("update");
    },

    getEvents() {
      const events = L.Renderer.prototype.getEvents.call(this);
      events.movestart = () => { this._isMoving = true; };
      const end = events.moveend;
      events.moveend = function (event) {
        this._isMoving = false;
        end.call(this, event); // draws
      };
      return events;
    },

    /** Draw again in the next frame; many calls are one drawing, and a moving map waits until it stands. */
    soon() {
      if (this._waiting || this._isMoving) return;
      this._waiting = requestAnimationFrame(() => {
        this._waiting = null;
        if (this._map && this._bounds) this.draw();
      });
    },

    draw() {
      const map = this._map, ctx = this._ctx, zoom = Math.round(map.getZoom());
      const palette = campus.paletteOf(map), scale = 256 * 2 ** map.getZoom();
      const low = this._bounds.min.add(map.getPixelOrigin()), size = this._bounds.getSize();
      const box = [low.x / scale, low.y / scale, (low.x + size.x) / scale, (low.y + size.y) / scale];
      ctx.setTransform(1, 0, 0, 1, 0, 0);
      ctx.clearRect(0, 0, this._container.width, this._container.height);
      ctx.setTransform(this._ratio, 0, 0, this._ratio, 0, 0);
      ctx.textAlign = "center";
      ctx.textBaseline = "middle";
      const english = document.documentElement.lang.startsWith("en");
      const grow = campus.geo.grow(map);
      const taken = [], seen = new Set();
      const found = this.collect(box, zoom).filter((name) => zoom >= KINDS[name.what].from && zoom <= KINDS[name.what].to);
      found.sort((a, b) => ORDER.indexOf(a.what) - ORDER.indexOf(b.what));
      for (const name of found) {
        const mark = name.what + name.zh + (name.angle ? `${Math.round(name.x * 2 ** (zoom + 1))}` : "");
        if (!seen.has(mark)) this.place(ctx, name, { scale, low, palette, english, taken, seen, mark, grow, isFar: map.getZoom() < 12 });
      }
    },

    place(ctx, name, { scale, low, palette, english, taken, seen, mark, grow, isFar }) {
      const kind = KINDS[name.what], size = (isFar && kind.far ? kind.far : kind.size) * grow;
      const text = kind.both ? (english ? `${name.en} ${name.zh}` : `${name.zh} ${name.en}`) : english ? name.en || name.zh : name.zh;
      ctx.font = `${kind.slant ? "italic " : ""}${kind.weight} ${size}px ${FAMILY}`;
      ctx.letterSpacing = `${kind.spacing * grow}px`;
      const width = widthOf(ctx, text);
      if (width > name.room * scale * 0.95) return;
      const x = name.x * scale - low.x, y = name.y * scale - low.y - (kind.lift || 0) * grow;
      const cos = Math.abs(Math.cos(name.angle)), sin = Math.abs(Math.sin(name.angle));
      const w = (width * cos + size * sin) / 2 + 5, h = (width * sin + size * cos) / 2 + 4;
      if (taken.some((other) => x - w < other[2] && x + w > other[0] && y - h < other[3] && y + h > other[1])) return;
      taken.push([x - w, y - h, x + w, y + h]);
      seen.add(mark);
      ctx.save();
      ctx.translate(x, y);
      ctx.rotate(name.angle);
      ctx.lineJoin = "round";
      ctx.strokeStyle = palette.halo;
      ctx.lineWidth = 3;
      ctx.strokeText(text, 0, 0);
      ctx.fillStyle = palette[kind.colour];
      ctx.fillText(text, 0, 0);
      ctx.restore();
    },

    collect(box, zoom) {
      const names = [];
      for (const tile of campus.baseSource.here(box, zoom)) names.push(...tile.names);
      if (zoom >= KINDS.school.from && campus.layers.schools) names.push(...campus.layers.schools.names(box));
      return names;
    },
  });

  campus.makeLabels = function () {
    const labels = new Labels();
    // Canvas text asks for no font by itself: without this the first names come in the system's type.
    Promise.all(["400", "500", "600"].flatMap((weight) => [`${weight} 12px "Inter"`, `${weight} 12px "Noto Sans SC"`])
      .map((font) => document.fonts.load(font, "\u5b66 a"))).then(() => widths.clear(), () => widths.clear()).then(() => labels.soon());
    return labels;
  };
})();
