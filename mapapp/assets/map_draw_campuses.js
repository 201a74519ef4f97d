/* Campuses, the schools' buildings and gates (MVT), from map zoom 13. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});

  const source = new campus.TileSource("campuses", { low: 12, high: 15, decode: (buffer, address) => ({ buffer, address }) });

  function shapes(ctx, layer, frame, address, fill, stroke, width) {
    if (!layer) return;
    const fit = campus.fit(frame, address, layer.extent);
    ctx.beginPath();
    for (let i = 0; i < layer.length; i++) campus.trace(ctx, layer.feature(i), fit, true);
    ctx.fillStyle = fill;
    ctx.fill();
    ctx.strokeStyle = stroke;
    ctx.lineWidth = width;
    ctx.stroke();
  }

  // A gate is a bar across the edge of the campus: a mark that reads without its colour.
  function gates(ctx, layer, frame, address) {
    if (!layer || frame.zoom < 15) return;
    const fit = campus.fit(frame, address, layer.extent);
    for (let i = 0; i < layer.length; i++) {
      const feature = layer.feature(i);
      const at = feature.loadGeometry()[0][0];
      const x = at.x * fit.k + fit.ox, y = at.y * fit.k + fit.oy, r = (feature.properties.is_main ? 6 : 4.5) * frame.grow;
      ctx.fillStyle = frame.palette.land;
      ctx.fillRect(x - r - 1, y - 3.5, 2 * r + 2, 7);
      ctx.fillStyle = frame.palette.gate;
      ctx.fillRect(x - r, y - 2, 2 * r, 4);
    }
  }

  function paint(ctx, frame, tiles) {
    const colour = frame.palette;
    ctx.lineJoin = "round";
    for (const tile of tiles) {
      const layers = campus.openMvt(tile.buffer);
      shapes(ctx, layers.campus, frame, tile.address, colour.campus, colour.campusEdge, (frame.zoom >= 15 ? 1.5 : 1) * frame.grow);
      shapes(ctx, layers.building, frame, tile.address, colour.schoolBuilding, colour.schoolBuildingEdge, 0.8);
      gates(ctx, layers.gate, frame, tile.address);
    }
  }

  const painter = { id: "campuses", source, minZoom: 13, on: true, paint };
  campus.layers.declare({
    id: "campuses",
    order: 10,
    painter,
  });
})();
