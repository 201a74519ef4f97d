/* Names on the map, the last path of the schools' canvas (one of their own would be one more to blend in every frame);
 * the more important name wins its place. */
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
  const SOON_MS = 80;

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

  /** All names of the view as one Leaflet path: placed when the map stands, drawn whenever a part of the canvas is. */
  const Names = L.Path.extend({
    options: { interactive: false, stroke: false, fill: false },

    getEvents() {
      return { movestart: () => { this._isMoving = true; }, moveend: () => { this._isMoving = false; } };
    },

    onRemove() {
      clearTimeout(this._timer);
      L.Path.prototype.onRemove.call(this);
    },

    _project() {},
    _containsPoint: () => false,

    /** Place again soon; many calls are one, and a moving map waits until it stands. */
    soon() {
      clearTimeout(this._timer);
      this._timer = setTimeout(() => {
        if (!this._map || this._isMoving) return;
        this._update();
        this.redraw();
      }, SOON_MS);
    },

    _update() {
      const map = this._map, zoom = Math.round(map.getZoom()), area = this._renderer._bounds;
      if (!area) return;
      this._pxBounds = area;
      const scale = 256 * 2 ** map.getZoom(), origin = map.getPixelOrigin();
      const box = [(area.min.x + origin.x) / scale, (area.min.y + origin.y) / scale, (area.max.x + origin.x) / scale, (area.max.y + origin.y) / scale];
      const view = {
        scale, origin, palette: campus.paletteOf(map), grow: campus.geo.grow(map), isFar: map.getZoom() < 12, ctx: this._renderer._ctx,
        isEnglish: document.documentElement.lang.startsWith("en"), placed: [], seen: new Set(),
      };
      const found = this.collect(box, zoom).filter((name) => zoom >= KINDS[name.what].from && zoom <= KINDS[name.what].to);
      found.sort((a, b) => ORDER.indexOf(a.what) - ORDER.indexOf(b.what));
      view.ctx.save();
      for (const name of found) {
        const mark = name.what + name.zh + (name.angle ? `${Math.round(name.x * 2 ** (zoom + 1))}` : "");
        if (!view.seen.has(mark)) this.place(name, mark, view);
      }
      view.ctx.restore();
      this.placed = view.placed;
    },

    place(name, mark, { scale, origin, palette, grow, isFar, ctx, isEnglish, placed, seen }) {
      const kind = KINDS[name.what], size = (isFar && kind.far ? kind.far : kind.size) * grow;
      const text = kind.both ? (isEnglish ? `${name.en} ${name.zh}` : `${name.zh} ${name.en}`) : isEnglish ? name.en || name.zh : name.zh;
      const font = `${kind.slant ? "italic " : ""}${kind.weight} ${size}px ${FAMILY}`, spacing = `${kind.spacing * grow}px`;
      ctx.font = font;
      ctx.letterSpacing = spacing;
      const width = widthOf(ctx, text);
      if (width > name.room * scale * 0.95) return;
      const x = name.x * scale - origin.x, y = name.y * scale - origin.y - (kind.lift || 0) * grow;
      const cos = Math.abs(Math.cos(name.angle)), sin = Math.abs(Math.sin(name.angle));
      const w = (width * cos + size * sin) / 2 + 5, h = (width * sin + size * cos) / 2 + 4;
      const area = L.bounds([x - w, y - h], [x + w, y + h]);
      if (placed.some((other) => other.area.intersects(area))) return;
      seen.add(mark);
      placed.push({ area, x, y, text, font, spacing, angle: name.angle, colour: palette[kind.colour], halo: palette.halo });
    },

    _updatePath() {
      const { _ctx: ctx, _drawing: isDrawing, _redrawBounds: part } = this._renderer;
      if (!isDrawing || !this.placed) return;
      ctx.save();
      ctx.textAlign = "center";
      ctx.textBaseline = "middle";
      ctx.lineJoin = "round";
      ctx.lineWidth = 3;
      for (const name of this.placed) {
        if (part && !part.intersects(name.area)) continue;
        ctx.save();
        ctx.font = name.font;
        ctx.letterSpacing = name.spacing;
        ctx.translate(name.x, name.y);
        ctx.rotate(name.angle);
        ctx.strokeStyle = name.halo;
        ctx.strokeText(name.text, 0, 0);
        ctx.fillStyle = name.colour;
        ctx.fillText(name.text, 0, 0);
        ctx.restore();
      }
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
    const names = new Names();
    // Canvas text asks for no font by itself: without this the first names come in the system's type.
    Promise.all(["400", "500", "600"].flatMap((weight) => [`${weight} 12px "Inter"`, `${weight} 12px "Noto Sans SC"`])
      .map((font) => document.fonts.load(font, "\u5b66 a"))).then(() => widths.clear(), () => widths.clear()).then(() => names.soon());
    if (campus.text && campus.text.onLang) campus.text.onLang(() => names.soon());
    return names;
  };
})();
