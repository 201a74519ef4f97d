/* Fetching what the map draws: one source per layer, decoded once, the least used forgotten first. */
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  let known = null; // promise of {layer id: index entry}

  /** What this viewer may see: GET /tiles, asked once. `refresh` asks again (after a data import). */
  campus.layerIndex = function (refresh) {
    if (!known || refresh) {
      known = fetch("/tiles", { credentials: "same-origin" }).then((answer) => {
        if (!answer.ok) throw new Error("tiles " + answer.status);
        return answer.json();
      }).then((list) => new Map(list.map((entry) => [entry.id, entry])));
      known.catch(() => { known = null; });
    }
    return known;
  };

  const PAUSES_MS = [400, 1500, 4000];

  campus.TileSource = class {
    /**
     * @param {string} id layer
     * @param {{low: number, high: number, decode: function(ArrayBuffer, {z,x,y}), most: number}} options
     *   low/high: zooms of the tiles it asks for (a tile of the map at zoom Z is one of zoom Z-1: 512 px).
     */
    constructor(id, { low, high, decode, most = 160 }) {
      Object.assign(this, { id, low, high, decode, most });
      this.kept = new Map(); // key -> {promise, data}
      this.version = null;
    }

    /** Decoded tiles that cover a world box when the map stands at `zoom`; resolves when all are there, missing ones as null. */
    async cover(box, zoom) {
      const z = Math.max(this.low, Math.min(this.high, zoom - 1));
      return Promise.all(campus.geo.cover(box, z).map((address) => this.get(address)));
    }

    /** What is there already of a world box, without asking for more. */
    here(box, zoom) {
      const z = Math.max(this.low, Math.min(this.high, zoom - 1));
      const found = [];
      for (const address of campus.geo.cover(box, z)) {
        const entry = this.kept.get(`${address.z}/${address.x}/${address.y}`);
        if (entry && entry.data) found.push(entry.data);
      }
      return found;
    }

    get(address) {
      const key = `${address.z}/${address.x}/${address.y}`;
      let entry = this.kept.get(key);
      if (entry) {
        this.kept.delete(key); // least used first: a Map keeps the order of insertion
        this.kept.set(key, entry);
        return entry.promise;
      }
      entry = { promise: null, data: null };
      entry.promise = this.load(key, address, 0).then((data) => {
        entry.data = data;
        return data;
      });
      this.kept.set(key, entry);
      while (this.kept.size > this.most) this.kept.delete(this.kept.keys().next().value);
      return entry.promise;
    }

    async load(key, address, attempt) {
      try {
        const entry = (await campus.layerIndex()).get(this.id);
        if (!entry) return null; // not for this viewer
        const answer = await fetch(`/tiles/${this.id}/${key}?v=${entry.version}`, { credentials: "same-origin" });
        if (answer.status === 404) return null;
        if (!answer.ok) throw new Error(`${this.id} ${key} ${answer.status}`);
        return this.decode(await answer.arrayBuffer(), address);
      } catch (err) {
        if (!(err instanceof Error) || attempt >= PAUSES_MS.length) {
          this.kept.delete(key); // asked again when it is next needed
          return null;
        }
        await new Promise((resolve) => setTimeout(resolve, PAUSES_MS[attempt]));
        return this.load(key, address, attempt + 1);
      }
    }

    forget() {
      this.kept.clear();
    }
  };

  /** Bodies without tiles (states): the bytes and the server's time they speak of. */
  campus.fetchWhole = async function (id) {
    if (!(await campus.layerIndex()).get(id)) return null;
    const answer = await fetch(`/tiles/${id}`, { credentials: "same-origin", cache: "no-store" });
    if (!answer.ok) throw new Error(`${id} ${answer.status}`);
    return answer;
  };

  /** One feature in words, for a tooltip: names, state and since when; null where there is none for this viewer. */
  campus.describe = async function (layer, id) {
    const answer = await fetch(`/tiles/${layer}/feature/${id}`, { credentials: "same-origin" });
    return answer.ok ? answer.json() : null;
  };
})();
