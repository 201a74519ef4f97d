// What a press does to the room: sound, words for a screen reader, the title of the tab, and the map, unless somebody is at work.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const { text, h, fill, icon, shape } = campus.dom;
  const { t, code, name } = campus.text;
  const state = campus.state;
  const BUSY_MS = 15_000; // an operator who did something this recently is not taken elsewhere
  const STORM = 5; // with more than so many unacknowledged the map stays where it is: nobody can follow a map that jumps
  const NARROW = 900; // px; there the detail covers everything, so it opens only when asked for
  const REST_MS = 4_000; // between two movements of the map that nobody asked for
  const SAY_MS = 1_200; // spoken together, a storm must not read out a thousand names
  let lastAct = -Infinity;
  let lastMove = -Infinity;
  let jumpTo = null;
  let toSay = [];
  let sayTimer = null;
  let root = null;
  let iconLink = null;

  campus.operator = {
    acted: () => (lastAct = performance.now()),
    isBusy() {
      const typing = document.activeElement && /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
      return Boolean(typing || document.querySelector("dialog[open]") || performance.now() - lastAct < BUSY_MS);
    },
  };

  const title = (alarm) => [code("alarm.kind", alarm.kind), campus.queue.titleOf(alarm), name(alarm, "place")].filter(Boolean).join(" · ");

  function onPress(alarm, { how }) {
    campus.frame.press(alarm, how);
    if (!state.demands(alarm)) return;
    if (how !== "start") {
      campus.sound.wake();
      toSay.push(alarm);
      sayTimer = sayTimer || setTimeout(sayAloud, SAY_MS);
    }
    attend(alarm, how);
  }

  // Where to look: the first unacknowledged opens by itself; somebody at work gets an offer instead.
  function attend(alarm, how) {
    const chosen = state.selectedRow();
    if (chosen && chosen.alarm_id === alarm.alarm_id) {
      campus.frame.need("detail");
      return;
    }
    const isIdle = !campus.operator.isBusy();
    const outranks = !chosen || chosen.candidate_id || !state.demands(chosen) || state.rank(alarm) <= state.rank(chosen);
    const isStorm = Boolean(chosen) && state.open().length > STORM;
    if (how === "live" && isIdle && outranks && !isStorm && window.innerWidth > NARROW && performance.now() - lastMove > REST_MS) {
      lastMove = performance.now();
      jumpTo = null;
      state.select({ sort: "alarm", id: alarm.alarm_id }, "auto");
      campus.goTo(alarm);
    } else if (!chosen && window.innerWidth > NARROW) openFirst(isIdle && how === "live");
    else if (how !== "start") jumpTo = alarm.alarm_id;
    campus.frame.need("jump");
  }

  function openFirst(andGo) {
    const first = state.rows().find((item) => item.sort === "alarm" && state.demands(item.row));
    if (!first || state.selected() || window.innerWidth <= NARROW) return;
    state.select({ sort: "alarm", id: first.row.alarm_id }, "auto");
    if (andGo) campus.goTo(first.row);
    else if (lastAct === -Infinity) setTimeout(() => campus.marks.home(true), 150); // the detail has taken a part of the map
  }

  function jump() {
    const target = jumpTo && state.alarms.get(jumpTo);
    const row = target || state.open()[0] || state.selectedRow();
    jumpTo = null;
    if (row && row.alarm_id) state.select({ sort: "alarm", id: row.alarm_id }, "operator");
    campus.operator.acted();
    campus.goTo(row);
    campus.frame.need("jump");
  }

  function paintJump() {
    const node = root && root.querySelector("#wall-jump");
    if (!node) return;
    const target = jumpTo && state.alarms.get(jumpTo);
    const wanted = target && state.demands(target) ? target : null;
    const chosen = state.selected();
    node.hidden = !wanted || Boolean(chosen && chosen.sort === "alarm" && chosen.id === wanted.alarm_id);
    if (node.hidden) return;
    fill(node, shape(wanted.priority), h("span", {}, t("wall.jump", { what: title(wanted) })), h("kbd", {}, "J"));
  }

  function sayAloud() {
    sayTimer = null;
    const all = toSay.splice(0);
    const words =
      all.length > 3
        ? t("wall.say.many", { n: all.length, first: title(all[0]) })
        : all.map((alarm) => t("wall.say.one", { what: title(alarm) })).join(" ");
    text(root.querySelector("#wall-say"), words);
  }

  function sound() {
    const open = state.open();
    const loud = open.filter((alarm) => alarm.mode !== "test");
    const first = loud.sort((a, b) => state.rank(a) - state.rank(b))[0];
    const asks = [...state.candidates.values()].some((one) => one.state === "open" && campus.text.at(one.expires_at) > campus.text.now());
    campus.sound.want(first ? first.priority : open.length ? "attention" : asks ? "candidate" : null);
  }

  const TITLE_MS = 250; // the browser redraws its tab for each change
  let titleAt = -Infinity;
  let titleTimer = null;
  function paintTitle() {
    const open = state.open();
    const worst = open.reduce((found, alarm) => (!found || state.rank(alarm) < state.rank(found) ? alarm : found), null);
    const wait = TITLE_MS - (performance.now() - titleAt);
    if (wait > 0) {
      titleTimer = titleTimer || setTimeout(() => ((titleTimer = null), campus.frame.need("title")), wait);
      return;
    }
    titleAt = performance.now();
    document.title = (open.length ? "(" + open.length + ") " : "") + t("wall.title");
    paintIcon(open.length, worst ? worst.priority : null);
  }

  const FILL = { critical: "#ff4d4f", high: "#ff8a3d", attention: "#f5c542" };
  let iconKey = "";
  function paintIcon(count, priority) {
    const key = count + ":" + priority;
    if (key === iconKey) return;
    iconKey = key;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 64;
    const pen = canvas.getContext("2d");
    pen.fillStyle = priority ? FILL[priority] : "#0f2440";
    pen.beginPath();
    pen.roundRect(2, 2, 60, 60, 14);
    pen.fill();
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    if (count) {
      pen.fillStyle = "#10131c";
      pen.font = "700 " + (count > 99 ? 28 : 40) + "px Inter, sans-serif";
      pen.fillText(count > 99 ? "99+" : String(count), 32, 35);
    } else {
      pen.strokeStyle = "#38bdf8";
      pen.lineWidth = 5;
      pen.lineJoin = "round";
      pen.stroke(new Path2D("M32 10 52 17v15c0 12-9 19-20 23-11-4-20-11-20-23V17z"));
      pen.stroke(new Path2D("m23 32 7 7 12-13"));
    }
    iconLink = iconLink || document.querySelector("link[rel~=icon]");
    if (!iconLink) document.head.append((iconLink = h("link", { rel: "icon" })));
    iconLink.href = canvas.toDataURL("image/png");
  }

  function onMoved(alarm) {
    const chosen = state.selected();
    if (
      alarm.state === "closed" &&
      chosen &&
      chosen.sort === "alarm" &&
      chosen.id === alarm.alarm_id &&
      !document.querySelector("#close-dialog[open]")
    ) {
      // The next one waits no longer; the closed one stays readable when there is none.
      if (state.open().length) {
        state.select(null, "auto");
        openFirst(!campus.operator.isBusy());
      }
    }
  }

  state.on("press", onPress);
  state.on("moved", onMoved);
  state.on("found", (one) => root && text(root.querySelector("#wall-say"), t("wall.say.candidate", { where: name(one, "school") })));
  for (const topic of ["alarms", "candidates"]) state.on(topic, () => (sound(), campus.frame.need("title", "jump")));
  state.on("select", () => campus.frame.need("jump"));
  state.on("snapshot", () => openFirst(false));
  campus.frame.job("title", () => root && campus.me.may("alarm.view") && paintTitle());
  campus.frame.job("jump", paintJump);
  for (const kind of ["pointerdown", "keydown"])
    document.addEventListener(kind, (event) => event.isTrusted && root && kind === "pointerdown" && campus.operator.acted(), {
      passive: true,
    });

  campus.attend = {
    jump,
    icon,
    start(node) {
      root = node;
      iconKey = "";
      node.querySelector("#wall-jump").addEventListener("click", jump);
      campus.frame.need("title");
    },
  };
})();
