// Small ways to make elements: the wall writes the DOM itself, a Dash prop per alarm would coalesce and lose presses.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const SVG = "http://www.w3.org/2000/svg";

  function put(node, child) {
    if (child === null || child === undefined || child === false) return;
    if (Array.isArray(child)) child.forEach((one) => put(node, one));
    else node.append(child instanceof Node ? child : String(child));
  }

  // h("button", {class: "x", on: {click}, "data-id": 1}, "text", child)
  function h(tag, props, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(props || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "on") for (const [kind, fn] of Object.entries(value)) node.addEventListener(kind, fn);
      else node.setAttribute(name, value === true ? "" : String(value));
    }
    put(node, children);
    return node;
  }

  function svg(tag, props, ...children) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(props || {})) node.setAttribute(name, String(value));
    put(node, children);
    return node;
  }

  function fill(node, ...children) {
    node.replaceChildren();
    put(node, children);
    return node;
  }

  // Writes only what differs: an untouched text node costs neither layout nor a screen reader's breath.
  function text(node, value) {
    const next = String(value);
    if (node && node.textContent !== next) node.textContent = next;
  }

  function attr(node, name, value) {
    if (!node) return;
    if (value === null || value === undefined || value === false) {
      if (node.hasAttribute(name)) node.removeAttribute(name);
    } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
  }

  // Rebuilds `node` only when `mark` differs: a button that is replaced between press and release never gets its click.
  const marks = new WeakMap();
  function keyed(node, mark, build) {
    const next = typeof mark === "string" ? mark : JSON.stringify(mark);
    if (marks.get(node) === next) return;
    marks.set(node, next);
    fill(node, ...[build()].flat());
  }

  // A shape per meaning, so that colour is never the only sign: octagon, triangle, square, diamond, circle.
  const SHAPES = {
    critical: "M7.2 1.5h9.6l5.7 5.7v9.6l-5.7 5.7H7.2l-5.7-5.7V7.2z",
    high: "M12 1.8 23 21.5H1z",
    attention: "M5 3h14a2 2 0 0 1 2 2v14a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2z",
    candidate: "M12 .8 23.2 12 12 23.2.8 12z",
    ok: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20z",
  };
  const MARKS = {
    critical: "M12 6v7.5M12 16.6v1.2",
    high: "M12 9v5.6M12 17.2v1",
    attention: "M8 12h8",
    candidate: "M9.6 9.6a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.2.9-1.2 1.7v.3M12 16.3v.6",
    ok: "m7.5 12.3 3 3 6-6.4",
  };

  function shape(name, title) {
    const node = svg("svg", { viewBox: "0 0 24 24", class: "shape shape-" + name, "aria-hidden": title ? "false" : "true" });
    if (title) {
      node.setAttribute("role", "img");
      node.append(svg("title", {}, title));
    }
    node.append(svg("path", { d: SHAPES[name] || SHAPES.ok, class: "shape-body" }));
    node.append(svg("path", { d: MARKS[name] || MARKS.ok, class: "shape-mark" }));
    return node;
  }

  // Line icons of the controls, 24 x 24, drawn with the text's colour.
  const ICONS = {
    search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16.2 16.2 21 21",
    close: "M6 6l12 12M18 6 6 18",
    sound: "M4 9.5v5h3.5L12 19V5L7.5 9.5zM15.5 8.5a5 5 0 0 1 0 7M18 6a8.5 8.5 0 0 1 0 12",
    mute: "M4 9.5v5h3.5L12 19V5L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5",
    help: "M9.2 9a2.9 2.9 0 1 1 4.2 2.6c-1 .5-1.4 1.1-1.4 2v.4M12 17.2v.3M12 2.8a9.2 9.2 0 1 0 0 18.4 9.2 9.2 0 0 0 0-18.4z",
    layers: "m12 3 9 5-9 5-9-5zM3.5 12.5 12 17l8.5-4.5M3.5 16.5 12 21l8.5-4.5",
    home: "M4 11.5 12 4l8 7.5M6.5 10v9.5h11V10",
    camera: "M4 7h11v10H4zM15 10.5l5-2.5v8l-5-2.5z",
    phone: "M6 3.5h3l1.5 4.5-2 1.5a11 11 0 0 0 6 6l1.5-2 4.5 1.5v3a2 2 0 0 1-2 2A16 16 0 0 1 4 5.5a2 2 0 0 1 2-2z",
    unit: "M4 16v-3l2-5h12l2 5v3zM6.5 16v2.5M17.5 16v2.5M4.5 12.5h15",
    siren: "M6 17v-4a6 6 0 0 1 12 0v4M4 20h16v-3H4zM12 2.5V4M4.5 5.5l1 1M19.5 5.5l-1 1",
    jump: "M12 3v4M12 17v4M3 12h4M17 12h4M12 8.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z",
    check: "m5 12.5 4.5 4.5L19 7",
    clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7.5V12l3 2",
    warn: "M12 3.5 22 20.5H2zM12 10v5M12 17.5v.5",
    user: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4.5 20.5c.8-4 4-5.5 7.5-5.5s6.7 1.5 7.5 5.5",
    pin: "M12 3a6.5 6.5 0 0 0-6.5 6.5C5.5 14.5 12 21 12 21s6.5-6.5 6.5-11.5A6.5 6.5 0 0 0 12 3zM12 7.3a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4z",
    plus: "M12 5v14M5 12h14",
    minus: "M5 12h14",
    school: "M3 10 12 5l9 5-9 5zM6.5 12v5c2 1.7 9 1.7 11 0v-5M21 10v5.5",
    shield: "M12 3 20 6v5.5c0 4.7-3.5 8-8 9.5-4.5-1.5-8-4.8-8-9.5V6zM8.5 12l2.5 2.5 4.5-5",
    leave: "M14 4h5v16h-5M4 12h10M10.5 8l4 4-4 4",
  };

  function icon(name) {
    return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, svg("path", { d: ICONS[name] || ICONS.help }));
  }

  // Places that the page marked with data-icon get their icon once.
  function icons(root) {
    root.querySelectorAll("[data-icon]:empty").forEach((node) => node.append(icon(node.dataset.icon)));
  }

  campus.dom = { h, svg, fill, keyed, text, attr, shape, icon, icons };
})();
