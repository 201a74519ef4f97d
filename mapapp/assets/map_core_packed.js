/* Reading packed bodies (layers/pack.py): big-endian records into typed arrays, no object per feature. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  const HEADER = 12;

  function open(buffer, what) {
    const view = new DataView(buffer);
    if (buffer.byteLength < HEADER || view.getUint32(0) !== 0x43534d01) throw new Error("not a packed body of version 1");
    if (view.getUint16(6) !== what) throw new Error("packed records of another kind");
    return { view, count: view.getUint32(8), step: view.getUint16(4) };
  }

  /** id -> state code. */
  campus.unpackStates = function (buffer) {
    const { view, count, step } = open(buffer, 1);
    const found = new Map();
    for (let i = 0, at = HEADER; i < count; i++, at += step) found.set(view.getInt32(at), view.getUint16(at + 4));
    return found;
  };

  function places(count, view, step, { z, x, y }) {
    const size = 1 / 2 ** z, unit = size / 65536;
    const xs = new Float64Array(count), ys = new Float64Array(count), ids = new Int32Array(count);
    for (let i = 0, at = HEADER; i < count; i++, at += step) {
      ids[i] = view.getInt32(at);
      xs[i] = x * size + (view.getInt16(at + 4) + 32768) * unit;
      ys[i] = y * size + (view.getInt16(at + 6) + 32768) * unit;
    }
    return { count, ids, xs, ys };
  }

  /** {count, ids, xs, ys (world), azimuth, fov (radians), range (metres)}. */
  campus.unpackCameras = function (buffer, address) {
    const { view, count, step } = open(buffer, 2);
    const data = places(count, view, step, address);
    data.azimuth = new Float32Array(count);
    data.fov = new Float32Array(count);
    data.range = new Float32Array(count);
    const turn = Math.PI / 180 / 64;
    for (let i = 0, at = HEADER + 8; i < count; i++, at += step) {
      data.azimuth[i] = view.getInt16(at) * turn;
      data.fov[i] = view.getInt16(at + 2) * turn;
      data.range[i] = view.getInt16(at + 4) / 10;
    }
    return data;
  };

  /** {count, ids (of points), xs, ys (world), devices, zones (code)}. */
  campus.unpackDevices = function (buffer, address) {
    const { view, count, step } = open(buffer, 4);
    const data = places(count, view, step, address);
    data.devices = new Int32Array(count);
    data.zones = new Uint8Array(count);
    for (let i = 0, at = HEADER + 8; i < count; i++, at += step) {
      data.devices[i] = view.getInt32(at);
      data.zones[i] = view.getInt16(at + 4);
    }
    return data;
  };

  /** {count, ids, starts (index into points of each cell, one more than cells), points (world, outer rings)}. */
  campus.unpackCells = function (buffer) {
    const { view, count } = open(buffer, 3);
    const ids = new Int32Array(count), starts = new Int32Array(count + 1);
    const points = [];
    let at = HEADER;
    for (let i = 0; i < count; i++) {
      ids[i] = view.getInt32(at);
      const length = view.getUint16(at + 4);
      outerRing(view, at + 6, points);
      starts[i + 1] = points.length;
      at += 6 + length;
    }
    return { count, ids, starts, points: Float64Array.from(points) };
  };

  /** The outer ring of a polygon in TWKB (degrees, WGS-84), appended to `points` in world coordinates. */
  function outerRing(view, at, points) {
    const varint = () => {
      let value = 0, weight = 1, byte;
      do {
        byte = view.getUint8(at++);
        value += (byte & 127) * weight;
        weight *= 128;
      } while (byte & 128);
      return value;
    };
    const signed = () => {
      const value = varint();
      return value % 2 ? -(value + 1) / 2 : value / 2;
    };
    const digits = view.getUint8(at++) >> 4; // the type is known to be a polygon
    const factor = 10 ** (digits & 1 ? -(digits + 1) / 2 : digits / 2);
    const meta = view.getUint8(at++);
    if (meta & 16 || varint() < 1) return; // empty
    const count = varint();
    let lon = 0, lat = 0;
    for (let i = 0; i < count; i++) {
      lon += signed();
      lat += signed();
      const [x, y] = campus.geo.world(lat / factor, lon / factor);
      points.push(x, y);
    }
  }
})();
