// What the wall knows: one store, changed only by the live stream (and the answers to one's own acts), read by every panel.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const RANK = { critical: 0, high: 1, attention: 2 };
  const KEPT_CLOSED = 50; // closed alarms whose detail may still be open on this screen
  const heard = {};
  const alarms = new Map();
  const closed = new Map();
  const candidates = new Map();
  const units = new Map();
  const commands = new Map();
  let roles = [];
  let tick = null;
  let tickAt = 0;
  let selected = null;
  let selectedBy = "auto";
  let rows = null;
  let fresh = true;

  function on(topic, fn) {
    (heard[topic] = heard[topic] || []).push(fn);
  }
  function say(topic, ...values) {
    (heard[topic] || []).forEach((fn) => fn(...values));
  }

  const time = (iso) => (iso ? Date.parse(iso) : 0);
  const demands = (alarm) => alarm.state === "open";
  // "Not sure" can still be answered by somebody else until it expires.
  const waits = (candidate) => candidate.state === "open" || candidate.state === "unsure";
  const rank = (alarm) => RANK[alarm.priority] ?? 3;

  function inOrder() {
    if (rows) return rows;
    const open = [];
    const taken = [];
    for (const alarm of alarms.values()) (demands(alarm) ? open : taken).push(alarm);
    const latest = (a, b) => b.last_ms - a.last_ms || b.alarm_id - a.alarm_id;
    open.sort((a, b) => rank(a) - rank(b) || latest(a, b));
    taken.sort(latest);
    const asked = [...candidates.values()].filter(waits).sort((a, b) => time(a.expires_at) - time(b.expires_at));
    rows = [
      ...open.map((alarm) => ({ key: "a" + alarm.alarm_id, sort: "alarm", row: alarm })),
      ...asked.map((one) => ({ key: "c" + one.candidate_id, sort: "candidate", row: one })),
      ...taken.map((alarm) => ({ key: "a" + alarm.alarm_id, sort: "alarm", row: alarm })),
    ];
    return rows;
  }

  function changed(topic) {
    if (topic === "alarms" || topic === "candidates") rows = null;
    say(topic);
  }

  function keepAlarm(body, how) {
    const known = alarms.get(body.alarm_id) || closed.get(body.alarm_id);
    body.last_ms = time(body.last_at); // read once: a storm sorts a thousand rows in every frame
    // A press after an acknowledgement opens the alarm again and takes the name away; who had it is still worth knowing.
    body.again =
      known && body.state === "open"
        ? known.acknowledged_at
          ? { acknowledged_by_zh: known.acknowledged_by_zh, acknowledged_by_en: known.acknowledged_by_en }
          : known.again
        : null;
    const pressed = body.press > (known ? known.press : 0);
    if (body.state === "closed") {
      alarms.delete(body.alarm_id);
      closed.set(body.alarm_id, body);
      if (closed.size > KEPT_CLOSED) closed.delete(closed.keys().next().value);
    } else {
      alarms.set(body.alarm_id, body);
      if (pressed) say("press", body, { how, isNew: !known });
    }
    if (known && known.state !== body.state) say("moved", body, known.state);
    if (selected && selected.sort === "alarm" && selected.id === body.alarm_id) say("selected");
  }

  function replace(map, list, id) {
    map.clear();
    for (const one of list || []) map.set(one[id], one);
  }

  const apply = {
    snapshot(body) {
      const open = new Set(body.alarms.map((alarm) => alarm.alarm_id));
      for (const alarm of [...alarms.values()]) if (!open.has(alarm.alarm_id)) alarms.delete(alarm.alarm_id);
      for (const alarm of body.alarms) keepAlarm(alarm, fresh ? "start" : "snapshot");
      replace(candidates, body.candidates, "candidate_id");
      replace(units, body.units, "unit_id");
      replace(commands, body.commands, "command_id");
      roles = body.roles || [];
      fresh = false;
      ["alarms", "candidates", "units", "commands", "roles", "snapshot"].forEach(changed);
    },
    "alarm.changed"(body) {
      keepAlarm(body, "live");
      changed("alarms");
    },
    "candidate.changed"(body) {
      const known = candidates.get(body.candidate_id);
      candidates.set(body.candidate_id, { ...known, ...body });
      if (!known && waits(body)) say("found", body);
      changed("candidates");
    },
    "camera.changed"(body) {
      say("cameras", body.cameras || [body]);
    },
    "command.changed"(body) {
      commands.set(body.command_id, { ...commands.get(body.command_id), ...body });
      changed("commands");
    },
    "unit.changed"(body) {
      units.set(body.unit_id, { ...units.get(body.unit_id), ...body });
      changed("units");
    },
    "unit.moved"(body) {
      for (const one of Array.isArray(body) ? body : [body]) units.set(one.unit_id, { ...units.get(one.unit_id), ...one });
      changed("units");
    },
    tick(body) {
      tick = body;
      tickAt = performance.now();
      roles = body.roles || roles;
      changed("tick");
      changed("roles");
    },
  };

  function find(ref) {
    if (!ref) return null;
    return ref.sort === "alarm" ? alarms.get(ref.id) || closed.get(ref.id) || null : candidates.get(ref.id) || null;
  }

  function select(ref, by) {
    const same = (ref && selected && ref.sort === selected.sort && ref.id === selected.id) || (!ref && !selected);
    selectedBy = by || "operator";
    if (same) return;
    selected = ref;
    say("select", selected, selectedBy);
  }

  campus.state = {
    on,
    apply,
    select,
    find,
    demands,
    waits,
    rank,
    firstAt: (alarm) => alarm.first_at || alarm.event_at, // event_at is that of the latest press
    rows: inOrder,
    alarms,
    candidates,
    units,
    commands,
    open: () => [...alarms.values()].filter(demands),
    roles: () => roles,
    tick: () => tick,
    tickAge: () => (tick ? performance.now() - tickAt : Infinity),
    selected: () => selected,
    selectedBy: () => selectedBy,
    selectedRow: () => find(selected),
  };
})();
