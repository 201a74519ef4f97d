// Before a shift: prove that this browser may sound, that the live stream runs, and that the screen stays on.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const { h, fill, text, attr, icon } = campus.dom;
  const { t } = campus.text;
  let root = null;
  let lock = null;
  let proof = {};

  async function keepAwake() {
    if (!("wakeLock" in navigator) || document.hidden) return false;
    try {
      lock = await navigator.wakeLock.request("screen");
      return true;
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      return false;
    }
  }

  const line = (key, isGood) =>
    h(
      "li",
      { class: isGood === undefined ? "check" : isGood ? "check check-good" : "check check-bad" },
      icon(isGood === undefined ? "clock" : isGood ? "check" : "warn"),
      h(
        "div",
        {},
        h("strong", {}, t("duty." + key)),
        h("span", { class: "sub" }, t("duty." + key + (isGood === undefined ? ".what" : isGood ? ".good" : ".bad"))),
      ),
    );

  function paintDialog() {
    const dialog = root.querySelector("#duty-dialog");
    const isRun = proof.sound !== undefined;
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", {}, t("duty.title")),
      h("p", { class: "sub" }, t("duty.why")),
      h("ul", { class: "checks" }, line("sound", proof.sound), line("stream", proof.stream), line("awake", proof.awake)),
      isRun && proof.sound ? h("p", { class: "sub" }, t("duty.heard")) : null,
      h(
        "div",
        { class: "dialog-actions" },
        h(
          "button",
          { type: "button", class: isRun ? "act" : "act act-close", "data-testid": "duty-check", on: { click: check } },
          icon("sound"),
          t(isRun ? "duty.again" : "duty.check"),
        ),
        isRun
          ? h("button", { value: "ok", class: "act act-close", "data-testid": "duty-start" }, t("duty.start"))
          : h("button", { value: "later", class: "act act-quiet" }, t("duty.later")),
      ),
    );
    fill(dialog, form);
  }

  async function check() {
    proof = { sound: await campus.sound.check(), stream: campus.status.liveState() === "open", awake: await keepAwake() };
    paintDialog();
    campus.frame.need("sound");
  }

  function open() {
    paintDialog();
    root.querySelector("#duty-dialog").showModal();
  }

  function paint() {
    if (!root) return;
    const button = root.querySelector("#sound-state");
    const now = campus.sound.state();
    attr(button, "data-state", now);
    attr(button, "title", t("sound." + now + ".means"));
    text(button.querySelector(".sound-word"), t("sound." + now));
    fill(button.querySelector(".sound-icon"), icon(now === "blocked" || now === "silenced" ? "mute" : "sound"));
    const bar = root.querySelector("#sound-blocked");
    bar.hidden = now !== "blocked";
  }

  function onSound() {
    const now = campus.sound.state();
    if (now === "blocked" || now === "ready") open();
    else if (now === "sounding") campus.sound.silence();
    else campus.sound.wake();
    campus.frame.need("sound");
  }

  document.addEventListener("visibilitychange", () => lock && !document.hidden && keepAwake());
  campus.sound.onChange(() => campus.frame.need("sound"));
  campus.frame.job("sound", paint);

  campus.duty = {
    open,
    start(node) {
      root = campus.me.may("alarm.view") ? node : null;
      proof = {};
      if (!root) return;
      node.querySelector("#sound-state").addEventListener("click", onSound);
      node.querySelector("#sound-blocked button").addEventListener("click", open);
      campus.sound.probe();
      campus.frame.need("sound");
    },
  };
})();
