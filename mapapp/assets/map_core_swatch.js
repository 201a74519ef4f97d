/* Signs of the legend, drawn as on the map; shape first, colour second. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const layers = (campus.layers = campus.layers || {});
  const plate = (c, fill) => `<rect x="2.5" y="2.5" width="11" height="11" rx="2.5" fill="${fill}" stroke="${c}" stroke-width="1.3"/>`;
  const SHAPES = {
    disc: (c) => `<circle cx="8" cy="8" r="5" fill="${c}"/>`,
    ring: (c) => `<circle cx="8" cy="8" r="4.5" fill="none" stroke="${c}" stroke-width="2"/>`,
    pulse: (c) => `<circle cx="8" cy="8" r="4" fill="${c}" stroke="#fff" stroke-width="1.5"/><circle cx="8" cy="8" r="7" fill="none" stroke="${c}" stroke-opacity=".6"/>`,
    triangle: (c) => `<path d="M8 2 14.5 13.5h-13z" fill="${c}"/>`,
    square: (c) => `<rect x="2.5" y="2.5" width="11" height="11" fill="${c}" fill-opacity=".25" stroke="${c}"/>`,
    "square-dot": (c) => `<rect x="2.5" y="2.5" width="11" height="11" fill="${c}" fill-opacity=".45" stroke="${c}"/><circle cx="8" cy="8" r="1.5" fill="#fff"/>`,
    "square-dots": (c) => `<rect x="2.5" y="2.5" width="11" height="11" fill="${c}" fill-opacity=".45" stroke="${c}"/><path d="M5 5.5h.01M11 5.5h.01M5 10.5h.01M11 10.5h.01" stroke="#fff" stroke-width="2.6" stroke-linecap="round"/>`,
    hatch: (c) => `<rect x="2.5" y="2.5" width="11" height="11" fill="none" stroke="${c}"/><path d="M2.5 9 9 2.5M2.5 13.5l11-11M7 13.5 13.5 7" stroke="${c}"/>`,
    bar: (c) => `<rect x="1.5" y="6" width="13" height="4" fill="${c}"/>`,
    fan: (c) => `<path d="M8 14 2 5a10 10 0 0 1 12 0z" fill="${c}" fill-opacity=".35" stroke="${c}"/>`,
    "fan-open": (c) => `<path d="M8 14 2 5a10 10 0 0 1 12 0z" fill="none" stroke="${c}" stroke-dasharray="1.5 2"/>`,
    cross: (c) => `<path d="m3.5 3.5 9 9m0-9-9 9" stroke="${c}" stroke-width="2"/>`,
    line: (c) => `<path d="M1 11C5 3 10 13 15 5" fill="none" stroke="${c}" stroke-width="2"/>`,
    dash: (c) => `<path d="M1 8h14" stroke="${c}" stroke-width="2.4" stroke-dasharray="1 4" stroke-linecap="round"/>`,
    diamond: (c) => `<path d="m8 2 6 6-6 6-6-6z" fill="none" stroke="${c}" stroke-width="1.5"/>`,
    bolt: (c) => `${plate(c, c)}<circle cx="8" cy="8" r="2.3" fill="#0a1526"/>`,
    "bolt-out": (c) => `${plate(c, c)}<circle cx="8" cy="8" r="2.3" fill="#0a1526"/><path d="m2 14 12-12" stroke="#ff4d4f" stroke-width="2"/>`,
    "bolt-open": (c) => `${plate(c, "none")}<circle cx="8" cy="8" r="2.3" fill="${c}"/>`,
    car: (c) => `<circle cx="8" cy="8" r="6" fill="${c}" stroke="#fff" stroke-width="1.5"/>`,
    "car-busy": (c) => `<circle cx="8" cy="8" r="6" fill="${c}" stroke="#fff" stroke-width="1.5"/><path d="M8 4.6v4" stroke="#fff" stroke-width="1.8"/><circle cx="8" cy="11" r="1.1" fill="#fff"/>`,
    faded: (c) => `<circle cx="8" cy="8" r="6" fill="${c}" fill-opacity=".35" stroke="${c}" stroke-dasharray="3 2"/>`,
  };

  /** SVG text of a sign, 16 x 16; an unknown shape is a disc. */
  layers.swatch = function (shape, colour, palette) {
    const colours = palette || campus.palettes.wall;
    return `<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">${(SHAPES[shape] || SHAPES.disc)(colours[colour] || colours.info)}</svg>`;
  };
  layers.SHAPES = Object.keys(SHAPES);
})();
