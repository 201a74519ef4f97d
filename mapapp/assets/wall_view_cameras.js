// Live pictures of the cameras that can see the point: asked for only while in sight, and never shown without their age.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const { h, text, attr, icon, fill } = campus.dom;
  const { t, code, name, age, metres } = campus.text;
  const PAUSE_MS = 450; // about two pictures a second and camera
  const AFTER_FAILURE_MS = 4000;
  const OLD_MS = 10_000; // older than this is not live and must not look like it
  const LIVE_MS = 2_500;
  const AT_ONCE = 3; // the browser has six connections to a host, the live stream needs one of them
  const tiles = new Map();
  let running = 0;
  let watcher = null;
  let holder = null;

  function make(camera) {
    const image = h("img", { alt: "", draggable: "false" });
    const parts = {
      image,
      badge: h("span", { class: "tile-badge" }),
      age: h("span", { class: "tile-age tabular" }),
      name: h("span", { class: "tile-name" }),
      sub: h("span", { class: "tile-sub" }),
      dead: h("div", { class: "tile-dead" }, icon("camera"), h("strong", {}), h("span", {})),
      sees: h("span", { class: "tile-sees" }),
    };
    const node = h("figure", { class: "tile", "data-testid": "linked-camera", "data-camera-id": camera.camera_id, tabindex: "0" });
    node.append(
      image,
      parts.dead,
      h("div", { class: "tile-top" }, parts.sees, parts.badge),
      h("figcaption", {}, parts.name, h("span", { class: "tile-line" }, parts.sub, parts.age)),
    );
    const tile = { node, parts, camera, isSeen: false, isBusy: false, dueAt: 0, frameAt: null, url: null, reason: "" };
    node.addEventListener("click", () => node.classList.toggle("tile-large"));
    watcher.observe(node);
    return tile;
  }

  function drop(tile) {
    watcher.unobserve(tile.node);
    if (tile.url) URL.revokeObjectURL(tile.url);
    tile.node.remove();
  }

  async function load(tile) {
    tile.isBusy = true;
    running += 1;
    const started = performance.now();
    try {
      const answer = await fetch("/live/frame/" + tile.camera.camera_id, {
        credentials: "same-origin",
        cache: "no-store",
        signal: AbortSignal.timeout(5000),
      });
      if (answer.ok && (answer.headers.get("content-type") || "").startsWith("image/")) {
        const blob = await answer.blob();
        const url = URL.createObjectURL(blob);
        tile.parts.image.src = url;
        if (tile.url) URL.revokeObjectURL(tile.url);
        tile.url = url;
        // Half the round trip belongs to the age as well: the answer was already on its way.
        tile.frameAt = performance.now() - (Number(answer.headers.get("x-age-ms")) || 0) - (performance.now() - started) / 2;
        tile.reason = "";
        tile.dueAt = performance.now() + PAUSE_MS;
      } else {
        const why = answer.headers.get("x-reason");
        const body = (answer.headers.get("content-type") || "").includes("json") ? await answer.json() : null;
        fail(tile, why ? code("state.frame", why) : (body && body.message) || "");
      }
    } catch (error) {
      if (!(error instanceof DOMException) && !(error instanceof TypeError)) throw error;
      fail(tile, t("camera.no_answer"));
    } finally {
      tile.isBusy = false;
      running -= 1;
    }
  }

  function fail(tile, reason) {
    tile.reason = reason;
    tile.dueAt = performance.now() + AFTER_FAILURE_MS;
  }

  function paint(tile) {
    const { camera, parts, node } = tile;
    const old = tile.frameAt === null ? null : performance.now() - tile.frameAt;
    const isDown = ["lost", "frozen", "covered"].includes(camera.state);
    const isHeld = camera.has_picture !== false;
    const level =
      old === null ? (isDown || tile.reason || !isHeld ? "dead" : "waiting") : old > OLD_MS ? "old" : old < LIVE_MS ? "live" : "late";
    attr(node, "data-level", level);
    attr(node, "data-age-s", old === null ? "" : (old / 1000).toFixed(1));
    attr(node, "data-state", camera.state);
    text(parts.name, name(camera, "name") || name(camera, "camera"));
    text(
      parts.sub,
      [metres(camera.distance_m), camera.state === "ok" ? "" : code("state.camera", camera.state)].filter(Boolean).join(" · "),
    );
    text(parts.age, old === null ? "" : age(old));
    text(parts.badge, level === "live" ? t("camera.live") : level === "late" ? t("camera.late") : level === "old" ? t("camera.old") : "");
    text(parts.sees, camera.sees ? t("camera.sees") : "");
    const [title, why] = parts.dead.querySelectorAll("strong, span");
    text(
      title,
      level === "old"
        ? t("camera.old_since", { age: age(old) })
        : isDown
          ? code("state.camera", camera.state)
          : level === "waiting"
            ? t("camera.waiting")
            : isHeld
              ? t("camera.no_picture")
              : t("camera.not_held"),
    );
    const since = camera.seen_at ? t("camera.seen", { age: campus.text.ageOf(camera.seen_at) }) : t("camera.never_seen");
    text(why, level === "waiting" ? "" : [code("state.reason", camera.state_reason), isHeld ? tile.reason : "", since].filter(Boolean)[0]);
    attr(parts.image, "alt", t("camera.alt", { name: name(camera, "name") }));
  }

  // Four times a second: ages, and the next picture of whoever is in sight and due.
  function run() {
    if (!holder || !holder.isConnected) return;
    const at = performance.now();
    for (const tile of tiles.values()) {
      paint(tile);
      const may = campus.me.may("camera.live") && tile.camera.has_picture !== false && tile.isSeen && !document.hidden;
      if (may && !tile.isBusy && tile.dueAt <= at && running < AT_ONCE) load(tile);
    }
  }

  // Puts a tile for each camera into `into`, keeping those that are already there and running.
  function show(into, cameras) {
    if (holder !== into) {
      tiles.forEach(drop);
      tiles.clear();
      holder = into;
      watcher = new IntersectionObserver(
        (entries) => {
          for (const entry of entries) {
            const tile = tiles.get(entry.target.dataset.cameraId);
            if (tile) tile.isSeen = entry.isIntersecting;
          }
        },
        { threshold: 0.2 },
      );
    }
    const wanted = new Set(cameras.map((camera) => String(camera.camera_id)));
    for (const [id, tile] of tiles) if (!wanted.has(id)) (drop(tile), tiles.delete(id));
    cameras.forEach((camera, index) => {
      const id = String(camera.camera_id);
      let tile = tiles.get(id);
      if (!tile) tiles.set(id, (tile = make(camera)));
      tile.camera = camera;
      if (into.children[index] !== tile.node) into.insertBefore(tile.node, into.children[index] || null);
      paint(tile);
    });
  }

  function clear() {
    tiles.forEach(drop);
    tiles.clear();
    if (holder) fill(holder);
    holder = null;
  }

  campus.cameras = { show, clear, run };
})();
