/* Cameras (packed): dots at zoom 13 to 15, their fields of view from 16, what a chosen one really sees at any zoom. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const STATES = ["unknown", "ok", "lost", "frozen", "dark", "bright", "blurred", "covered", "moved"];
  const HIT_PX = 9;
  const states = new Map(); // camera id -> place in STATES
  const lived = new Map(); // camera id -> when it was told live, so that an older reading does not undo it
  const chosen = new Map(); // camera id -> description with `view`, null while it is fetched
  let grid = null;
  let asked = null;

  const source = new campus.TileSource("cameras", { low: 12, high: 12, decode: campus.unpackCameras });
  const painter = { id: "cameras", source, minZoom: 13, reachM: 160, on: true, paint };

  const toneOf = (code) => (code === 0 ? "unknown" : code === 1 ? "ok" : "fault");

  function fan(ctx, x, y, r, azimuth, fov) {
    const from = azimuth - fov / 2 - Math.PI / 2; // canvas angles start in the east, azimuths in the north
    ctx.moveTo(x, y);
    ctx.arc(x, y, r, from, from + fov);
    ctx.closePath();
  }

  function body(ctx, x, y, azimuth, s, tone, colour) {
    ctx.save();
    ctx.translate(x, y);
    ctx.rotate(azimuth - Math.PI / 2);
    ctx.fillStyle = tone === "ok" ? colour.ok : tone === "fault" ? colour.attention : colour.land;
    ctx.strokeStyle = tone === "unknown" ? colour.muted : colour.schoolEdge;
    ctx.lineWidth = 1.2;
    ctx.beginPath();
    ctx.rect(-s, -s * 0.62, s * 1.5, s * 1.24);
    ctx.moveTo(s * 0.5, -s * 0.3);
    ctx.lineTo(s * 1.2, -s * 0.62);
    ctx.lineTo(s * 1.2, s * 0.62);
    ctx.lineTo(s * 0.5, s * 0.3);
    ctx.fill();
    ctx.stroke();
    if (tone === "fault") {
      ctx.strokeStyle = colour.critical;
      ctx.lineWidth = 1.8;
      ctx.beginPath();
      ctx.moveTo(-s * 1.3, -s * 1.1);
      ctx.lineTo(s * 1.3, s * 1.1);
      ctx.stroke();
    }
    ctx.restore();
  }

  function paint(ctx, frame, tiles) {
    read();
    const { left, top, scale, px, palette, zoom, grow } = frame;
    const metre = campus.geo.perMetre(top) * scale;
    const isClose = zoom >= 16;
    const reach = isClose ? 160 * metre : 6;
    const seen = { ok: [], unknown: [], fault: [] };
    for (const data of tiles) {
      for (let i = 0; i < data.count; i++) {
        const x = (data.xs[i] - left) * scale, y = (data.ys[i] - top) * scale;
        if (x < -reach || y < -reach || x > px + reach || y > px + reach) continue;
        seen[toneOf(states.get(data.ids[i]) || 0)].push({ x, y, r: data.range[i] * metre, azimuth: data.azimuth[i], fov: data.fov[i] });
      }
    }
    if (isClose) fans(ctx, seen, palette);
    for (const tone of ["unknown", "ok", "fault"]) {
      if (isClose) for (const c of seen[tone]) body(ctx, c.x, c.y, c.azimuth, (zoom >= 18 ? 6.5 : zoom >= 17 ? 5 : 3.6) * grow, tone, palette);
      else dots(ctx, seen[tone], tone, (zoom >= 15 ? 2.6 : zoom >= 14 ? 1.9 : 1.3) * grow, palette);
    }
    views(ctx, frame);
  }

  function fans(ctx, seen, palette) {
    ctx.fillStyle = palette.fanOk;
    ctx.strokeStyle = palette.fanOkEdge;
    ctx.lineWidth = 0.9;
    for (const c of seen.ok) { // one by one: where two cameras look, the ground is brighter
      ctx.beginPath();
      fan(ctx, c.x, c.y, c.r, c.azimuth, c.fov);
      ctx.fill();
      ctx.stroke();
    }
    for (const [tone, edge, dash] of [["unknown", palette.fanUnknownEdge, [1, 4]], ["fault", palette.fanFaultEdge, [5, 4]]]) {
      ctx.strokeStyle = edge;
      ctx.setLineDash(dash);
      ctx.beginPath();
      for (const c of seen[tone]) fan(ctx, c.x, c.y, c.r, c.azimuth, c.fov);
      ctx.stroke();
    }
    ctx.setLineDash([]);
  }

  function dots(ctx, seen, tone, r, palette) {
    ctx.beginPath();
    for (const c of seen) {
      if (tone === "fault") { // a cross: seen without its colour too
        ctx.moveTo(c.x - 1.2 * r, c.y - 1.2 * r);
        ctx.lineTo(c.x + 1.2 * r, c.y + 1.2 * r);
        ctx.moveTo(c.x + 1.2 * r, c.y - 1.2 * r);
        ctx.lineTo(c.x - 1.2 * r, c.y + 1.2 * r);
      } else if (r < 2) {
        ctx.rect(c.x - r, c.y - r, 2 * r, 2 * r); // too small for a circle to be seen, and much cheaper
      } else {
        ctx.moveTo(c.x + r, c.y);
        ctx.arc(c.x, c.y, r, 0, 2 * Math.PI);
      }
    }
    if (tone === "ok") {
      ctx.fillStyle = palette.ok;
      ctx.fill();
    } else {
      ctx.strokeStyle = tone === "fault" ? palette.attention : palette.muted;
      ctx.lineWidth = tone === "fault" ? 0.55 * r + 0.2 : 0.9;
      ctx.stroke();
    }
  }

  function views(ctx, frame) {
    for (const seen of chosen.values()) {
      if (!seen) continue;
      ctx.beginPath();
      if (seen.view) {
        for (const ring of seen.view.coordinates) {
          ring.forEach(([lon, lat], i) => {
            const [wx, wy] = campus.geo.world(lat, lon);
            ctx[i ? "lineTo" : "moveTo"]((wx - frame.left) * frame.scale, (wy - frame.top) * frame.scale);
          });
          ctx.closePath();
        }
      } else {
        const [wx, wy] = campus.geo.world(seen.lat, seen.lon);
        const turn = Math.PI / 180;
        fan(ctx, (wx - frame.left) * frame.scale, (wy - frame.top) * frame.scale, seen.range_m * campus.geo.perMetre(wy) * frame.scale, seen.azimuth_deg * turn, seen.fov_deg * turn);
      }
      const isUp = seen.state === "ok";
      ctx.fillStyle = isUp ? frame.palette.viewOk : frame.palette.viewFault;
      ctx.fill();
      ctx.strokeStyle = isUp ? frame.palette.ok : frame.palette.attention;
      ctx.lineWidth = 2 * frame.grow;
      ctx.setLineDash(seen.view ? [] : [6, 4]);
      ctx.stroke();
      ctx.setLineDash([]);
    }
  }

  function boxOf(id, reachM) {
    for (const { data } of source.kept.values()) {
      const i = data ? data.ids.indexOf(id) : -1;
      if (i >= 0) {
        const reach = reachM * campus.geo.perMetre(data.ys[i]);
        return [data.xs[i] - reach, data.ys[i] - reach, data.xs[i] + reach, data.ys[i] + reach];
      }
    }
    return null;
  }

  function repaint(id) {
    const box = boxOf(id, 160);
    if (box && grid) grid.repaint(box);
  }

  /** The states are read once, when a camera is first drawn. */
  function read() {
    if (!asked) asked = cameras.refresh().catch((err) => { asked = null; console.warn("camera states not read", err); });
  }

  const cameras = (campus.layers.cameras = {
    STATES,
    stateOf: (id) => STATES[states.get(id) || 0],

    /** state: one of STATES. */
    setState(id, state) {
      const code = STATES.indexOf(state);
      if (code < 0) throw new RangeError(`no camera state ${state}`);
      states.set(id, code);
      lived.set(id, performance.now());
      if (chosen.get(id)) chosen.get(id).state = state;
      repaint(id);
    },

    async refresh() {
      const begun = performance.now();
      const answer = await campus.fetchWhole("camera-states");
      if (!answer) return;
      const found = campus.unpackStates(await answer.arrayBuffer());
      for (const id of states.keys()) if (!found.has(id) && !(lived.get(id) > begun)) states.delete(id);
      for (const [id, code] of found) if (!(lived.get(id) > begun)) states.set(id, code);
      if (grid) grid.repaint(null);
    },

    /** Show what these cameras really see, and only these. */
    async show(ids) {
      for (const id of [...chosen.keys()]) if (!ids.includes(id)) chosen.delete(id), repaint(id);
      await Promise.all(ids.filter((id) => !chosen.has(id)).map(async (id) => {
        chosen.set(id, null);
        const found = await campus.describe("cameras", id);
        if (!chosen.has(id)) return;
        chosen.set(id, found);
        repaint(id);
      }));
    },

    hit(x, y, zoom) {
      if (!painter.on || zoom < 14) return null;
      const reach = HIT_PX / (256 * 2 ** zoom);
      let best = null;
      for (const data of source.here([x - reach, y - reach, x + reach, y + reach], zoom)) {
        for (let i = 0; i < data.count; i++) {
          const far = Math.hypot(data.xs[i] - x, data.ys[i] - y);
          if (far < reach && (!best || far < best.far)) best = { kind: "cameras", id: data.ids[i], far, x: data.xs[i], y: data.ys[i] };
        }
      }
      return best;
    },
  });

  campus.layers.declare({
    id: "cameras",
    order: 50,
    painter,
    hit: cameras.hit,
    attach: (map, made) => { grid = made; },
    refresh: () => (asked ? cameras.refresh() : Promise.resolve()),
    live: { "camera.changed": (body) => body.cameras.forEach((row) => cameras.setState(row.camera_id, row.state)) },
  });
})();
