// The facts under the pictures of an alarm: whom to call, what can be switched, who is near, what was done.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const { h, keyed, icon } = campus.dom;
  const { t, code, name, at, ageOf, metres, hms } = campus.text;
  const state = campus.state;
  const PEOPLE = 4;
  const STALE_MS = 120_000; // a position older than this says where a unit was, not where it is

  // The people to call, in the order of who can act on the spot; numbers are never whole on a wall that many can read.
  function withPeople(body) {
    const place = body.place || {};
    const found = [];
    if (place.raised_by_zh)
      found.push({ role: "raised", name_zh: place.raised_by_zh, name_en: place.raised_by_en, phone: masked(place.raised_by_phone) });
    if (place.school_id) askPeople(place.school_id);
    if (place.contact_name) found.push({ role: "contact", name: place.contact_name, phone: masked(place.contact_phone) });
    return { ...body, people: found };
  }

  // Beat officer and owners of the cells stand on the school's card; asked for once a school, shown under the contact.
  const known = new Map();
  async function askPeople(schoolId) {
    if (known.has(schoolId) || !campus.me.may("place.view")) return;
    known.set(schoolId, []);
    const answer = await campus.act.get("/api/v1/schools/" + schoolId);
    if (!answer.ok) return known.delete(schoolId);
    known.set(
      schoolId,
      (answer.body.people || []).map((one) => ({ ...one, role: one.duty, phone: masked(one.phone) })),
    );
    campus.frame.need("detail");
  }

  const masked = (phone) => (!phone || phone.includes("*") || phone.length < 7 ? phone : phone.slice(0, 3) + "****" + phone.slice(-4));

  function people(body, data) {
    const all = [...(data.people || []), ...((data.place && known.get(data.place.school_id)) || [])].slice(0, PEOPLE);
    const rows = all.map((one) =>
      h(
        "li",
        { class: "line" },
        icon("phone"),
        h(
          "span",
          { class: "line-main" },
          name(one, "name") || one.name || "",
          h("span", { class: "sub" }, code("detail.person", one.role)),
        ),
        h("span", { class: "line-end tabular" }, one.phone || t("detail.no_phone")),
      ),
    );
    keyed(body, [campus.text.lang(), all], () =>
      rows.length ? h("ul", { class: "lines" }, ...rows) : h("p", { class: "none" }, t("detail.no_people")),
    );
  }

  function outputs(body, data, alarm) {
    const list = data.outputs || [];
    const rows = list.map((output) => {
      const last = newest(output, data);
      const key = "command" + output.device_id + ":" + output.channel;
      const isOn =
        last &&
        last.act !== "off" &&
        last.state === "confirmed" &&
        at(last.state_at) + (last.on_s || output.max_on_s) * 1000 > campus.text.now();
      const isWaiting = campus.act.isRunning(key) || (last && ["requested", "sent"].includes(last.state));
      const send = (act) =>
        campus.act.command(output.device_id, { channel: output.channel, act, on_s: output.max_on_s, alarm_id: alarm.alarm_id });
      const said = last
        ? h(
            "span",
            { class: "sub command-" + last.state, "data-testid": "command-state", "data-state": last.state },
            t("command." + last.act) +
              " · " +
              t("command.state." + last.state) +
              (last.reason ? " · " + code("state.reason", last.reason) : ""),
            " · ",
            h("span", { "data-age-of": last.state_at }, ageOf(last.state_at)),
          )
        : h("span", { class: "sub" }, t("command.none"));
      const button =
        campus.me.may("device.command") && alarm.state !== "closed"
          ? h(
              "button",
              {
                class: isOn ? "act act-on" : "act",
                disabled: isWaiting,
                "data-testid": "siren",
                on: { click: () => send(isOn ? "off" : "on") },
              },
              icon("siren"),
              isWaiting ? t("command.waiting") : isOn ? t("command.turn_off") : t("command.turn_on", { n: output.max_on_s }),
            )
          : null;
      return h(
        "li",
        { class: "line line-output" },
        h("span", { class: "line-main" }, [code("detail.zone", output.zone), name(output, "name")].filter(Boolean).join(" · "), said),
        button,
      );
    });
    const mark = [
      campus.text.lang(),
      alarm.alarm_id,
      alarm.state,
      list.map((output) => [output, newest(output, data), campus.act.isRunning("command" + output.device_id + ":" + output.channel)]),
    ];
    keyed(body, mark, () => (rows.length ? h("ul", { class: "lines" }, ...rows) : h("p", { class: "none" }, t("detail.no_outputs"))));
  }

  // The latest command of an output: what the stream said since counts before what was read with the detail.
  function newest(output, data) {
    const all = [...(data.commands || []), ...state.commands.values()].filter(
      (one) => one.device_id === output.device_id && (one.point_id === output.point_id || one.channel === output.channel),
    );
    return all.reduce((best, one) => (!best || at(one.state_at) >= at(best.state_at) ? one : best), null);
  }

  function units(body, data) {
    const rows = (data.units || []).map((unit) => {
      const moved = { ...unit, ...(state.units.get(unit.unit_id) || {}) };
      const old = campus.text.now() - at(moved.position_at);
      return h(
        "li",
        { class: "line" + (old > STALE_MS && moved.kind !== "station" ? " line-stale" : "") },
        icon("unit"),
        h(
          "span",
          { class: "line-main" },
          name(unit, "name") || unit.code,
          h("span", { class: "sub" }, [code("detail.unit_status", moved.status), masked(moved.phone)].filter(Boolean).join(" · ")),
        ),
        h(
          "span",
          { class: "line-end tabular" },
          metres(unit.distance_m),
          h(
            "span",
            { class: "sub" },
            t("detail.straight") + " · ",
            moved.kind === "station"
              ? t("detail.fixed")
              : moved.position_at
                ? h("span", { "data-age-of": moved.position_at }, ageOf(moved.position_at))
                : t("wall.age.never"),
          ),
        ),
      );
    });
    const mark = [campus.text.lang(), (data.units || []).map((unit) => [unit, state.units.get(unit.unit_id)])];
    keyed(body, mark, () => (rows.length ? h("ul", { class: "lines" }, ...rows) : h("p", { class: "none" }, t("detail.no_units"))));
  }

  function steps(body, data) {
    const rows = [...(data.steps || [])]
      .reverse()
      .map((step) =>
        h(
          "li",
          { class: "step step-" + step.act },
          h("time", { class: "tabular", datetime: step.at }, hms(at(step.at))),
          h(
            "span",
            { class: "line-main" },
            code("alarm.step", step.act) +
              (step.data && step.data.press > 1 ? " ×" + step.data.press : "") +
              (step.data && step.data.cause ? " · " + code("alarm.cause", step.data.cause) : ""),
            step.data && step.data.note ? h("span", { class: "sub" }, step.data.note) : null,
            name(step, "by") ? h("span", { class: "sub" }, name(step, "by")) : null,
          ),
          h("span", { class: "line-end sub", "data-age-of": step.at }, ageOf(step.at)),
        ),
      );
    keyed(body, [campus.text.lang(), data.steps], () => h("ol", { class: "steps" }, ...rows));
  }

  campus.facts = { withPeople, people, outputs, units, steps };
})();
