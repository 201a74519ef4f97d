// The keyboard, the close dialog and the help: every act of the wall has a key, and a key never acts inside a text field.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const { h, fill, keyed } = campus.dom;
  const { t, code, name } = campus.text;
  const state = campus.state;
  const CAUSES = ["real", "false", "accidental", "test", "drill", "fault"];
  const KEYS = [
    ["A", "ack"],
    ["C", "close"],
    ["↑ ↓", "select"],
    ["Enter", "show"],
    ["J", "jump"],
    ["S", "search"],
    ["M", "silence"],
    ["H", "home"],
    ["L", "other_lang"],
    ["?", "help"],
    ["Esc", "back"],
  ];
  let root = null;

  function alarm() {
    const row = state.selectedRow();
    return row && row.alarm_id ? row : null;
  }

  const closeDialog = {
    open(row) {
      const dialog = root.querySelector("#close-dialog");
      const causes = CAUSES.map((cause, index) =>
        h(
          "label",
          { class: "cause" },
          h("input", { type: "radio", name: "cause", value: cause, required: true }),
          h("span", {}, code("alarm.cause", cause), h("span", { class: "sub" }, t("alarm.cause_means." + cause))),
          h("kbd", {}, index + 1),
        ),
      );
      const note = h("textarea", { rows: 3, maxlength: 1000, name: "note", placeholder: t("close.note_hint") });
      const form = h(
        "form",
        { method: "dialog" },
        h("h2", {}, t("close.title")),
        h("p", { class: "sub" }, [campus.queue.titleOf(row), name(row, "place")].filter(Boolean).join(" · ")),
        h("fieldset", {}, h("legend", {}, t("close.cause")), ...causes),
        h("label", { class: "note" }, h("span", {}, t("close.note")), note),
        h(
          "div",
          { class: "dialog-actions" },
          h(
            "button",
            { type: "button", class: "act act-quiet", on: { click: () => dialog.close() } },
            t("close.cancel"),
            h("kbd", {}, "Esc"),
          ),
          h("button", { type: "submit", class: "act act-close", "data-testid": "close-submit" }, t("close.submit"), h("kbd", {}, "Enter")),
        ),
      );
      const choose = () => form.querySelectorAll(".cause").forEach((one) => one.classList.toggle("is-chosen", one.firstChild.checked));
      form.addEventListener("change", choose);
      form.addEventListener("submit", async (event) => {
        event.preventDefault();
        const answer = await campus.act.close(row, form.elements.cause.value, note.value.trim());
        if (answer && answer.ok) dialog.close();
      });
      dialog.addEventListener("keydown", digit);
      dialog.addEventListener("close", () => dialog.removeEventListener("keydown", digit), { once: true });
      fill(dialog, form);
      dialog.showModal();
      form.querySelector("input").focus();
    },
  };

  function digit(event) {
    if (event.target.tagName === "TEXTAREA") return;
    const input = root.querySelectorAll('#close-dialog input[name="cause"]')[Number(event.key) - 1];
    if (!input) return;
    input.click();
    input.focus();
    event.preventDefault();
  }

  function help() {
    const dialog = root.querySelector("#help-dialog");
    keyed(dialog, campus.text.lang(), () => [
      h(
        "form",
        { method: "dialog" },
        h("h2", {}, t("help.title")),
        h(
          "dl",
          { class: "keys" },
          ...KEYS.flatMap(([key, act]) => [
            h("dt", {}, ...key.split(" ").map((one) => h("kbd", {}, one))),
            h("dd", {}, t("help.key." + act)),
          ]),
        ),
        h("h3", {}, t("help.order")),
        h("p", {}, t("wall.queue.order")),
        h("h3", {}, t("help.signs")),
        h(
          "ul",
          { class: "signs" },
          ...["critical", "high", "attention", "candidate"].map((sign) =>
            h(
              "li",
              { class: "sign-" + sign },
              campus.dom.shape(sign),
              sign === "candidate" ? t("candidate.title") : code("alarm.priority", sign),
            ),
          ),
        ),
        h("p", { class: "sub" }, t("help.ages")),
        h("div", { class: "dialog-actions" }, h("button", { class: "act", value: "ok" }, t("wall.close"), h("kbd", {}, "Esc"))),
      ),
    ]);
    if (!dialog.open) dialog.showModal();
  }

  function askClose() {
    const row = alarm();
    if (!row || row.state === "closed" || !campus.me.may("alarm.close")) return;
    if (row.state === "acknowledged") closeDialog.open(row);
    else campus.act.tell(t("close.first_acknowledge"), "info", t("close.first_acknowledge_next"));
  }

  const acts = {
    a: () => alarm() && state.demands(alarm()) && campus.me.may("alarm.acknowledge") && campus.act.acknowledge(alarm()),
    c: askClose,
    j: () => campus.attend.jump(),
    s: () => root.querySelector('[data-testid="search"]')?.focus(),
    m: () => campus.me.may("alarm.view") && campus.sound.silence(),
    h: () => (campus.operator.acted(), campus.marks.home()),
    l: () => campus.lang.toggle(),
    "?": help,
    ArrowDown: () => campus.queue.move(1),
    ArrowUp: () => campus.queue.move(-1),
    Enter: () => campus.goTo(state.selectedRow()),
    Escape: () => (campus.school.close() ? null : state.select(null, "operator")),
  };

  function onKey(event) {
    if (!root || !root.isConnected || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const target = event.target;
    if (target.closest && target.closest("input, textarea, select, [contenteditable]")) return;
    const isControl = target.closest && target.closest("button, a, [role=switch]");
    if (isControl && (event.key === "Enter" || event.key === " ")) return;
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  document.addEventListener("keydown", onKey);
  campus.closeDialog = closeDialog;
  campus.keys = { help, start: (node) => (root = node) };
})();
