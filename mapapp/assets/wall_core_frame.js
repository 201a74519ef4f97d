// One animation frame for everything that changed since the last one, and the proof of what was painted in it.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const KEPT = 20000; // painted presses kept for tests and partners' kiosks, oldest dropped
  const REPORT_MS = 2000;
  const HIDDEN_MS = 250; // a tab in the background gets no frames; its list must be right when it comes back
  // A slow machine in a storm paints the lists less often, so that map, mouse and keyboard keep their frames.
  const SLOW_MS = 34;
  const LONGEST_REST_MS = 150;
  const painted = (campus.painted = campus.painted || []);
  const jobs = new Map();
  const dirty = new Set();
  const seen = new Set();
  let waiting = [];
  let toReport = [];
  let isAsked = false;
  let restUntil = 0;

  const stamp = () => new Date(performance.timeOrigin + performance.now());

  function ask() {
    if (isAsked) return;
    isAsked = true;
    const rest = restUntil - performance.now();
    if (document.hidden) setTimeout(run, HIDDEN_MS);
    else if (rest > 4) setTimeout(() => requestAnimationFrame(run), rest);
    else requestAnimationFrame(run);
  }

  function need(...names) {
    names.forEach((name) => dirty.add(name));
    ask();
  }

  function run() {
    isAsked = false;
    const begun = performance.now();
    const now = new Set(dirty);
    dirty.clear();
    for (const [name, fn] of jobs) if (now.has(name)) fn();
    if (document.hidden) return;
    const mine = waiting;
    waiting = [];
    // The next frame starts only after this one was handed to the screen: an upper bound, never flattering.
    requestAnimationFrame(() => {
      const cost = performance.now() - begun;
      restUntil = cost > SLOW_MS ? performance.now() + Math.min(LONGEST_REST_MS, 2 * cost) : 0;
      if (mine.length) prove(mine);
    });
  }

  function prove(presses) {
    const paintedAt = stamp().toISOString();
    for (const press of presses) {
      const entry = { ...press, painted_at: paintedAt };
      painted.push(entry);
      if (press.how === "live")
        toReport.push({ alarm_id: entry.alarm_id, press: entry.press, event_at: entry.event_at, painted_at: paintedAt });
    }
    if (painted.length > KEPT) painted.splice(0, painted.length - KEPT);
    need("painted");
  }

  function press(alarm, how) {
    const key = alarm.alarm_id + ":" + alarm.press;
    if (seen.has(key)) return;
    seen.add(key);
    waiting.push({ alarm_id: alarm.alarm_id, press: alarm.press, event_at: alarm.event_at, how });
    need("queue", "markers");
  }

  // When this press of this alarm was painted here, or null.
  function paintedAt(alarmId, number) {
    for (let i = painted.length - 1; i >= 0; i--) if (painted[i].alarm_id === alarmId && painted[i].press === number) return painted[i];
    return null;
  }

  async function report() {
    if (!toReport.length) return;
    const batch = toReport.splice(0, 500);
    const answer = await campus.act.post("/api/v1/painted", { painted: batch });
    if (!answer.ok && answer.status === 0) toReport = batch.concat(toReport).slice(-KEPT);
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) need(...jobs.keys());
  });

  campus.frame = {
    need,
    press,
    paintedAt,
    job: (name, fn) => jobs.set(name, fn),
    start: () => setInterval(report, REPORT_MS),
  };
})();
