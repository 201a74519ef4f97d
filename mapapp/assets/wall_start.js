// Puts the wall together once its page and its map are there, and again when the page is left and opened anew.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const LOOK_MS = 100;
  const BEAT_MS = 250; // clocks, ages and camera pictures
  let root = null;
  let isTuned = false;

  function me(boot) {
    const mine = new Set(boot.permissions);
    return { ...boot.person, bounds: boot.bounds, may: (permission) => mine.has(permission) };
  }

  function tune() {
    if (isTuned) return;
    isTuned = true;
    for (const [kind, fn] of Object.entries(campus.state.apply)) campus.live.on(kind, fn);
    campus.live.on("state", (next) => campus.status.live(next.state || next));
    campus.text.onLang(() => {
      campus.text.words(root);
      campus.frame.need("queue", "markers", "detail", "status", "history", "legend", "title", "jump", "sound");
      campus.school.again();
      if (campus.layers.grounds) campus.layers.grounds.names.soon();
    });
    campus.frame.start();
    setInterval(beat, BEAT_MS);
  }

  campus.lang = {
    async toggle() {
      const next = campus.text.lang() === "zh" ? "en" : "zh";
      campus.text.setLang(next);
      await campus.act.post("/api/v1/lang", { lang: next });
      campus.school.again();
    },
  };

  async function leave() {
    await campus.act.post("/logout", {});
    location.assign("/login");
  }

  function start(node) {
    root = node;
    // A class, not `:has()`: that one is asked again at every change of the page, a hundred times a second in a storm.
    document.documentElement.classList.add("has-wall");
    const boot = JSON.parse(node.querySelector("#wall-boot").textContent);
    campus.text.load();
    campus.dom.icons(node);
    campus.me = me(boot);
    campus.act.start(node);
    campus.queue.start(node);
    campus.marks.start(campus.map);
    campus.status.start(node);
    campus.attend.start(node);
    campus.detail.start(node);
    campus.history.start(node);
    campus.keys.start(node);
    campus.school.start(node);
    campus.duty.start(node);
    campus.legend.start(node, campus.map);
    node.querySelector('[data-testid="lang-switch"]').addEventListener("click", campus.lang.toggle);
    node.querySelector("#help-open").addEventListener("click", campus.keys.help);
    node.querySelector("#log-out").addEventListener("click", leave);
    for (const [id, fn] of [
      ["zoom-in", () => campus.map.zoomIn()],
      ["zoom-out", () => campus.map.zoomOut()],
      ["zoom-home", () => campus.marks.home()],
    ]) {
      node.querySelector("#" + id).addEventListener("click", () => (campus.operator.acted(), fn()));
    }
    tune();
    campus.marks.home(true);
    campus.layers.start(campus.map);
    campus.text.words(node);
    node.dataset.ready = "1";
  }

  function beat() {
    if (!root || !root.isConnected) return;
    campus.queue.tick();
    campus.status.run();
    campus.cameras.run();
    campus.detail.run();
    campus.candidate.run();
    campus.history.run();
    campus.text.ages(root);
  }

  // Dash writes the page when its own code is ready; nothing tells an asset when that is.
  setInterval(() => {
    const node = document.getElementById("wall");
    if (node && node !== root && campus.map && campus.map.getContainer().isConnected && node.querySelector("#wall-boot")) start(node);
    if (root && !root.isConnected) {
      root = null;
      document.documentElement.classList.remove("has-wall");
      campus.sound.want(null);
    }
  }, LOOK_MS);
})();
