// The live stream in the browser: one EventSource that never gives up, and resumes after the last message it has seen.
// Handlers are called at once, not in an animation frame: a hidden tab has no frames and must still ring. Painting is theirs to batch.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const URL_LIVE = "/live/sse";
  const KINDS = [
    "snapshot", "alarm.changed", "device.changed", "camera.changed", "candidate.changed", "command.changed",
    "unit.changed", "event.unassigned", "deadletter.changed", "place.changed", "unit.moved", "tick",
  ];
  const SILENT_MS = 16_000; // three ticks missed: the connection is dead, whatever the browser believes
  const LOST_MS = 4_000; // from the first failure until people are told
  const FIRST_PAUSE_MS = 500;
  const LONGEST_PAUSE_MS = 10_000;

  const handlers = {};
  let source = null;
  let state = "connecting"; // connecting, open, lost, ended
  let lastSeq = null;
  let heardAt = 0;
  let failingSince = 0;
  let pauseMs = FIRST_PAUSE_MS;
  let retryTimer = null;
  let isWanted = false;

  function say(kind, body, meta) {
    for (const fn of handlers[kind] || []) {
      try {
        fn(body, meta);
      } catch (error) {
        // One panel's mistake must not silence the others.
        console.error("live handler failed", kind, error);
      }
    }
  }

  function become(next) {
    if (state === next) return;
    state = next;
    say("state", { state: next });
  }

  function receive(kind, event) {
    heardAt = performance.now();
    if (event.lastEventId) lastSeq = Number(event.lastEventId);
    const body = JSON.parse(event.data);
    if (kind === "tick" || kind === "snapshot") campus.live.clockOffsetMs = Date.parse(body.now) - Date.now();
    say(kind, body, { seq: event.lastEventId ? lastSeq : null });
  }

  function opened() {
    heardAt = performance.now();
    failingSince = 0;
    pauseMs = FIRST_PAUSE_MS;
    become("open");
  }

  function failed() {
    failingSince = failingSince || performance.now();
    if (state === "open") become("connecting");
    // The browser tries again by itself after a broken connection, but never after an HTTP error (401, 503).
    if (!source || source.readyState === EventSource.CLOSED) later();
  }

  function later() {
    if (retryTimer !== null || state === "ended") return;
    retryTimer = setTimeout(again, pauseMs * (0.75 + Math.random() / 2));
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
  }

  async function again() {
    retryTimer = null;
    try {
      const answer = await fetch("/api/v1/me", { credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (answer.status === 401) return end();
      if (!answer.ok) return later();
    } catch (error) {
      if (!(error instanceof DOMException) && !(error instanceof TypeError)) throw error;
      return later();
    }
    open();
  }

  function open() {
    if (state === "ended") return;
    if (source) source.close();
    heardAt = performance.now();
    source = new EventSource(lastSeq === null ? URL_LIVE : URL_LIVE + "?after=" + lastSeq);
    source.onopen = opened;
    source.onerror = failed;
    for (const kind of KINDS) source.addEventListener(kind, (event) => receive(kind, event));
    source.addEventListener("bye", end);
  }

  function end() {
    become("ended");
    if (source) source.close();
    source = null;
    location.assign("/login?next=" + encodeURIComponent(location.pathname + location.search));
  }

  function now() {
    if (!isWanted || state === "ended" || (source && source.readyState === EventSource.OPEN && performance.now() - heardAt < SILENT_MS)) return;
    clearTimeout(retryTimer);
    retryTimer = null;
    again();
  }

  function watch() {
    if (!isWanted || state === "ended") return;
    const silent = performance.now() - heardAt;
    if (source && source.readyState !== EventSource.CLOSED && silent > SILENT_MS) {
      source.close();
      failed();
    }
    if (failingSince && performance.now() - failingSince > LOST_MS) become("lost");
  }

  // Browsers open the stream when the first handler is there, after the script that brings the others has run.
  function want() {
    if (isWanted) return;
    isWanted = true;
    queueMicrotask(open);
    setInterval(watch, 1000);
    window.addEventListener("online", now);
    window.addEventListener("focus", now);
    document.addEventListener("visibilitychange", () => document.hidden || now());
    window.addEventListener("pagehide", () => source && source.close());
    window.addEventListener("pageshow", (event) => event.persisted && now());
  }

  campus.live = {
    // on("alarm.changed", (body, {seq}) => …); "state" says connecting, open, lost or ended. Gives a function that takes it back.
    on(kind, fn) {
      (handlers[kind] = handlers[kind] || []).push(fn);
      if (kind === "state") fn({ state });
      want();
      return () => (handlers[kind] = handlers[kind].filter((one) => one !== fn));
    },
    state: () => state,
    get lastSeq() {
      return lastSeq;
    },
    // Milliseconds the server's clock is ahead of this one's, as the last message said.
    clockOffsetMs: 0,
    // Cuts the connection as a network would; it comes back by itself. For tests and for the operator's "try now".
    reconnect() {
      if (source) source.close();
      failed();
    },
  };
})();
