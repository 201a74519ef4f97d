// The queue: every open alarm is in it and can be reached, whatever their number; only the rows in sight are in the DOM.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const { h, text, attr, shape, fill } = campus.dom;
  const { t, code, name, clock, now, at } = campus.text;
  const state = campus.state;
  const ROW_REM = 4.75;
  const GAP_REM = 0.5;
  const SPARE = 3; // rows kept above and below what is in sight
  const drawn = new Map();
  let list, space, head, more, above, empty, meter;
  let step = 80;
  let top = 0; // kept from the scroll event: asking the element for it would lay out the page in every frame
  let height = 600;
  let anchor = null;

  function measure() {
    if (!list) return;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    step = (ROW_REM + GAP_REM) * rem;
    height = list.clientHeight || height;
    top = list.scrollTop;
    campus.frame.need("queue");
  }

  const badge = (kind, word) => h("span", { class: "badge badge-" + kind }, word);

  function make(item) {
    const sign = h("span", { class: "row-sign" });
    const parts = {
      sign,
      title: h("span", { class: "row-title" }),
      place: h("span", { class: "row-place" }),
      badges: h("span", { class: "row-badges" }),
      clock: h("span", { class: "row-clock tabular" }),
      who: h("span", { class: "row-who" }),
    };
    const node = h(
      "div",
      { class: "row", role: "option", "data-testid": item.sort === "alarm" ? "alarm-row" : "candidate-row", id: "row-" + item.key },
      sign,
      h(
        "div",
        { class: "row-main" },
        h("div", { class: "row-top" }, parts.title, parts.clock),
        h("div", { class: "row-bottom" }, parts.place, parts.badges, parts.who),
      ),
    );
    node.addEventListener("click", () => pick(item.key));
    space.append(node);
    return { node, parts, row: null, lang: "" };
  }

  function pick(key) {
    const id = Number(key.slice(1));
    campus.operator.acted();
    state.select({ sort: key[0] === "a" ? "alarm" : "candidate", id }, "operator");
    campus.goTo(state.selectedRow());
  }

  const titleOf = (alarm) => name(alarm, "school") || t("alarm.unassigned");

  function paintAlarm({ node, parts }, alarm) {
    const demands = state.demands(alarm);
    attr(node, "data-alarm-id", alarm.alarm_id);
    attr(node, "data-state", alarm.state);
    attr(node, "data-presses", alarm.presses);
    attr(node, "data-priority", alarm.priority);
    attr(node, "data-demands", demands ? "1" : "0");
    text(parts.title, titleOf(alarm));
    text(parts.place, [code("alarm.kind", alarm.kind), name(alarm, "place")].filter(Boolean).join(" · "));
    const badges = [];
    if (alarm.presses > 1) badges.push(badge("presses", t("alarm.presses", { n: alarm.presses })));
    if (alarm.mode !== "live") badges.push(badge("mode", code("alarm.mode", alarm.mode)));
    if (alarm.demo) badges.push(badge("demo", t("alarm.demo")));
    if (alarm.is_while_down) badges.push(badge("note", t("alarm.while_down")));
    fill(parts.badges, ...badges);
    text(
      parts.who,
      demands
        ? alarm.again
          ? t("alarm.again_after", { who: name(alarm.again, "acknowledged_by") })
          : ""
        : t("alarm.with", { who: name(alarm, "acknowledged_by") }),
    );
    fill(parts.sign, shape(alarm.priority, code("alarm.priority", alarm.priority)));
  }

  function paintCandidate({ node, parts }, one) {
    attr(node, "data-candidate-id", one.candidate_id);
    attr(node, "data-state", one.state);
    attr(node, "data-priority", "candidate");
    attr(node, "data-demands", "0");
    text(parts.title, name(one, "school") || name(one, "camera"));
    text(parts.place, t("candidate.row", { score: Number(one.score).toFixed(2) }));
    fill(parts.badges, one.demo ? badge("demo", t("alarm.demo")) : null);
    text(parts.who, one.state === "unsure" ? t("candidate.state.unsure") : "");
    fill(parts.sign, shape("candidate", t("candidate.title")));
  }

  function tickRow(entry, item) {
    if (item.sort === "alarm") text(entry.parts.clock, clock(now() - at(state.firstAt(item.row))));
    else text(entry.parts.clock, t("candidate.left", { clock: clock(at(item.row.expires_at) - now()) }));
  }

  // The first row in sight stays where it is while others come in above it, unless the list is at its top.
  function hold(items) {
    if (top < step / 2 || !anchor) return;
    const index = items.findIndex((item) => item.key === anchor.key);
    if (index >= 0) {
      const wanted = index * step + anchor.offset;
      if (Math.abs(top - wanted) > 1) list.scrollTop = top = wanted;
    }
  }

  function paint() {
    if (!list) return;
    const items = state.rows();
    const selected = state.selected();
    const selectedKey = selected ? (selected.sort === "alarm" ? "a" : "c") + selected.id : "";
    space.style.height = items.length * step + "px";
    hold(items);
    const from = Math.max(0, Math.floor(top / step) - SPARE);
    const until = Math.min(items.length, Math.ceil((top + height) / step) + SPARE);
    const keep = new Set();
    const lang = campus.text.lang();
    for (let i = from; i < until; i++) {
      const item = items[i];
      keep.add(item.key);
      let entry = drawn.get(item.key);
      if (!entry) drawn.set(item.key, (entry = make(item)));
      entry.item = item;
      if (entry.row !== item.row || entry.lang !== lang) {
        entry.row = item.row;
        entry.lang = lang;
        (item.sort === "alarm" ? paintAlarm : paintCandidate)(entry, item.row);
      }
      attr(entry.node, "aria-selected", item.key === selectedKey ? "true" : "false");
      attr(entry.node, "aria-setsize", items.length);
      attr(entry.node, "aria-posinset", i + 1);
      const place = "translateY(" + i * step + "px)";
      if (entry.node.style.transform !== place) entry.node.style.transform = place;
      tickRow(entry, item);
    }
    for (const [key, entry] of drawn) {
      if (keep.has(key)) continue;
      entry.node.remove();
      drawn.delete(key);
    }
    attr(list, "aria-activedescendant", keep.has(selectedKey) ? "row-" + selectedKey : null);
    const first = Math.floor(top / step);
    anchor = items[first] ? { key: items[first].key, offset: top - first * step } : null;
    counts(items);
  }

  function counts(items) {
    const open = state.open().length;
    fill(
      head,
      h("span", { class: open ? "count count-open" : "count" }, t("wall.queue.open", { n: open })),
      h("span", { class: "count" }, t("wall.queue.taken", { n: state.alarms.size - open })),
    );
    const below = items.length - Math.floor((top + height + step * 0.4) / step);
    const over = Math.round(top / step);
    more.hidden = below <= 0;
    text(more, t("wall.queue.below", { n: below }));
    above.hidden = over <= 0;
    text(above, t("wall.queue.above", { n: over }));
    empty.hidden = items.length > 0;
    storm();
  }

  // Alarms of the last ten minutes against the one per ten minutes an operator can handle well (EEMUA 191).
  function storm() {
    const since = now() - 600_000;
    let recent = 0;
    for (const alarm of state.alarms.values()) if (alarm.last_ms > since) recent += 1;
    text(meter.querySelector(".meter-value"), recent);
    meter.querySelector(".meter-fill").style.width = Math.min(100, recent * 10) + "%";
    attr(meter, "data-level", recent > 10 ? "flood" : recent > 1 ? "busy" : "calm");
  }

  // Clocks run by themselves four times a second; nothing else of a row is touched.
  function tick() {
    for (const entry of drawn.values()) if (entry.item) tickRow(entry, entry.item);
  }

  function move(by) {
    if (!list) return;
    const items = state.rows();
    if (!items.length) return;
    const selected = state.selected();
    const key = selected ? (selected.sort === "alarm" ? "a" : "c") + selected.id : "";
    const index = items.findIndex((item) => item.key === key);
    const next = index < 0 ? (by > 0 ? 0 : items.length - 1) : Math.max(0, Math.min(items.length - 1, index + by));
    const y = next * step;
    if (y < top) list.scrollTop = y;
    else if (y + step > top + height) list.scrollTop = y + step - height;
    anchor = null;
    pick(items[next].key);
  }

  function explain(lastProofAt, lastAlarmAt) {
    if (!list) return;
    fill(
      empty,
      shape("ok"),
      h("strong", {}, t("wall.queue.calm")),
      h("span", {}, lastAlarmAt ? t("wall.queue.last_alarm", { age: campus.text.ageOf(lastAlarmAt) }) : t("wall.queue.no_alarm_yet")),
      h("span", {}, lastProofAt ? t("wall.queue.last_proof", { age: campus.text.ageOf(lastProofAt) }) : t("wall.queue.no_proof_yet")),
    );
  }

  function onScroll() {
    top = list.scrollTop;
    anchor = null; // where somebody scrolls to is where the list stays
    campus.frame.need("queue");
  }

  function start(root) {
    drawn.clear();
    list = null;
    if (!root.querySelector("#queue-list")) return; // somebody who sees no alarms
    list = root.querySelector("#queue-list");
    head = root.querySelector("#queue-counts");
    more = root.querySelector("#queue-more");
    above = root.querySelector("#queue-above");
    empty = root.querySelector("#queue-empty");
    meter = root.querySelector("#queue-meter");
    space = h("div", { class: "queue-space", role: "presentation" });
    fill(list, space);
    list.addEventListener("scroll", onScroll, { passive: true });
    more.addEventListener("click", () => list.scrollBy({ top: height - step, behavior: "smooth" }));
    above.addEventListener("click", () => list.scrollTo({ top: 0, behavior: "smooth" }));
    explain(null, null);
    measure();
  }

  campus.frame.job("queue", paint);
  for (const topic of ["alarms", "candidates", "select"]) state.on(topic, () => campus.frame.need("queue"));
  window.addEventListener("resize", measure);

  campus.queue = { start, tick, move, explain, titleOf, badge };
})();
