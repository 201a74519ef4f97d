/* Patrol routes and checkpoints (MVT), from map zoom 14. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const HIT_PX = 6;

  const source = new campus.TileSource("routes", { low: 13, high: 15, decode: (buffer, address) => ({ buffer, address }) });

  function diamond(ctx, x, y, r) {
    ctx.moveTo(x, y - r);
    ctx.lineTo(x + r, y);
    ctx.lineTo(x, y + r);
    ctx.lineTo(x - r, y);
    ctx.closePath();
  }

  function checkpoints(ctx, layer, frame, address) {
    if (!layer || frame.zoom < 15) return;
    const fit = campus.fit(frame, address, layer.extent), r = (frame.zoom >= 17 ? 8 : 4) * frame.grow;
    ctx.lineWidth = 1.2;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.font = `600 ${9 * frame.grow}px "Inter", sans-serif`;
    for (let i = 0; i < layer.length; i++) {
      const feature = layer.feature(i), at = feature.loadGeometry()[0][0];
      const x = at.x * fit.k + fit.ox, y = at.y * fit.k + fit.oy;
      ctx.beginPath();
      diamond(ctx, x, y, r);
      ctx.fillStyle = frame.palette.land;
      ctx.fill();
      ctx.strokeStyle = frame.palette.candidate;
      ctx.stroke();
      if (frame.zoom >= 17) {
        ctx.fillStyle = frame.palette.text;
        ctx.fillText(String(feature.properties.ordinal), x, y + 0.5);
      }
    }
  }

  function paint(ctx, frame, tiles) {
    for (const tile of tiles) {
      const layers = campus.openMvt(tile.buffer);
      if (layers.route) {
        const fit = campus.fit(frame, tile.address, layers.route.extent);
        ctx.beginPath();
        for (let i = 0; i < layers.route.length; i++) campus.trace(ctx, layers.route.feature(i), fit, false);
        ctx.strokeStyle = frame.palette.candidate;
        ctx.lineCap = frame.zoom >= 16 ? "round" : "butt";
        ctx.lineWidth = (frame.zoom >= 16 ? 2.2 : 1) * frame.grow;
        ctx.globalAlpha = frame.zoom >= 16 ? 0.75 : 0.55;
        ctx.setLineDash(frame.zoom >= 16 ? [1, 6] : []); // a thousand dotted lines would take a frame of their own
        ctx.stroke();
        ctx.setLineDash([]);
        ctx.globalAlpha = 1;
      }
      checkpoints(ctx, layers.checkpoint, frame, tile.address);
    }
  }

  function hit(x, y, zoom) {
    if (!painter.on || zoom < 16) return null;
    const reach = HIT_PX / (256 * 2 ** zoom);
    for (const { buffer, address } of source.here([x - reach, y - reach, x + reach, y + reach], zoom)) {
      const { route } = campus.openMvt(buffer);
      const unit = 1 / 2 ** address.z / ((route && route.extent) || 4096);
      const tx = x / unit - address.x * 4096, ty = y / unit - address.y * 4096, near = (reach / unit) ** 2;
      for (let i = 0; route && i < route.length; i++) {
        const feature = route.feature(i);
        for (const line of feature.loadGeometry()) {
          for (let j = 1; j < line.length; j++) {
            if (campus.geo.segment2(tx, ty, line[j - 1].x, line[j - 1].y, line[j].x, line[j].y) < near) return { kind: "routes", id: feature.id };
          }
        }
      }
    }
    return null;
  }

  const painter = { id: "routes", source, minZoom: 14, on: true, paint };
  campus.layers.declare({
    id: "routes",
    order: 40,
    painter,
    hit,
  });
})();
