// The bar on top and the warnings under it: what is up, how old it is, and a lost connection nobody can overlook.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const { h, fill, text, attr, icon } = campus.dom;
  const { t, code, age, now, at, number, hms, day } = campus.text;
  const state = campus.state;
  const OLD_MS = 12_000; // two ticks missed
  const STALE_MS = 30_000;
  let root = null;
  let live = { state: "connecting", since: performance.now() };
  let delayMs = null;
  let summary = null;
  let snapshotAt = -Infinity; // a snapshot is a reading of the database as well

  function kpi(name, value, sub, level, extra) {
    const node = root.querySelector('[data-testid="kpi-' + name + '"]');
    if (!node) return;
    text(node.querySelector(".kpi-value"), value);
    text(node.querySelector(".kpi-sub"), sub || "");
    text(node.querySelector(".kpi-extra"), extra || "");
    attr(node, "data-level", level || "plain");
  }

  const percent = (part, whole) => (whole ? (Math.floor((1000 * part) / whole) / 10).toFixed(1) + " %" : "–");

  function paint() {
    if (!root) return;
    const tick = state.tick();
    const open = state.open().length;
    kpi("open", number(open), "", open ? "critical" : "ok");
    if (summary) {
      kpi(
        "ack",
        summary.median_ack_ms === null ? "–" : age(summary.median_ack_ms),
        summary.acknowledged ? t("wall.kpi.of_n", { n: number(summary.acknowledged) }) : "",
      );
    }
    if (tick) {
      kpi(
        "schools",
        number(tick.schools_online),
        "/ " + number(tick.schools_total),
        tick.schools_online < tick.schools_total * 0.9 ? "attention" : "plain",
      );
      kpi(
        "devices",
        percent(tick.devices_up, tick.devices_total),
        "",
        tick.devices_total && tick.devices_up < tick.devices_total * 0.9 ? "attention" : "plain",
      );
      const unknown = tick.cameras_unknown ?? (summary && summary.cameras_unknown);
      kpi(
        "cameras",
        number(tick.cameras_ok),
        "/ " + number(tick.cameras_total),
        "plain",
        unknown ? "· " + t("wall.kpi.unknown", { n: number(unknown) }) : "",
      );
    }
    kpi(
      "delay",
      delayMs === null || live.state !== "open" ? "–" : t("wall.age.ms", { n: Math.round(delayMs) }),
      "",
      delayMs > 1000 ? "attention" : "ok",
    );
    paintLive();
    paintWarnings(tick);
  }

  function paintLive() {
    const node = root.querySelector('[data-testid="live-state"]');
    attr(node, "data-state", live.state);
    text(node.querySelector(".live-word"), t("wall.live." + live.state));
    const lost = root.querySelector("#wall-lost");
    lost.hidden = live.state !== "lost" && !isSilent();
    lostAge(lost, dataAge());
    root.classList.toggle("is-lost", !lost.hidden);
  }

  // The stream says it is open, yet nothing comes through it.
  const isSilent = () => Number.isFinite(state.tickAge()) && state.tickAge() > STALE_MS;

  function dataAge() {
    const tick = state.tick();
    if (!tick) return Number.isFinite(snapshotAt) ? performance.now() - snapshotAt : null;
    return tick.read_at ? Math.max(0, now() - at(tick.read_at)) : state.tickAge();
  }

  // Four times a second: clocks and ages only.
  function run() {
    if (!root) return;
    text(root.querySelector("#wall-time"), hms(now()));
    text(root.querySelector("#wall-date"), day(now()));
    const old = dataAge();
    kpi("age", old === null ? "–" : age(old), "", old === null ? "plain" : old > STALE_MS ? "critical" : old > OLD_MS ? "attention" : "ok");
    const lost = root.querySelector("#wall-lost");
    if (isSilent() && lost.hidden) campus.frame.need("status");
    lostAge(lost, old);
  }

  function lostAge(lost, old) {
    if (!lost.hidden) text(lost.querySelector(".lost-age"), t("wall.lost.age", { age: age(old === null ? Infinity : old) }));
  }

  function warning(kind, words, next) {
    return h(
      "li",
      { class: "warning warning-" + kind },
      icon("warn"),
      h("div", {}, h("strong", {}, words), next ? h("span", {}, next) : null),
    );
  }

  function paintWarnings(tick) {
    const found = [];
    for (const role of state.roles()) {
      if (role.up === false)
        found.push(
          warning("critical", t("state.role_down", { role: code("state.role", role.role) }), t("state.role_down_next." + role.role)),
        );
    }
    const drift = campus.text.drift();
    if (Math.abs(drift) > 2000)
      found.push(warning("attention", t("wall.warn.clock", { age: age(Math.abs(drift)) }), t("wall.warn.clock_next")));
    if (tick && tick.unassigned)
      found.push(warning("attention", t("wall.warn.unassigned", { n: number(tick.unassigned) }), t("wall.warn.unassigned_next")));
    if (tick && tick.dead_letters && campus.me.may("deadletter.view"))
      found.push(warning("attention", t("wall.warn.dead", { n: number(tick.dead_letters) }), t("wall.warn.dead_next")));
    const list = root.querySelector("#wall-warnings");
    const mark = campus.text.lang() + found.map((node) => node.textContent).join("|");
    if (list.dataset.mark !== mark) {
      list.dataset.mark = mark;
      fill(list, ...found);
    }
  }

  function onTick() {
    const tick = state.tick();
    const travelled = Date.now() - at(tick.now);
    // On one machine, or with clocks in step, the way is measured; otherwise only the server's own part is known.
    delayMs = Math.abs(campus.text.drift()) < 1000 ? Math.max(0, travelled) + (tick.lag_ms || 0) : tick.lag_ms || 0;
    campus.text.learn(tick.now);
    campus.frame.need("status");
  }

  campus.frame.job("status", paint);
  state.on("tick", onTick);
  state.on("snapshot", () => (snapshotAt = performance.now()));
  for (const topic of ["alarms", "roles"]) state.on(topic, () => campus.frame.need("status"));

  campus.status = {
    run,
    start: (node) => ((root = node), campus.frame.need("status")),
    live(next) {
      if (live.state !== next) live = { state: next, since: performance.now() };
      campus.frame.need("status");
    },
    liveState: () => live.state,
    summary(next) {
      summary = next;
      campus.frame.need("status");
    },
  };
})();
