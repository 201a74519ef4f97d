/* A canvas grid of 512 px tiles that paints a few milliseconds per frame, so panning never waits for drawing. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const BUDGET_MS = 5;
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
   * A grid with painters: `{source, minZoom, on, reachM, paint(ctx, frame, tiles)}`, drawn in order.
   * `frame` = {zoom, scale (px per world unit), left, top (world), box (world), px, palette, grow}.
   */
  campus.makeGrid = function (options) {
    const Grid = L.GridLayer.extend({
      options: { tileSize: campus.geo.TILE_PX, updateWhenZooming: false, updateWhenIdle: false, keepBuffer: 1, noWrap: true, ...options },

      initialize(painters) {
        L.GridLayer.prototype.initialize.call(this);
        this.painters = painters;
      },

      createTile(coords, done) {
        const canvas = document.createElement("canvas");
        const ratio = Math.min(window.devicePixelRatio || 1, 2);
        canvas.width = canvas.height = campus.geo.TILE_PX * ratio;
        canvas.ratio = ratio;
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
          palette: campus.paletteOf(this._map), grow: campus.geo.grow(this._map), tile: canvas.coords,
        };
      },

      async fill(canvas) {
        const frame = this.frameOf(canvas);
        canvas.wanted = (canvas.wanted || 0) + 1;
        const turn = canvas.wanted;
        const active = this.painters.filter((painter) => painter.on && frame.zoom >= painter.minZoom);
        const tiles = await Promise.all(active.map((painter) => painter.source.cover(widened(frame, painter.reachM || 0), frame.zoom)));
        if (turn !== canvas.wanted || !this._map) return;
        campus.paintSoon(() => {
          if (turn !== canvas.wanted || !this._map) return;
          const ctx = canvas.getContext("2d");
          ctx.setTransform(1, 0, 0, 1, 0, 0);
          ctx.clearRect(0, 0, canvas.width, canvas.height);
          ctx.setTransform(canvas.ratio, 0, 0, canvas.ratio, 0, 0);
          active.forEach((painter, i) => painter.paint(ctx, frame, tiles[i].filter(Boolean)));
          if (canvas.done) canvas.done();
          canvas.done = null;
          this.fire("campus:painted", { coords: canvas.coords });
        });
      },

      /** Paint again what a world box touches (null: everything), from data that is already here. */
      repaint(box) {
        for (const key of Object.keys(this._tiles || {})) {
          const canvas = this._tiles[key].el;
          const frame = this.frameOf(canvas);
          if (!box || (box[0] <= frame.box[2] && box[2] >= frame.box[0] && box[1] <= frame.box[3] && box[3] >= frame.box[1])) this.fill(canvas);
        }
      },
    });
    return Grid;
  };

  function widened(frame, reachM) {
    const reach = reachM * campus.geo.perMetre(frame.top);
    return [frame.box[0] - reach, frame.box[1] - reach, frame.box[2] + reach, frame.box[3] + reach];
  }
})();
