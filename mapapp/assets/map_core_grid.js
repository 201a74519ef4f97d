/* A canvas grid of 512 px tiles that paints a few milliseconds per frame, so panning never waits for drawing. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const BUDGET_MS = 5;
  const LATE_MS = 400;
  const jobs = [];
  let running = false;

  function work() {
    const until = performance.now() + BUDGET_MS;
    while (jobs.length) {
      const job = jobs.shift();
      if (!job.dropped) job.run();
      if (performance.now() >= until) break;
    }
    running = jobs.length > 0;
    if (running) requestAnimationFrame(work);
  }

  /** Run soon, a few per frame; set `dropped` on the returned job to call it off. */
  campus.paintSoon = function (run) {
    const job = { run, dropped: false };
    jobs.push(job);
    if (!running) {
      running = true;
      requestAnimationFrame(work);
    }
    return job;
  };

  /**
   * The one grid of the map. Its painters `{source, minZoom, on, reachM, paint(ctx, frame, tiles)}` draw in order onto the
   * same tile: a grid for each layer would be a layer for the browser to blend in every frame.
   * `frame` = {zoom, scale (px per world unit), left, top (world), box (world), px, palette, grow}.
   */
  campus.makeGrid = function (painters) {
    const Grid = L.GridLayer.extend({
      options: { tileSize: campus.geo.TILE_PX, updateWhenZooming: false, updateWhenIdle: false, keepBuffer: 1, noWrap: true, pane: "campus-ground", className: "campus-ground" },

      painters,

      createTile(coords, done) {
        const canvas = document.createElement("canvas");
        const ratio = Math.min(window.devicePixelRatio || 1, 2);
        canvas.width = canvas.height = campus.geo.TILE_PX * ratio;
        canvas.ratio = ratio;
        // An opaque tile is copied to the screen, a transparent one blended: without a GPU that is felt at every pan.
        canvas.pen = canvas.getContext("2d", { alpha: false });
        canvas.coords = { x: coords.x, y: coords.y, z: coords.z };
        canvas.done = () => done(null, canvas); // whichever painting comes first makes the tile visible
        this.fill(canvas);
        return canvas;
      },

      frameOf(canvas) {
        const { x, y, z } = canvas.coords;
        const size = 1 / 2 ** (z - 1);
        const left = x * size, top = y * size;
        return {
          zoom: z, px: campus.geo.TILE_PX, scale: campus.geo.TILE_PX / size, left, top, box: [left, top, left + size, top + size],
          palette: campus.paletteOf(this._map), grow: campus.geo.grow(this._map),
        };
      },

      /** Paint a tile when everything for it is there; when something is late, first without it. */
      async fill(canvas) {
        const frame = this.frameOf(canvas);
        const turn = (canvas.turn = (canvas.turn || 0) + 1);
        const active = painters.filter((painter) => painter.on && frame.zoom >= painter.minZoom);
        const boxes = active.map((painter) => widened(frame, painter.reachM || 0));
        const all = Promise.all(active.map((painter, i) => painter.source.cover(boxes[i], frame.zoom)));
        const isLate = await Promise.race([all.then(() => false), new Promise((resolve) => setTimeout(() => resolve(true), LATE_MS))]);
        if (isLate) {
          this.paint(canvas, turn, frame, active, boxes);
          await all;
        }
        this.paint(canvas, turn, frame, active, boxes);
      },

      paint(canvas, turn, frame, active, boxes) {
        campus.paintSoon(() => {
          if (turn !== canvas.turn || !this._map) return;
          const ctx = canvas.pen;
          ctx.setTransform(canvas.ratio, 0, 0, canvas.ratio, 0, 0);
          ctx.fillStyle = frame.palette.sea;
          ctx.fillRect(0, 0, frame.px, frame.px);
          active.forEach((painter, i) => painter.paint(ctx, frame, painter.source.here(boxes[i], frame.zoom)));
          if (canvas.done) canvas.done();
          canvas.done = null;
          this.fire("campus:painted", { coords: canvas.coords });
        });
      },

      /** Paint again what a world box touches (null: everything), from data that is already here; nothing below `minZoom`. */
      repaint(box, minZoom = 0) {
        for (const { el } of Object.values(this._tiles || {})) {
          const frame = this.frameOf(el);
          if (frame.zoom < minZoom) continue;
          if (!box || (box[0] <= frame.box[2] && box[2] >= frame.box[0] && box[1] <= frame.box[3] && box[3] >= frame.box[1])) this.fill(el);
        }
      },
    });
    return new Grid();
  };

  function widened(frame, reachM) {
    const reach = reachM * campus.geo.perMetre(frame.top);
    return [frame.box[0] - reach, frame.box[1] - reach, frame.box[2] + reach, frame.box[3] + reach];
  }
})();
