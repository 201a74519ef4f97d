/* The ground: land, water, parks, roads with a soft glow, borders, buildings, from the layer `basemap` (MVT). */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const CLASSES = ["residential", "secondary", "primary", "trunk", "motorway"]; // the last is drawn on top
  // width of the core in px by map zoom: at 9, 11, 13, 15, 17
  const WIDTHS = {
    motorway: [1.2, 1.9, 3.4, 6, 11], trunk: [0.8, 1.15, 2.6, 5, 10], primary: [0.5, 0.75, 2, 4.4, 9],
    secondary: [0.3, 0.5, 1.4, 3.4, 7.5], residential: [0.2, 0.3, 0.8, 2.4, 5.5],
  };

  function widthOf(name, zoom) {
    const steps = WIDTHS[name];
    const at = Math.max(0, Math.min(steps.length - 1.001, (zoom - 9) / 2));
    const i = Math.floor(at);
    return steps[i] + (steps[i + 1] - steps[i]) * (at - i);
  }

  /** Layers of a vector tile; nothing of it is kept but the bytes. */
  campus.openMvt = (buffer) => new window.campusVendor.VectorTile(new window.campusVendor.Pbf(new Uint8Array(buffer))).layers;

  /** From tile coordinates to px of the frame: {k, ox, oy}. */
  campus.fit = function (frame, address, extent) {
    const size = 1 / 2 ** address.z;
    return {
      k: (size * frame.scale) / extent,
      ox: (address.x * size - frame.left) * frame.scale,
      oy: (address.y * size - frame.top) * frame.scale,
    };
  };

  /** Add a feature's lines or rings to the current path. */
  campus.trace = function (ctx, feature, fit, closed) {
    for (const line of feature.loadGeometry()) {
      for (let i = 0; i < line.length; i++) {
        const x = line[i].x * fit.k + fit.ox, y = line[i].y * fit.k + fit.oy;
        if (i === 0) ctx.moveTo(x, y);
        else ctx.lineTo(x, y);
      }
      if (closed) ctx.closePath();
    }
  };

  function fillAll(ctx, layer, frame, address, wanted, style) {
    if (!layer) return;
    const fit = campus.fit(frame, address, layer.extent);
    ctx.beginPath();
    let any = false;
    for (let i = 0; i < layer.length; i++) {
      const feature = layer.feature(i);
      if (wanted && !wanted(feature.properties)) continue;
      campus.trace(ctx, feature, fit, true);
      any = true;
    }
    if (!any) return;
    if (style.glow) {
      ctx.strokeStyle = style.glow;
      for (const width of [30, 22, 14, 7]) {
        ctx.lineWidth = width;
        ctx.stroke();
      }
    }
    if (style.fill) {
      ctx.fillStyle = style.fill;
      ctx.fill();
    }
    if (style.stroke) {
      ctx.strokeStyle = style.stroke;
      ctx.lineWidth = style.width || 1;
      ctx.stroke();
    }
  }

  function roads(ctx, layer, frame, address) {
    if (!layer) return;
    const fit = campus.fit(frame, address, layer.extent);
    const paths = {};
    for (let i = 0; i < layer.length; i++) {
      const feature = layer.feature(i);
      const path = (paths[feature.properties.class] = paths[feature.properties.class] || new Path2D());
      campus.trace(path, feature, fit, false);
    }
    // Round ends cost a software canvas more than the lines themselves; on thin lines nobody sees them.
    ctx.lineCap = ctx.lineJoin = frame.zoom >= 15 ? "round" : "bevel";
    if (frame.zoom < 15) ctx.lineCap = "butt";
    for (const name of CLASSES) {
      const glow = frame.palette.road[name].glow;
      if (!paths[name] || !glow) continue;
      ctx.strokeStyle = glow;
      for (const factor of [4.6, 2.8]) {
        ctx.lineWidth = widthOf(name, frame.zoom) * (frame.zoom > 14 ? factor * 0.55 : factor) + 1;
        ctx.stroke(paths[name]);
      }
    }
    for (const name of CLASSES) {
      if (!paths[name]) continue;
      ctx.strokeStyle = frame.palette.road[name].core;
      ctx.lineWidth = widthOf(name, frame.zoom) * frame.grow;
      ctx.stroke(paths[name]);
    }
  }

  function borders(ctx, layer, frame, address) {
    if (!layer) return;
    const fit = campus.fit(frame, address, layer.extent);
    for (let i = 0; i < layer.length; i++) {
      const feature = layer.feature(i);
      const isDistrict = feature.properties.what === "district";
      ctx.beginPath();
      campus.trace(ctx, feature, fit, false);
      ctx.strokeStyle = isDistrict ? frame.palette.district : frame.palette.street;
      ctx.lineWidth = isDistrict ? (frame.zoom >= 13 ? 1.6 : 1.15) * frame.grow : 0.9 * frame.grow;
      ctx.setLineDash(isDistrict ? [6, 4] : [2, 4]);
      ctx.stroke();
    }
    ctx.setLineDash([]);
  }

  function paint(ctx, frame, tiles) {
    const colour = frame.palette;
    ctx.lineJoin = "round";
    for (const tile of tiles) {
      const layers = campus.openMvt(tile.buffer);
      const { address } = tile;
      fillAll(ctx, layers.landuse, frame, address, (p) => p.kind === "land", { fill: colour.abroad });
      fillAll(ctx, layers.landuse, frame, address, (p) => p.kind === "sea", { fill: colour.sea });
      fillAll(ctx, layers.district, frame, address, null, { glow: colour.coast, fill: colour.land, stroke: colour.land });
      fillAll(ctx, layers.landuse, frame, address, (p) => p.kind === "built", { fill: colour.built });
      fillAll(ctx, layers.landuse, frame, address, (p) => p.kind === "park", { fill: colour.park });
      fillAll(ctx, layers.landuse, frame, address, (p) => p.kind === "water", { fill: colour.water });
      fillAll(ctx, layers.building, frame, address, (p) => p.height_m < 24, { fill: colour.building, stroke: colour.buildingEdge, width: 0.6 });
      fillAll(ctx, layers.building, frame, address, (p) => p.height_m >= 24, { fill: colour.buildingTall, stroke: colour.buildingEdge, width: 0.6 });
      roads(ctx, layers.road, frame, address);
      borders(ctx, layers.boundary, frame, address);
    }
  }

  /** Names in a tile: points, and the middle stretch of long named roads. World coordinates. */
  function namesOf(buffer, address) {
    const layers = campus.openMvt(buffer);
    const size = 1 / 2 ** address.z;
    const names = [];
    const put = (layer, point) => [address.x * size + (point.x / layer.extent) * size, address.y * size + (point.y / layer.extent) * size];
    const { label, road } = layers;
    for (let i = 0; label && i < label.length; i++) {
      const feature = label.feature(i);
      const [x, y] = put(label, feature.loadGeometry()[0][0]);
      names.push({ what: feature.properties.what, zh: feature.properties.zh, en: feature.properties.en, x, y, angle: 0, room: Infinity });
    }
    for (let i = 0; road && i < road.length; i++) {
      const feature = road.feature(i);
      const { zh, en } = feature.properties;
      if (!zh) continue;
      let best = null;
      for (const line of feature.loadGeometry()) {
        for (let j = 1; j < line.length; j++) {
          const length = Math.hypot(line[j].x - line[j - 1].x, line[j].y - line[j - 1].y);
          const mid = { x: (line[j].x + line[j - 1].x) / 2, y: (line[j].y + line[j - 1].y) / 2 };
          const inside = mid.x >= 0 && mid.y >= 0 && mid.x < road.extent && mid.y < road.extent;
          if (inside && (!best || length > best.length)) best = { length, mid, a: line[j - 1], b: line[j] };
        }
      }
      if (!best || best.length < 120) continue;
      const [x, y] = put(road, best.mid);
      let angle = Math.atan2(best.b.y - best.a.y, best.b.x - best.a.x);
      if (Math.abs(angle) > Math.PI / 2) angle += Math.PI;
      names.push({ what: feature.properties.class, zh, en, x, y, angle, room: (best.length / road.extent) * size });
    }
    return names;
  }

  const source = new campus.TileSource("basemap", {
    low: 6, high: 15, most: 240,
    decode: (buffer, address) => ({ buffer, address, names: buffer.byteLength ? namesOf(buffer, address) : [] }),
  });
  campus.baseSource = source;

  campus.layers.declare({ id: "basemap", order: 0, painter: { id: "basemap", source, minZoom: 0, on: true, paint } });
})();
