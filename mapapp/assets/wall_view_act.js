// Acts of the operator: requests with the session's token, every refusal in words, nothing done twice by an impatient key.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const { h } = campus.dom;
  const { t } = campus.text;
  const WAIT_MS = 8000;
  const SHOWN_MS = 8000;
  const running = new Set();
  let stack = null;

  function token() {
    const found = document.cookie.match(/(?:^|; )_csrf_token=([^;]*)/);
    return found ? decodeURIComponent(found[1]) : "";
  }

  async function ask(method, url, body) {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), WAIT_MS);
    try {
      const answer = await fetch(url, {
        method,
        credentials: "same-origin",
        signal: stop.signal,
        headers: method === "GET" ? { Accept: "application/json" } : { "Content-Type": "application/json", "X-CSRFToken": token() },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const isJson = (answer.headers.get("content-type") || "").includes("json");
      return { ok: answer.ok, status: answer.status, body: isJson ? await answer.json() : null };
    } catch (error) {
      if (!(error instanceof DOMException) && !(error instanceof TypeError)) throw error;
      return { ok: false, status: 0, body: { message: t("wall.act.no_answer"), next: t("wall.act.no_answer_next") } };
    } finally {
      clearTimeout(timer);
    }
  }

  function tell(words, kind, next) {
    if (!stack) return;
    const close = h(
      "button",
      { class: "icon-button", "aria-label": t("wall.close"), on: { click: () => note.remove() } },
      campus.dom.icon("close"),
    );
    const note = h(
      "div",
      { class: "toast toast-" + (kind || "info"), role: kind === "error" ? "alert" : "status" },
      h("div", {}, h("strong", {}, words), next ? h("span", {}, next) : null),
      close,
    );
    stack.prepend(note);
    while (stack.children.length > 4) stack.lastChild.remove();
    setTimeout(() => note.remove(), SHOWN_MS);
  }

  // One act at a time under one key; gives the answer, or null when it is already under way.
  async function act(key, url, body, said) {
    if (running.has(key)) return null;
    running.add(key);
    campus.operator.acted();
    campus.frame.need("actions");
    const answer = await ask("POST", url, body || {});
    running.delete(key);
    if (answer.ok) said && tell(t(said), "ok");
    else
      tell(
        (answer.body && answer.body.message) || t("wall.act.refused", { status: answer.status }),
        "error",
        answer.body && answer.body.next,
      );
    campus.frame.need("actions");
    return answer;
  }

  const ALARMS = "/api/v1/alarms/";
  campus.act = {
    get: (url) => ask("GET", url),
    post: (url, body) => ask("POST", url, body),
    tell,
    isRunning: (key) => running.has(key),
    acknowledge: (alarm) => act("ack" + alarm.alarm_id, ALARMS + alarm.alarm_id + "/acknowledge"),
    close: (alarm, cause, note) => act("close" + alarm.alarm_id, ALARMS + alarm.alarm_id + "/close", { cause, note }, "wall.act.closed"),
    command: (deviceId, body) => act("command" + deviceId + ":" + body.channel, "/api/v1/devices/" + deviceId + "/command", body),
    answer: (candidate, answer) =>
      act(
        "answer" + candidate.candidate_id,
        "/api/v1/candidates/" + candidate.candidate_id + "/answer",
        { answer },
        "candidate.answered." + answer,
      ),
    start: (root) => (stack = root.querySelector("#wall-toasts")),
  };
})();
