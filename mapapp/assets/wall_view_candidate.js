// A candidate: the machine's proposal beside the register's picture. Nothing follows from it until a named person answers.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const { h, keyed, text, attr, icon, shape } = campus.dom;
  const { t, code, name, at, now, clock, moment, ageOf } = campus.text;
  const state = campus.state;
  let root = null;

  function picture(url, key) {
    const image = url ? h("img", { src: url, alt: t(key), draggable: "false" }) : null;
    const none = h("div", { class: "face-none", hidden: Boolean(image) }, icon("user"), h("span", {}, t("candidate.no_picture")));
    if (image) image.addEventListener("error", () => ((image.hidden = true), (none.hidden = false)), { once: true });
    return h("figure", { class: "face" }, image, none, h("figcaption", {}, t(key)));
  }

  const pair = (key, value) => [h("dt", {}, t(key)), h("dd", { class: "tabular" }, value)];

  function answers(one) {
    const make = (answer, kind) =>
      h(
        "button",
        {
          class: "act act-" + kind,
          "data-answer": answer,
          disabled: campus.act.isRunning("answer" + one.candidate_id),
          on: { click: () => campus.act.answer(one, answer) },
        },
        t("candidate.answer." + answer),
      );
    if (!state.waits(one)) return [h("p", { class: "none" }, t("candidate.state." + one.state)), back()];
    if (!campus.me.may("candidate.answer")) return [h("p", { class: "none" }, t("candidate.only_look")), back()];
    return [make("yes", "confirm"), make("no", "plain"), make("unsure", "plain"), back()];
  }

  const back = () =>
    h("button", { class: "act act-quiet", on: { click: () => state.select(null, "operator") } }, t("detail.back"), h("kbd", {}, "Esc"));

  function paint(node, one) {
    root = node;
    attr(root, "data-priority", "candidate");
    attr(root, "data-candidate-id", one.candidate_id);
    attr(root, "data-state", one.state);
    const base = "/api/v1/candidates/" + one.candidate_id;
    const hasPictures = one.has_picture && (state.waits(one) || one.state === "confirmed");
    keyed(root, [campus.text.lang(), one, campus.act.isRunning("answer" + one.candidate_id)], () => [
      h(
        "div",
        { class: "detail-head" },
        h(
          "div",
          { class: "detail-kicker" },
          h("span", {}, t("candidate.title")),
          h(
            "button",
            { class: "icon-button", "aria-label": t("detail.back"), on: { click: () => state.select(null, "operator") } },
            icon("close"),
          ),
        ),
        h("h2", {}, name(one, "school"), h("span", { class: "detail-place" }, name(one, "camera"))),
        h(
          "div",
          { class: "chips" },
          h("span", { class: "chip chip-priority" }, shape("candidate"), t("candidate.verify")),
          one.demo ? h("span", { class: "chip chip-demo" }, t("alarm.demo")) : null,
        ),
      ),
      h(
        "div",
        { class: "detail-body" },
        h("p", { class: "rule" }, t("candidate.rule")),
        h(
          "div",
          { class: "faces" },
          picture(hasPictures ? base + "/picture" : null, "candidate.seen"),
          picture(hasPictures ? base + "/photo" : null, "candidate.registered"),
        ),
        h(
          "dl",
          { class: "times" },
          ...pair("candidate.score", Number(one.score).toFixed(3)),
          ...pair("candidate.threshold", Number(one.threshold).toFixed(3)),
          ...pair(
            "candidate.false_per_day",
            one.expected_false_per_day === null || one.expected_false_per_day === undefined
              ? "–"
              : Number(one.expected_false_per_day).toFixed(2),
          ),
          ...pair("candidate.found", [
            moment(one.found_at, true),
            h("span", { class: "sub", "data-age-of": one.found_at }, ageOf(one.found_at)),
          ]),
          ...(one.ground ? pair("candidate.ground", code("candidate.grounds", one.ground)) : []),
          ...(one.instruction ? pair("candidate.instruction", one.instruction) : []),
        ),
        h(
          "div",
          { class: "expiry" },
          h("div", { class: "expiry-line" }, h("span", {}, t("candidate.expires")), h("strong", { class: "tabular expiry-clock" }, "")),
          state.waits(one) ? h("div", { class: "meter-track" }, h("div", { class: "meter-fill" })) : null,
        ),
      ),
      h("div", { class: "detail-actions" }, ...answers(one)),
    ]);
    run();
  }

  function run() {
    const one = state.selectedRow();
    if (!root || !root.isConnected || !one || !one.candidate_id) return;
    const left = at(one.expires_at) - now();
    text(
      root.querySelector(".expiry-clock"),
      state.waits(one) ? (left > 0 ? clock(left) : t("candidate.state.expired")) : t("candidate.state." + one.state),
    );
    const whole = at(one.expires_at) - at(one.found_at);
    const fill = root.querySelector(".expiry .meter-fill");
    if (fill) fill.style.width = Math.max(0, Math.min(100, (100 * left) / whole)) + "%";
  }

  campus.candidate = { paint, run };
})();
