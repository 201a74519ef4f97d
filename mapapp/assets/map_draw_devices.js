/* Devices (packed by their points), from map zoom 15: a rounded square with the sign of its zone. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const STATES = ["unknown", "up", "lost", "fault"];
  const PANIC = 1, SIREN = 4;
  const HIT_PX = 10;
  const states = new Map(); // device id -> place in STATES
  const lived = new Map();
  let grid = null;
  let asked = null;

  const source = new campus.TileSource("devices", { low: 12, high: 12, decode: campus.unpackDevices });
  const painter = { id: "devices", source, minZoom: 15, on: true, paint };

  function sign(ctx, x, y, r, zone) {
    ctx.beginPath();
    if (zone === PANIC) ctx.arc(x, y, r * 0.42, 0, 2 * Math.PI);
    else if (zone === SIREN) {
      ctx.moveTo(x, y - r * 0.55);
      ctx.lineTo(x + r * 0.55, y + r * 0.45);
      ctx.lineTo(x - r * 0.55, y + r * 0.45);
    } else ctx.rect(x - r * 0.45, y - r * 0.16, r * 0.9, r * 0.32);
    ctx.fill();
  }

  function paint(ctx, frame, tiles) {
    read();
    const { left, top, scale, px, palette } = frame, r = (frame.zoom >= 17 ? 7.5 : 5) * frame.grow;
    for (const data of tiles) {
      for (let i = 0; i < data.count; i++) {
        const x = (data.xs[i] - left) * scale, y = (data.ys[i] - top) * scale;
        if (x < -r || y < -r || x > px + r || y > px + r) continue;
        const state = states.get(data.devices[i]) || 0;
        ctx.beginPath();
        ctx.roundRect(x - r, y - r, 2 * r, 2 * r, r * 0.4);
        ctx.fillStyle = state === 1 ? palette.ok : state === 0 ? palette.land : palette.attention;
        ctx.fill();
        ctx.strokeStyle = state === 0 ? palette.muted : palette.schoolEdge;
        ctx.lineWidth = 1.3;
        ctx.stroke();
        ctx.fillStyle = state === 0 ? palette.muted : palette.schoolEdge;
        sign(ctx, x, y, r, data.zones[i]);
        if (state > 1) {
          ctx.strokeStyle = palette.critical;
          ctx.lineWidth = 2;
          ctx.beginPath();
          ctx.moveTo(x - r, y + r);
          ctx.lineTo(x + r, y - r);
          ctx.stroke();
        }
      }
    }
  }

  function repaint(device) {
    for (const { data } of source.kept.values()) {
      for (let i = 0; data && i < data.count; i++) {
        if (data.devices[i] === device && grid) grid.repaint([data.xs[i] - 1e-6, data.ys[i] - 1e-6, data.xs[i] + 1e-6, data.ys[i] + 1e-6]);
      }
    }
  }

  function read() {
    if (!asked) asked = devices.refresh().catch((err) => { asked = null; console.warn("device states not read", err); });
  }

  let again = null;
  /** A school's own state follows from all its devices: read again, once for many changes. */
  function schoolsAgain() {
    if (again) return;
    again = setTimeout(() => {
      again = null;
      campus.layers.schools.refresh().catch((err) => console.warn("school states not read", err));
    }, 1500);
  }

  const devices = (campus.layers.devices = {
    stateOf: (id) => STATES[states.get(id) || 0],
    setState(id, state) {
      const code = STATES.indexOf(state);
      if (code < 0) throw new RangeError(`no device state ${state}`);
      states.set(id, code);
      lived.set(id, performance.now());
      repaint(id);
    },
    async refresh() {
      const begun = performance.now();
      const answer = await campus.fetchWhole("device-states");
      if (!answer) return;
      const found = campus.unpackStates(await answer.arrayBuffer());
      for (const id of states.keys()) if (!found.has(id) && !(lived.get(id) > begun)) states.delete(id);
      for (const [id, code] of found) if (!(lived.get(id) > begun)) states.set(id, code);
      if (grid) grid.repaint(null);
    },
    hit(x, y, zoom) {
      if (!painter.on || zoom < 15) return null;
      const reach = HIT_PX / (256 * 2 ** zoom);
      for (const data of source.here([x - reach, y - reach, x + reach, y + reach], zoom)) {
        for (let i = 0; i < data.count; i++) {
          if (Math.abs(data.xs[i] - x) < reach && Math.abs(data.ys[i] - y) < reach) return { kind: "devices", id: data.ids[i], device: data.devices[i], x: data.xs[i], y: data.ys[i] };
        }
      }
      return null;
    },
  });

  campus.layers.declare({
    id: "devices",
    order: 60,
    painter,
    hit: devices.hit,
    attach: (map, made) => { grid = made; },
    refresh: () => (asked ? devices.refresh() : Promise.resolve()),
    live: {
      "device.changed": (body) => {
        devices.setState(body.device_id, body.state);
        schoolsAgain();
      },
    },
  });
})();
