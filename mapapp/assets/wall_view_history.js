// The last 24 hours of alarms in steps of ten minutes, from stored rows; a live press adds to the newest bar.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const { h, svg, fill, text, attr } = campus.dom;
  const { t, code, hm, at, now, number } = campus.text;
  const state = campus.state;
  const ORDER = ["attention", "high", "critical"]; // bottom to top: the gravest is the tip
  const REFRESH_MS = 60_000;
  const RETRY_MS = 5_000;
  const REDRAW_MS = 1000;
  const HEIGHT = 64;
  let root = null;
  let data = null;
  let askedAt = -Infinity;
  let isFailed = false;
  let isOld = false;
  let drawnAt = -Infinity;

  const total = (bucket) => ORDER.reduce((sum, priority) => sum + bucket[priority], 0);

  function bar(bucket, index, width, highest) {
    const group = svg("g", { class: "bar", transform: "translate(" + index * width + " 0)" });
    group.append(svg("rect", { class: "bar-hit", x: 0, y: 0, width, height: HEIGHT }));
    group.append(svg("rect", { class: "bar-base", x: width * 0.14, y: HEIGHT - 2, width: width * 0.72, height: 2, rx: 1 }));
    let y = HEIGHT;
    for (const priority of ORDER) {
      if (!bucket[priority]) continue;
      const tall = Math.max(3, ((HEIGHT - 6) * bucket[priority]) / highest);
      y -= tall;
      group.append(svg("rect", { class: "bar-" + priority, x: width * 0.14, y, width: width * 0.72, height: tall - 0.8, rx: 1.2 }));
    }
    // A notch over the gravest, so that red and orange need not be told apart by colour.
    if (bucket.critical) group.append(svg("path", { class: "bar-notch", d: "M" + (width / 2 - 2.6) + " " + (y - 5) + "h5.2l-2.6 4z" }));
    return group;
  }

  function paint() {
    if (!root || !root.querySelector("#history-bars")) return;
    isOld = false;
    drawnAt = performance.now();
    const holder = root.querySelector("#history-bars");
    const sum = root.querySelector("#history-sum");
    if (!data) {
      text(sum, t(isFailed ? "history.failed" : "history.loading"));
      return;
    }
    const { buckets } = data;
    const width = 10;
    const highest = Math.max(4, ...buckets.map(total));
    const box = svg("svg", { viewBox: "0 0 " + buckets.length * width + " " + HEIGHT, preserveAspectRatio: "none", role: "img" });
    buckets.forEach((bucket, index) => box.append(bar(bucket, index, width, highest)));
    box.addEventListener("pointermove", (event) => point(event, box));
    box.addEventListener("pointerleave", () => (root.querySelector("#history-tip").hidden = true));
    fill(holder, box);
    const all = buckets.reduce((count, bucket) => count + total(bucket), 0);
    const busiest = buckets.reduce((best, bucket) => (total(bucket) > total(best) ? bucket : best), buckets[0]);
    const words = all
      ? t("history.sum", {
          n: number(all),
          from: hm(at(busiest.at)),
          until: hm(at(busiest.at) + data.step_s * 1000),
          most: number(total(busiest)),
        })
      : t("history.none");
    text(sum, words);
    attr(box, "aria-label", t("history.title") + ". " + words);
    hours(buckets);
  }

  function hours(buckets) {
    const marks = [];
    buckets.forEach((bucket, index) => {
      const label = hm(at(bucket.at));
      if (label.endsWith(":00") && Number(label.slice(0, 2)) % 3 === 0) {
        const mark = h("span", {}, label);
        mark.style.left = (100 * index) / buckets.length + "%";
        marks.push(mark);
      }
    });
    fill(root.querySelector("#history-hours"), ...marks);
  }

  function point(event, box) {
    const rect = box.getBoundingClientRect();
    const index = Math.floor(((event.clientX - rect.left) / rect.width) * data.buckets.length);
    const bucket = data.buckets[index];
    const tip = root.querySelector("#history-tip");
    if (!bucket) return;
    const parts = [...ORDER]
      .reverse()
      .filter((priority) => bucket[priority])
      .map((priority) => code("alarm.priority", priority) + " " + number(bucket[priority]));
    text(tip, hm(at(bucket.at)) + "–" + hm(at(bucket.at) + data.step_s * 1000) + " · " + (parts.join(" · ") || t("history.nothing")));
    tip.hidden = false;
    tip.style.left = Math.min(92, Math.max(4, (100 * (index + 0.5)) / data.buckets.length)) + "%";
  }

  async function load() {
    askedAt = performance.now();
    const answer = await campus.act.get("/api/v1/alarms/histogram");
    isFailed = !answer.ok;
    if (answer.ok) {
      data = answer.body;
      campus.status.summary(data);
      campus.queue.explain(data.last_proof_at, data.last_alarm_at);
    } else askedAt = performance.now() - REFRESH_MS + RETRY_MS;
    campus.frame.need("history");
  }

  function run() {
    if (!root || !campus.me.may("alarm.view") || document.hidden) return;
    if (performance.now() - askedAt > REFRESH_MS) load();
    if (isOld && performance.now() - drawnAt > REDRAW_MS) campus.frame.need("history");
  }

  state.on("press", (alarm, { how, isNew }) => {
    if (how === "start" || !isNew || !data) return;
    const last = data.buckets[data.buckets.length - 1];
    if (last && at(alarm.raised_at) >= at(last.at)) last[alarm.priority] += 1;
    isOld = true; // drawn again with the next beat: a storm must not draw 144 bars a frame
  });
  // An acknowledgement changes the median; it is read again, not guessed.
  state.on("moved", () => (askedAt = Math.min(askedAt, performance.now() - REFRESH_MS + 1500)));
  campus.frame.job("history", paint);

  campus.history = { start: (node) => ((root = node), (askedAt = -Infinity)), run };
})();
