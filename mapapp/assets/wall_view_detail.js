// The selected alarm: where, when, whom to call, what the cameras see, who is near, what was done.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const { h, fill, keyed, text, attr, icon, shape } = campus.dom;
  const { t, code, name, at, moment, age, ageOf, metres, hms } = campus.text;
  const state = campus.state;
  const SHOWN_CAMERAS = 4;
  const PEOPLE = 4;
  const AGAIN_MS = 15_000; // units and camera states move on; the open detail follows
  let root = null;
  let shown = null; // {id, data, askedAt}
  let isAll = false;
  let timer = null;
  let parts = {};

  const chip = (kind, ...children) => h("span", { class: "chip chip-" + kind }, ...children);
  const section = (key, id, extra) => h("section", { class: "block", id }, h("h3", {}, h("span", { "data-t": key }, t(key)), extra || null), h("div", { class: "block-body" }));

  function build() {
    parts = {
      head: h("div", { class: "detail-head" }),
      times: h("dl", { class: "times" }),
      people: section("detail.people", "detail-people"),
      cameras: section("detail.cameras", "detail-cameras"),
      outputs: section("detail.outputs", "detail-outputs"),
      units: section("detail.units", "detail-units"),
      steps: section("detail.steps", "detail-steps"),
      actions: h("div", { class: "detail-actions" }),
    };
    const body = h("div", { class: "detail-body" }, parts.times, parts.cameras, parts.people, parts.outputs, parts.units, parts.steps);
    fill(root, parts.head, body, parts.actions);
    campus.cameras.clear();
    root.dataset.built = "alarm";
  }

  const bodyOf = (part) => part.querySelector(".block-body");

  function paintHead(alarm) {
    const demands = state.demands(alarm);
    attr(root, "data-priority", alarm.priority);
    attr(root, "data-alarm-id", alarm.alarm_id);
    attr(root, "data-state", alarm.state);
    const chips = [
      chip("priority", shape(alarm.priority), code("alarm.priority", alarm.priority)),
      chip("state-" + (demands ? "open" : alarm.state), demands && alarm.state !== "open" ? t("alarm.state.again") : code("alarm.state", alarm.state)),
      alarm.presses > 1 ? chip("plain", t("alarm.presses", { n: alarm.presses })) : null,
      alarm.mode !== "live" ? chip("mode", code("alarm.mode", alarm.mode)) : null,
      alarm.demo ? chip("demo", t("alarm.demo")) : null,
    ];
    keyed(parts.head, [campus.text.lang(), alarm], () => [
      h("div", { class: "detail-kicker" }, h("span", {}, t("detail.title")), h("button", { class: "icon-button", title: t("detail.back") + " (Esc)", "aria-label": t("detail.back"), on: { click: () => state.select(null, "operator") } }, icon("close"))),
      h("h2", {}, campus.queue.titleOf(alarm), h("span", { class: "detail-place" }, name(alarm, "place") || t("alarm.no_place"))),
      h("div", { class: "chips" }, ...chips),
    ]);
  }

  const pair = (key, value, sub) => [h("dt", {}, t(key)), h("dd", { class: "tabular" }, value, sub ? h("span", { class: "sub" }, sub) : null)];

  function paintTimes(alarm) {
    const here = campus.frame.paintedAt(alarm.alarm_id, alarm.press);
    const isLive = here && here.how === "live";
    const first = state.firstAt(alarm);
    const way = isLive ? at(here.painted_at) - at(here.event_at) : null;
    const rows = [
      ...pair("detail.pressed", moment(first, true), h("span", { "data-age-of": first }, ageOf(first))),
      alarm.presses > 1 ? pair("detail.last_press", moment(alarm.event_at, true), h("span", { "data-age-of": alarm.event_at }, ageOf(alarm.event_at))) : [],
      ...(isLive
        ? pair("detail.on_map", moment(here.painted_at, true), t("wall.age.ms", { n: Math.round(way) }))
        : pair("detail.stored", moment(alarm.raised_at, true), t("wall.age.ms", { n: Math.round(at(alarm.raised_at) - at(first)) }))),
      alarm.acknowledged_at ? pair("detail.acknowledged", moment(alarm.acknowledged_at), [name(alarm, "acknowledged_by"), t("detail.after", { age: age(at(alarm.acknowledged_at) - at(first)) })].filter(Boolean).join(" · ")) : [],
      alarm.restored_at ? pair("detail.restored", moment(alarm.restored_at), ageOf(alarm.restored_at)) : [],
      alarm.closed_at ? pair("detail.closed", moment(alarm.closed_at), code("alarm.cause", alarm.cause)) : [],
      alarm.is_while_down ? pair("detail.note", t("alarm.while_down"), "") : [],
    ].flat();
    keyed(parts.times, [campus.text.lang(), alarm, here], () => rows);
  }

  function paintPeople(data) {
    const people = [...(data.people || []), ...((data.place && known.get(data.place.school_id)) || [])].slice(0, PEOPLE);
    const rows = people.map((one) =>
      h("li", { class: "line" }, icon("phone"), h("span", { class: "line-main" }, name(one, "name") || one.name || "", h("span", { class: "sub" }, code("detail.person", one.role))), h("span", { class: "line-end tabular" }, one.phone || t("detail.no_phone"))),
    );
    keyed(bodyOf(parts.people), [campus.text.lang(), people], () => (rows.length ? h("ul", { class: "lines" }, ...rows) : h("p", { class: "none" }, t("detail.no_people"))));
  }

  function paintCameras(data) {
    const cameras = data.cameras || [];
    parts.cameras.hidden = !campus.me.may("camera.view");
    const body = bodyOf(parts.cameras);
    const down = cameras.filter((camera) => !["ok", "unknown"].includes(camera.state)).length;
    const sees = cameras.filter((camera) => camera.sees).length;
    let grid = body.querySelector(".tiles");
    if (!grid) fill(body, h("p", { class: "none" }), (grid = h("div", { class: "tiles" })), h("button", { class: "quiet more-cameras", on: { click: () => ((isAll = !isAll), campus.frame.need("detail")) } }));
    text(body.querySelector(".none"), cameras.length ? t("detail.cameras_sum", { n: cameras.length, sees, down }) : t("detail.no_cameras"));
    campus.cameras.show(grid, isAll ? cameras : cameras.slice(0, SHOWN_CAMERAS));
    const more = body.querySelector(".more-cameras");
    more.hidden = cameras.length <= SHOWN_CAMERAS;
    text(more, isAll ? t("detail.fewer_cameras") : t("detail.more_cameras", { n: cameras.length - SHOWN_CAMERAS }));
  }

  function paintOutputs(alarm, data) {
    const outputs = data.outputs || [];
    parts.outputs.hidden = !outputs.length && !campus.me.may("device.command");
    const rows = outputs.map((output) => {
      const last = newest(output, data);
      const key = "command" + output.device_id + ":" + output.channel;
      const isOn = last && last.act !== "off" && last.state === "confirmed" && at(last.state_at) + (last.on_s || output.max_on_s) * 1000 > campus.text.now();
      const isWaiting = campus.act.isRunning(key) || (last && ["requested", "sent"].includes(last.state));
      const send = (act) => campus.act.command(output.device_id, { channel: output.channel, act, on_s: output.max_on_s, alarm_id: alarm.alarm_id });
      const said = last ? h("span", { class: "sub command-" + last.state, "data-testid": "command-state", "data-state": last.state }, t("command." + last.act) + " · " + t("command.state." + last.state) + (last.reason ? " · " + code("state.reason", last.reason) : ""), " · ", h("span", { "data-age-of": last.state_at }, ageOf(last.state_at))) : h("span", { class: "sub" }, t("command.none"));
      const button = campus.me.may("device.command") && alarm.state !== "closed"
        ? h("button", { class: isOn ? "act act-on" : "act", disabled: isWaiting, "data-testid": "siren", on: { click: () => send(isOn ? "off" : "on") } }, icon("siren"), isWaiting ? t("command.waiting") : isOn ? t("command.turn_off") : t("command.turn_on", { n: output.max_on_s }))
        : null;
      return h("li", { class: "line line-output" }, h("span", { class: "line-main" }, [code("detail.zone", output.zone), name(output, "name")].filter(Boolean).join(" · "), said), button);
    });
    const mark = [campus.text.lang(), alarm.alarm_id, alarm.state, outputs.map((output) => [output, newest(output, data), campus.act.isRunning("command" + output.device_id + ":" + output.channel)])];
    keyed(bodyOf(parts.outputs), mark, () => (rows.length ? h("ul", { class: "lines" }, ...rows) : h("p", { class: "none" }, t("detail.no_outputs"))));
  }

  // The latest command of an output: what the stream said since counts before what was read with the detail.
  function newest(output, data) {
    const all = [...(data.commands || []), ...state.commands.values()].filter((one) => one.device_id === output.device_id && (one.point_id === output.point_id || one.channel === output.channel));
    return all.reduce((best, one) => (!best || at(one.state_at) >= at(best.state_at) ? one : best), null);
  }

  function paintUnits(data) {
    parts.units.hidden = !campus.me.may("unit.view");
    const rows = (data.units || []).map((unit) => {
      const moved = { ...unit, ...(state.units.get(unit.unit_id) || {}) };
      const old = campus.text.now() - at(moved.position_at);
      return h("li", { class: "line" + (old > 120_000 && moved.kind !== "station" ? " line-stale" : "") }, icon("unit"), h("span", { class: "line-main" }, name(unit, "name") || unit.code, h("span", { class: "sub" }, [code("detail.unit_status", moved.status), masked(moved.phone)].filter(Boolean).join(" · "))),
        h("span", { class: "line-end tabular" }, metres(unit.distance_m), h("span", { class: "sub" }, t("detail.straight") + " · ", moved.kind === "station" ? t("detail.fixed") : moved.position_at ? h("span", { "data-age-of": moved.position_at }, ageOf(moved.position_at)) : t("wall.age.never"))));
    });
    const mark = [campus.text.lang(), (data.units || []).map((unit) => [unit, state.units.get(unit.unit_id)])];
    keyed(bodyOf(parts.units), mark, () => (rows.length ? h("ul", { class: "lines" }, ...rows) : h("p", { class: "none" }, t("detail.no_units"))));
  }

  function paintSteps(data) {
    const rows = [...(data.steps || [])].reverse().map((step) =>
      h("li", { class: "step step-" + step.act }, h("time", { class: "tabular", datetime: step.at }, hms(at(step.at))), h("span", { class: "line-main" }, code("alarm.step", step.act) + (step.data && step.data.press > 1 ? " ×" + step.data.press : "") + (step.data && step.data.cause ? " · " + code("alarm.cause", step.data.cause) : ""), step.data && step.data.note ? h("span", { class: "sub" }, step.data.note) : null, name(step, "by") ? h("span", { class: "sub" }, name(step, "by")) : null), h("span", { class: "line-end sub", "data-age-of": step.at }, ageOf(step.at))),
    );
    keyed(bodyOf(parts.steps), [campus.text.lang(), data.steps], () => h("ol", { class: "steps" }, ...rows));
  }

  function paintActions(alarm) {
    if (!alarm) return;
    const buttons = [];
    const demands = state.demands(alarm);
    if (demands && campus.me.may("alarm.acknowledge")) {
      buttons.push(h("button", { class: "act act-ack", "data-testid": "ack", disabled: campus.act.isRunning("ack" + alarm.alarm_id), on: { click: () => campus.act.acknowledge(alarm) } }, icon("check"), campus.act.isRunning("ack" + alarm.alarm_id) ? t("detail.sending") : t("detail.ack"), h("kbd", {}, "A")));
    }
    if (alarm.state === "acknowledged" && campus.me.may("alarm.close")) {
      buttons.push(h("button", { class: "act", "data-testid": "close", on: { click: () => campus.closeDialog.open(alarm) } }, t("detail.close"), h("kbd", {}, "C")));
    }
    buttons.push(h("button", { class: "act", on: { click: () => campus.goTo(alarm) } }, t("detail.show"), h("kbd", {}, "⏎")));
    buttons.push(h("button", { class: "act act-quiet", title: t("detail.back"), on: { click: () => state.select(null, "operator") } }, t("detail.back_short"), h("kbd", {}, "Esc")));
    keyed(parts.actions, [campus.text.lang(), alarm.alarm_id, alarm.state, demands, campus.act.isRunning("ack" + alarm.alarm_id)], () => buttons);
  }

  function paint() {
    if (!root) return;
    const ref = state.selected();
    const row = state.selectedRow();
    root.hidden = !row;
    document.body.classList.toggle("has-detail", Boolean(row));
    if (!row || ref.sort !== "alarm") {
      campus.cameras.clear();
      campus.marks.showLinks(null);
      attr(root, "data-testid", row ? "candidate-detail" : "alarm-detail");
      attr(root, "data-alarm-id", null);
      root.dataset.built = "";
      if (row) campus.candidate.paint(root, row);
      return;
    }
    attr(root, "data-testid", "alarm-detail");
    if (root.dataset.built !== "alarm") build();
    const data = shown && shown.id === row.alarm_id && shown.data ? shown.data : {};
    paintHead(row);
    paintTimes(row);
    paintActions(row);
    if (!data.alarm) return waiting();
    paintCameras(data);
    paintPeople(data);
    paintOutputs(row, data);
    paintUnits(data);
    paintSteps(data);
    campus.marks.showLinks(row, data.cameras, data.units);
  }

  function waiting() {
    campus.cameras.clear();
    for (const part of [parts.cameras, parts.people, parts.outputs, parts.units, parts.steps]) keyed(bodyOf(part), campus.text.lang() + Boolean(shown && shown.failed), () => h("p", { class: "none" }, t(shown && shown.failed ? "detail.failed" : "detail.loading")));
  }

  async function load() {
    const ref = state.selected();
    if (!ref || ref.sort !== "alarm") return;
    if (!shown || shown.id !== ref.id) shown = { id: ref.id, data: null, failed: false };
    const mine = shown;
    mine.askedAt = performance.now();
    const answer = await campus.act.get("/api/v1/alarms/" + ref.id);
    if (shown !== mine) return;
    if (answer.ok) mine.data = shapeOf(answer.body);
    mine.failed = !answer.ok;
    campus.frame.need("detail");
  }

  // The people to call, in the order of who can act on the spot; numbers are never whole on a wall that many can read.
  function shapeOf(body) {
    const place = body.place || {};
    const people = [];
    if (place.raised_by_zh) people.push({ role: "raised", name_zh: place.raised_by_zh, name_en: place.raised_by_en, phone: masked(place.raised_by_phone) });
    if (place.school_id) askPeople(place.school_id);
    if (place.contact_name) people.push({ role: "contact", name: place.contact_name, phone: masked(place.contact_phone) });
    return { ...body, people };
  }

  // Beat officer and owners of the cells stand on the school's card; asked for once a school, shown under the contact.
  const known = new Map();
  async function askPeople(schoolId) {
    if (known.has(schoolId) || !campus.me.may("place.view")) return;
    known.set(schoolId, []);
    const answer = await campus.act.get("/api/v1/schools/" + schoolId);
    if (!answer.ok) return known.delete(schoolId);
    known.set(schoolId, (answer.body.people || []).map((one) => ({ ...one, role: one.duty, phone: masked(one.phone) })));
    campus.frame.need("detail");
  }

  const masked = (phone) => (!phone || phone.includes("*") || phone.length < 7 ? phone : phone.slice(0, 3) + "****" + phone.slice(-4));

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(load, 120);
  }

  function run() {
    if (!root || root.hidden) return;
    if (shown && performance.now() - shown.askedAt > AGAIN_MS && !document.hidden) load();
  }

  state.on("select", () => {
    isAll = false;
    shown = null;
    campus.frame.need("detail");
    load();
  });
  for (const topic of ["selected", "snapshot"]) state.on(topic, () => campus.frame.need("detail"));
  for (const topic of ["press", "moved"]) state.on(topic, (alarm) => state.selected() && alarm.alarm_id === state.selected().id && soon());
  for (const topic of ["commands", "candidates"]) state.on(topic, () => state.selected() && (campus.frame.need("detail"), topic === "commands" && soon()));
  state.on("cameras", (changed) => {
    const mine = shown && shown.data && shown.data.cameras;
    if (!mine) return;
    const news = new Map(changed.map((camera) => [camera.camera_id, camera]));
    mine.forEach((camera, index) => {
      const next = news.get(camera.camera_id);
      if (next) mine[index] = { ...camera, state: next.state, state_reason: next.reason, state_at: next.state_at, seen_at: next.seen_at || camera.seen_at };
    });
    campus.frame.need("detail");
  });
  campus.frame.job("detail", paint);
  campus.frame.job("actions", () => root && root.dataset.built === "alarm" && paintActions(state.selectedRow()));
  campus.frame.job("painted", () => root && root.dataset.built === "alarm" && state.selectedRow() && paintTimes(state.selectedRow()));

  campus.detail = { start: (node) => ((root = node.querySelector("#wall-detail")), (root.dataset.built = ""), campus.frame.need("detail")), run, load };
})();
