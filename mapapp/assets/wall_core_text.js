// Words and times in the browser: both languages are here, so a switch needs no reload and loses nothing.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const { attr, text } = campus.dom;
  const heard = [];
  let messages = { zh: {}, en: {} };
  let lang = "zh";
  let zone = "Asia/Shanghai";
  let formats = {};

  // Milliseconds the server's clock is ahead of ours; ages are told by the server's clock, this screen's may be wrong.
  let ahead = null;
  function learn(serverIso) {
    const offset = Date.parse(serverIso) - Date.now();
    // The largest offset has crossed the network fastest; it may sink slowly, so that a stepped clock is noticed.
    ahead = ahead === null ? offset : Math.max(offset, ahead - 20);
    if (Math.abs(ahead - offset) > 5000) ahead = offset;
  }
  const now = () => Date.now() + (ahead !== null && Math.abs(ahead) > 1000 ? ahead : 0);

  function t(key, values) {
    const found = messages[lang][key] ?? messages.zh[key] ?? key;
    return values ? found.replace(/\{(\w+)\}/g, (all, name) => (name in values ? String(values[name]) : all)) : found;
  }

  // A code from a worker or a table in words; an unknown code is shown as it is rather than hidden.
  function code(prefix, value) {
    if (!value) return "";
    const key = prefix + "." + value;
    return key in messages[lang] ? messages[lang][key] : String(value).replaceAll("_", " ");
  }

  const name = (row, stem) =>
    (row && (lang === "en" ? row[stem + "_en"] || row[stem + "_zh"] : row[stem + "_zh"] || row[stem + "_en"])) || "";

  function format(kind, options) {
    const key = kind + lang;
    formats[key] =
      formats[key] || new Intl.DateTimeFormat(lang === "zh" ? "zh-CN" : "en-GB", { timeZone: zone, hour12: false, ...options });
    return formats[key];
  }
  const TIME = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  const hms = (at) => format("time", TIME).format(at);
  const millis = (at) => format("millis", { ...TIME, fractionalSecondDigits: 3 }).format(at);
  const hm = (at) => format("minute", { hour: "2-digit", minute: "2-digit" }).format(at);
  const weekday = (at) => format("weekday", { weekday: "short" }).format(at);
  const day = (at) => isoDay(at) + " " + weekday(at);
  function isoDay(at) {
    const part = Object.fromEntries(
      format("day", { year: "numeric", month: "2-digit", day: "2-digit" })
        .formatToParts(at)
        .map((one) => [one.type, one.value]),
    );
    return part.year + "-" + part.month + "-" + part.day;
  }
  const dayShort = (at) => isoDay(at).slice(5);
  const at = (iso) => (iso ? Date.parse(iso) : NaN);

  // Time of day, with the date before it when it was not today.
  function moment(iso, withMillis) {
    const when = at(iso);
    if (Number.isNaN(when)) return "";
    const clock = withMillis ? millis(when) : hms(when);
    return dayShort(when) === dayShort(now()) ? clock : dayShort(when) + " " + clock;
  }

  const two = (value) => String(value).padStart(2, "0");

  // A running clock: 00:09, 12:41, 3:05:07, 2 d 04:10.
  function clock(milliseconds) {
    const seconds = Math.max(0, Math.floor(milliseconds / 1000));
    const [d, hh, m, s] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
    if (d) return t("wall.age.days_clock", { d, clock: two(hh) + ":" + two(m) });
    return hh ? hh + ":" + two(m) + ":" + two(s) : two(m) + ":" + two(s);
  }

  // An age in words: 0.4 s, 12 s, 5 min, 3 h, 2 d.
  function age(milliseconds) {
    const seconds = Math.max(0, milliseconds / 1000);
    if (!Number.isFinite(seconds)) return t("wall.age.never");
    if (seconds < 10) return t("wall.age.s", { n: seconds.toFixed(1) });
    if (seconds < 120) return t("wall.age.s", { n: Math.floor(seconds) });
    if (seconds < 7200) return t("wall.age.min", { n: Math.floor(seconds / 60) });
    if (seconds < 172800) return t("wall.age.h", { n: Math.floor(seconds / 3600) });
    return t("wall.age.d", { n: Math.floor(seconds / 86400) });
  }
  const ageOf = (iso) => age(now() - at(iso));
  const metres = (value) =>
    value === null || value === undefined
      ? ""
      : value < 1000
        ? t("wall.unit.m", { n: Math.round(value) })
        : t("wall.unit.km", { n: (value / 1000).toFixed(1) });
  const number = (value) =>
    value === null || value === undefined ? "–" : new Intl.NumberFormat(lang === "zh" ? "zh-CN" : "en-GB").format(value);

  // Elements that were rendered by the server say which key they show; the running age ticks by itself.
  function words(root) {
    root.querySelectorAll("[data-t]").forEach((node) => text(node, t(node.dataset.t)));
    root
      .querySelectorAll("[data-zh]")
      .forEach((node) => text(node, lang === "en" ? node.dataset.en || node.dataset.zh : node.dataset.zh || node.dataset.en));
    for (const [from, to] of [
      ["tTitle", "title"],
      ["tLabel", "aria-label"],
      ["tHint", "placeholder"],
    ]) {
      const dashed = from.replace(/[A-Z]/g, (c) => "-" + c.toLowerCase());
      root.querySelectorAll("[data-" + dashed + "]").forEach((node) => attr(node, to, t(node.dataset[from])));
    }
  }
  function ages(root) {
    root.querySelectorAll("[data-age-of]").forEach((node) => text(node, ageOf(node.dataset.ageOf)));
  }

  function setLang(next) {
    if (!(next in messages) || next === lang) return;
    lang = next;
    document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
    heard.forEach((fn) => fn(lang));
  }

  campus.text = {
    load() {
      const boot = JSON.parse(document.getElementById("campus-boot").textContent);
      messages = boot.messages;
      lang = boot.lang;
      zone = boot.zone;
      formats = {};
      document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
    },
    lang: () => lang,
    onLang: (fn) => heard.push(fn),
    drift: () => (ahead === null ? 0 : ahead),
    t,
    code,
    name,
    now,
    learn,
    at,
    hms,
    hm,
    day,
    millis,
    moment,
    clock,
    age,
    ageOf,
    metres,
    number,
    words,
    ages,
    setLang,
  };
})();
