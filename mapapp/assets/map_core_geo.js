/* Plane geometry of the web grid: world coordinates are 0..1 from the north-west corner (EPSG:3857). */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const EQUATOR_M = 40075016.68557849;

  const geo = (campus.geo = {
    TILE_PX: 512,

    world(lat, lon) {
      const sine = Math.sin((lat * Math.PI) / 180);
      return [lon / 360 + 0.5, 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)];
    },

    latlng(x, y) {
      return L.latLng((360 / Math.PI) * Math.atan(Math.exp((0.5 - y) * 2 * Math.PI)) - 90, (x - 0.5) * 360);
    },

    /** World units per metre on the ground at a world row. */
    perMetre(y) {
      const lat = 2 * Math.atan(Math.exp((0.5 - y) * 2 * Math.PI)) - Math.PI / 2;
      return 1 / (EQUATOR_M * Math.cos(lat));
    },

    /** Addresses at zoom z of the tiles that a world box touches. */
    cover(box, z) {
      const n = 2 ** z;
      const first = (value) => Math.max(0, Math.floor(value * n + 1e-9));
      const last = (value) => Math.min(n - 1, Math.ceil(value * n - 1e-9) - 1); // a box that ends on an edge does not touch the next tile
      const found = [];
      for (let x = first(box[0]); x <= last(box[2]); x++) for (let y = first(box[1]); y <= last(box[3]); y++) found.push({ z, x, y });
      return found;
    },

    /** How much larger than on a 1080p screen marks and names are, so that a 4K wall reads from as far: 1..2. */
    grow(map) {
      const { x, y } = map.getSize();
      return Math.round(8 * Math.max(1, Math.min(2, Math.min(x / 1920, y / 1080)))) / 8;
    },

    /** Whether a point lies in a ring given as flat coordinates [from, to). */
    inRing(points, from, to, x, y) {
      let inside = false;
      for (let i = from, j = to - 2; i < to; j = i, i += 2) {
        const xi = points[i], yi = points[i + 1], xj = points[j], yj = points[j + 1];
        if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
      }
      return inside;
    },

    /** Squared distance of a point from the segment a-b. */
    segment2(x, y, ax, ay, bx, by) {
      const dx = bx - ax, dy = by - ay;
      const t = Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
      return (ax + t * dx - x) ** 2 + (ay + t * dy - y) ** 2;
    },
  });
  void geo;
})();
