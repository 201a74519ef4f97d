// The selected alarm: where, when, whom to call, what the cameras see, who is near, what was done.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const { h, fill, keyed, text, attr, icon, shape } = campus.dom;
  const { t, code, name, at, moment, age, ageOf } = campus.text;
  const state = campus.state;
  const SHOWN_CAMERAS = 4;
  const RETRY_MS = 3_000;
  const FACTS = ["people", "outputs", "units", "steps"];
  const AGAIN_MS = 15_000; // units and camera states move on; the open detail follows
  let root = null;
  let shown = null; // {id, data, askedAt}
  let isAll = false;
  let timer = null;
  let parts = {};

  const chip = (kind, ...children) => h("span", { class: "chip chip-" + kind }, ...children);
  const section = (key, id, extra) =>
    h(
      "section",
      { class: "block", id },
      h("h3", {}, h("span", { "data-t": key }, t(key)), extra || null),
      h("div", { class: "block-body" }),
    );

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
    parts.cameras.hidden = !campus.me.may("camera.view");
    parts.outputs.hidden = !campus.me.may("device.view");
    parts.units.hidden = !campus.me.may("unit.view");
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
      chip("state-" + (demands ? "open" : alarm.state), alarm.again ? t("alarm.state.again") : code("alarm.state", alarm.state)),
      alarm.presses > 1 ? chip("plain", t("alarm.presses", { n: alarm.presses })) : null,
      alarm.mode !== "live" ? chip("mode", code("alarm.mode", alarm.mode)) : null,
      alarm.demo ? chip("demo", t("alarm.demo")) : null,
    ];
    keyed(parts.head, [campus.text.lang(), alarm], () => [
      h(
        "div",
        { class: "detail-kicker" },
        h("span", {}, t("detail.title")),
        h(
          "button",
          {
            class: "icon-button",
            title: t("detail.back") + " (Esc)",
            "aria-label": t("detail.back"),
            on: { click: () => state.select(null, "operator") },
          },
          icon("close"),
        ),
      ),
      h("h2", {}, campus.queue.titleOf(alarm), h("span", { class: "detail-place" }, name(alarm, "place") || t("alarm.no_place"))),
      h("div", { class: "chips" }, ...chips),
    ]);
  }

  const pair = (key, value, sub) => [
    h("dt", {}, t(key)),
    h("dd", { class: "tabular" }, value, sub ? h("span", { class: "sub" }, sub) : null),
  ];

  function paintTimes(alarm) {
    const here = campus.frame.paintedAt(alarm.alarm_id, alarm.press);
    const isLive = here && here.how === "live";
    const first = state.firstAt(alarm);
    const way = isLive ? at(here.painted_at) - at(here.event_at) : null;
    const rows = [
      ...pair("detail.pressed", moment(first, true), h("span", { "data-age-of": first }, ageOf(first))),
      alarm.presses > 1
        ? pair("detail.last_press", moment(alarm.event_at, true), h("span", { "data-age-of": alarm.event_at }, ageOf(alarm.event_at)))
        : [],
      ...(isLive
        ? pair("detail.on_map", moment(here.painted_at, true), t("wall.age.ms", { n: Math.round(way) }))
        : pair("detail.stored", moment(alarm.raised_at, true), t("wall.age.ms", { n: Math.round(at(alarm.raised_at) - at(first)) }))),
      alarm.acknowledged_at
        ? pair(
            "detail.acknowledged",
            moment(alarm.acknowledged_at),
            [name(alarm, "acknowledged_by"), t("detail.after", { age: age(at(alarm.acknowledged_at) - at(first)) })]
              .filter(Boolean)
              .join(" · "),
          )
        : [],
      alarm.restored_at ? pair("detail.restored", moment(alarm.restored_at), ageOf(alarm.restored_at)) : [],
      alarm.closed_at ? pair("detail.closed", moment(alarm.closed_at), code("alarm.cause", alarm.cause)) : [],
      alarm.is_while_down ? pair("detail.note", t("alarm.while_down"), "") : [],
    ].flat();
    keyed(parts.times, [campus.text.lang(), alarm, here], () => rows);
  }

  function paintCameras(data) {
    const cameras = data.cameras || [];
    const body = bodyOf(parts.cameras);
    const down = cameras.filter((camera) => !["ok", "unknown"].includes(camera.state)).length;
    const sees = cameras.filter((camera) => camera.sees).length;
    keyed(body, "tiles", () => [
      h("p", { class: "none" }),
      h("div", { class: "tiles" }),
      h("button", { class: "quiet more-cameras", on: { click: () => ((isAll = !isAll), campus.frame.need("detail")) } }),
    ]);
    text(body.querySelector(".none"), cameras.length ? t("detail.cameras_sum", { n: cameras.length, sees, down }) : t("detail.no_cameras"));
    campus.cameras.show(body.querySelector(".tiles"), isAll ? cameras : cameras.slice(0, SHOWN_CAMERAS));
    const more = body.querySelector(".more-cameras");
    more.hidden = cameras.length <= SHOWN_CAMERAS;
    text(more, isAll ? t("detail.fewer_cameras") : t("detail.more_cameras", { n: cameras.length - SHOWN_CAMERAS }));
  }

  function paintActions(alarm) {
    if (!alarm) return;
    const buttons = [];
    const demands = state.demands(alarm);
    if (demands && campus.me.may("alarm.acknowledge")) {
      buttons.push(
        h(
          "button",
          {
            class: "act act-ack",
            "data-testid": "ack",
            disabled: campus.act.isRunning("ack" + alarm.alarm_id),
            on: { click: () => campus.act.acknowledge(alarm) },
          },
          icon("check"),
          campus.act.isRunning("ack" + alarm.alarm_id) ? t("detail.sending") : t("detail.ack"),
          h("kbd", {}, "A"),
        ),
      );
    }
    if (alarm.state === "acknowledged" && campus.me.may("alarm.close")) {
      buttons.push(
        h(
          "button",
          { class: "act", "data-testid": "close", on: { click: () => campus.closeDialog.open(alarm) } },
          t("detail.close"),
          h("kbd", {}, "C"),
        ),
      );
    }
    buttons.push(h("button", { class: "act", on: { click: () => campus.goTo(alarm) } }, t("detail.show"), h("kbd", {}, "⏎")));
    buttons.push(
      h(
        "button",
        { class: "act act-quiet", title: t("detail.back"), on: { click: () => state.select(null, "operator") } },
        t("detail.back_short"),
        h("kbd", {}, "Esc"),
      ),
    );
    keyed(
      parts.actions,
      [campus.text.lang(), alarm.alarm_id, alarm.state, demands, campus.act.isRunning("ack" + alarm.alarm_id)],
      () => buttons,
    );
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
    for (const fact of FACTS) campus.facts[fact](bodyOf(parts[fact]), data, row);
    campus.marks.showLinks(row, data.cameras, data.units);
  }

  function waiting() {
    campus.cameras.clear();
    for (const part of [parts.cameras, ...FACTS.map((fact) => parts[fact])])
      keyed(bodyOf(part), campus.text.lang() + Boolean(shown && shown.failed), () =>
        h("p", { class: "none" }, t(shown && shown.failed ? "detail.failed" : "detail.loading")),
      );
  }

  async function load() {
    const ref = state.selected();
    if (!ref || ref.sort !== "alarm") return;
    if (!shown || shown.id !== ref.id) shown = { id: ref.id, data: null, failed: false };
    const mine = shown;
    mine.askedAt = performance.now();
    const answer = await campus.act.get("/api/v1/alarms/" + ref.id);
    if (shown !== mine) return;
    if (answer.ok) mine.data = campus.facts.withPeople(answer.body);
    mine.failed = !answer.ok;
    campus.frame.need("detail");
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(load, 120);
  }

  function run() {
    if (!root || root.hidden) return;
    if (shown && performance.now() - shown.askedAt > (shown.failed ? RETRY_MS : AGAIN_MS) && !document.hidden) load();
  }

  state.on("select", () => {
    isAll = false;
    shown = null;
    campus.frame.need("detail");
    load();
  });
  for (const topic of ["selected", "snapshot"]) state.on(topic, () => campus.frame.need("detail"));
  for (const topic of ["press", "moved"]) state.on(topic, (alarm) => state.selected() && alarm.alarm_id === state.selected().id && soon());
  for (const topic of ["commands", "candidates", "units"])
    state.on(topic, () => state.selected() && (campus.frame.need("detail"), topic === "commands" && soon()));
  state.on("cameras", (changed) => {
    const mine = shown && shown.data && shown.data.cameras;
    if (!mine) return;
    const news = new Map(changed.map((camera) => [camera.camera_id, camera]));
    mine.forEach((camera, index) => {
      const next = news.get(camera.camera_id);
      if (next)
        mine[index] = {
          ...camera,
          state: next.state,
          state_reason: next.reason,
          state_at: next.state_at,
          seen_at: next.seen_at || camera.seen_at,
        };
    });
    campus.frame.need("detail");
  });
  campus.frame.job("detail", paint);
  campus.frame.job("actions", () => root && root.dataset.built === "alarm" && paintActions(state.selectedRow()));
  campus.frame.job("painted", () => root && root.dataset.built === "alarm" && state.selectedRow() && paintTimes(state.selectedRow()));

  campus.detail = {
    start: (node) => ((root = node.querySelector("#wall-detail")), (root.dataset.built = ""), campus.frame.need("detail")),
    run,
    load,
  };
})();
