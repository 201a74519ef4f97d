/* Grid cells (packed), from map zoom 13: colour and number of dots tell the worst open hazard, hatching a cell nobody owns. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const UNOWNED = 16;
  const states = new Map(); // cell id -> 0..4, +16
  let patterns = new Map();
  let grid = null;
  let asked = null;

  const source = new campus.TileSource("cells", { low: 12, high: 12, decode: campus.unpackCells });

  function hatch(colour) {
    if (!patterns.has(colour)) {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 8;
      const ctx = canvas.getContext("2d");
      ctx.strokeStyle = colour;
      ctx.lineWidth = 1;
      ctx.beginPath();
      for (const shift of [-8, 0, 8]) {
        ctx.moveTo(shift, 8);
        ctx.lineTo(shift + 8, 0);
      }
      ctx.stroke();
      patterns.set(colour, ctx.createPattern(canvas, "repeat"));
    }
    return patterns.get(colour);
  }

  function paint(ctx, frame, tiles) {
    read();
    const paths = [], boxes = [], dots = [], isFar = frame.zoom < 15;
    const unowned = new Path2D();
    const { left, top, scale, px } = frame;
    for (const { count, ids, starts, points } of tiles) {
      for (let i = 0; i < count; i++) {
        const from = starts[i], to = starts[i + 1];
        let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
        for (let j = from; j < to; j += 2) {
          const x = (points[j] - left) * scale, y = (points[j + 1] - top) * scale;
          if (x < x0) x0 = x;
          if (x > x1) x1 = x;
          if (y < y0) y0 = y;
          if (y > y1) y1 = y;
        }
        if (x1 < 0 || y1 < 0 || x0 > px || y0 > px) continue;
        const state = states.get(ids[i]) || 0;
        if (isFar) { // a few pixels each: boxes, not outlines
          (boxes[state & 7] = boxes[state & 7] || []).push(x0, y0, x1 - x0, y1 - y0);
          continue;
        }
        const path = (paths[state & 7] = paths[state & 7] || new Path2D());
        for (let j = from; j < to; j += 2) {
          const x = (points[j] - left) * scale, y = (points[j + 1] - top) * scale;
          if (j === from) path.moveTo(x, y);
          else path.lineTo(x, y);
          if (state & UNOWNED) {
            if (j === from) unowned.moveTo(x, y);
            else unowned.lineTo(x, y);
          }
        }
        path.closePath();
        if (state & 7) dots.push((x0 + x1) / 2, (y0 + y1) / 2, state & 7);
      }
    }
    boxes.forEach((list, state) => {
      ctx.fillStyle = frame.palette.cell[state];
      for (let i = 0; i < list.length; i += 4) ctx.fillRect(list[i] + 0.3, list[i + 1] + 0.3, list[i + 2] - 0.6, list[i + 3] - 0.6);
    });
    if (isFar) return;
    ctx.lineWidth = 0.8;
    ctx.strokeStyle = frame.palette.cellEdge;
    paths.forEach((path, state) => {
      ctx.fillStyle = frame.palette.cell[state];
      ctx.fill(path);
      ctx.stroke(path);
    });
    ctx.fillStyle = hatch(frame.palette.hatch);
    ctx.fill(unowned);
    ctx.fillStyle = frame.palette.text;
    const r = 1.6 * frame.grow;
    for (let i = 0; i < dots.length; i += 3) {
      for (let k = 0; k < dots[i + 2]; k++) {
        ctx.beginPath();
        ctx.arc(dots[i] + (k - (dots[i + 2] - 1) / 2) * 3.4 * r, dots[i + 1], r, 0, 2 * Math.PI);
        ctx.fill();
      }
    }
  }

  function boxOf(id) {
    for (const { data } of source.kept.values()) {
      const i = data ? data.ids.indexOf(id) : -1;
      if (i >= 0) {
        const [x, y] = [data.points[data.starts[i]], data.points[data.starts[i] + 1]];
        return [x - 1e-5, y - 1e-5, x + 1e-5, y + 1e-5]; // about 300 m each way
      }
    }
    return null;
  }

  /** The states are read once, when a cell is first drawn. */
  function read() {
    if (!asked) asked = cells.refresh().catch((err) => { asked = null; console.warn("cell states not read", err); });
  }

  let soon = null;

  /** Hazards change in bursts (a day's inspections are sent at once): read again once for many. */
  function again() {
    soon = soon || setTimeout(() => {
      soon = null;
      Promise.all([campus.layers.schools.refreshHazards(), asked ? cells.refresh() : null]).catch((err) => console.warn("hazards not read", err));
    }, 1500);
  }

  const painter = { id: "cells", source, minZoom: 13, reachM: 150, on: true, paint };
  const cells = (campus.layers.cells = {
    /** code: 0 clear, 1 low .. 4 critical, +16 without an owner. */
    setState(id, code) {
      states.set(id, code);
      const box = boxOf(id);
      if (box && grid) grid.repaint(box);
    },
    async refresh() {
      const answer = await campus.fetchWhole("cell-states");
      if (!answer) return;
      const found = campus.unpackStates(await answer.arrayBuffer());
      states.clear();
      for (const [id, code] of found) states.set(id, code);
      if (grid) grid.repaint(null);
    },
    hit(x, y, zoom) {
      if (!painter.on || zoom < 14) return null;
      for (const { count, ids, starts, points } of source.here([x - 5e-6, y - 5e-6, x + 5e-6, y + 5e-6], zoom)) {
        for (let i = 0; i < count; i++) if (campus.geo.inRing(points, starts[i], starts[i + 1], x, y)) return { kind: "cells", id: ids[i] };
      }
      return null;
    },
  });

  campus.layers.declare({
    id: "cells",
    order: 30,
    painter,
    hit: cells.hit,
    attach(map, made) {
      grid = made;
      campus.layers.schoolsPainted.then(() => campus.layers.schools.refreshHazards()).catch((err) => console.warn("hazards not read", err));
    },
    setOn: (isOn) => campus.layers.schools.showHazards(isOn),
    refresh: () => Promise.all([campus.layers.schools.refreshHazards(), asked ? cells.refresh() : null]),
    live: { "hazard.changed": () => again() },
  });
})();
