// Alarm sounds, made from sine waves here: no file to load, nothing to be missing when it counts.
(function () {
  "use strict";
  const campus = (window.campus = window.campus || {});
  // One turn of each pattern: length in s and [start s, length s, Hz, Hz at its end]. Told apart with closed eyes:
  // a rising two-tone siren, three knocks, one chime, a soft pair.
  const PATTERNS = {
    critical: {
      turn_s: 1.4,
      gain: 0.8,
      tones: [
        [0, 0.62, 720, 980],
        [0.68, 0.62, 980, 720],
      ],
    },
    high: {
      turn_s: 2.6,
      gain: 0.65,
      tones: [
        [0, 0.16, 660, 660],
        [0.24, 0.16, 660, 660],
        [0.48, 0.22, 880, 880],
      ],
    },
    attention: {
      turn_s: 6,
      gain: 0.5,
      tones: [
        [0, 0.5, 587, 587],
        [0.3, 0.7, 440, 440],
      ],
    },
    candidate: {
      turn_s: 10,
      gain: 0.4,
      tones: [
        [0, 0.3, 523, 523],
        [0.36, 0.4, 659, 659],
      ],
    },
    test: {
      turn_s: 0.5,
      gain: 0.5,
      tones: [
        [0, 0.18, 784, 784],
        [0.22, 0.22, 1047, 1047],
      ],
    },
  };
  const SILENCE_MS = 60_000; // a pause for a phone call; it ends by itself, and at once at a new press
  let context = null;
  let ear = null;
  let playing = null;
  let wanted = null;
  let silentUntil = 0;
  const heard = [];
  const buffers = {};

  function make() {
    if (context) return;
    context = new AudioContext();
    ear = context.createAnalyser();
    ear.connect(context.destination);
    context.addEventListener("statechange", () => settle());
  }

  function bufferOf(name) {
    if (buffers[name]) return buffers[name];
    const { turn_s, gain, tones } = PATTERNS[name];
    const rate = context.sampleRate;
    const buffer = context.createBuffer(1, Math.ceil(turn_s * rate), rate);
    const wave = buffer.getChannelData(0);
    for (const [start, length, from, to] of tones) {
      let phase = 0;
      const first = Math.floor(start * rate);
      const count = Math.floor(length * rate);
      for (let i = 0; i < count && first + i < wave.length; i++) {
        phase += (2 * Math.PI * (from + ((to - from) * i) / count)) / rate;
        const edge = Math.min(1, i / (0.012 * rate), (count - i) / (0.04 * rate)); // no clicks
        wave[first + i] += gain * edge * (0.82 * Math.sin(phase) + 0.18 * Math.sin(2 * phase));
      }
    }
    return (buffers[name] = buffer);
  }

  function source(name, isLoop) {
    const node = context.createBufferSource();
    node.buffer = bufferOf(name);
    node.loop = isLoop;
    node.connect(ear);
    node.start();
    return node;
  }

  function stop() {
    if (playing) playing.node.stop();
    playing = null;
  }

  const isSilent = () => Date.now() < silentUntil;
  const canPlay = () => Boolean(context && context.state === "running");

  // Looping buffers play on when a busy page's timers are late.
  function settle() {
    const name = wanted && !isSilent() ? wanted : null;
    if (!canPlay() || !name) stop();
    else if (!playing || playing.name !== name) {
      stop();
      playing = { name, node: source(name, true) };
    }
    heard.forEach((fn) => fn(state()));
  }

  function state() {
    if (!canPlay()) return "blocked";
    if (wanted && isSilent()) return "silenced";
    return playing ? "sounding" : "ready";
  }

  // The loudest sample that left for the loudspeaker while the test tone played, 0 to 1.
  async function hear(milliseconds) {
    const wave = new Float32Array(ear.fftSize);
    let loudest = 0;
    const until = performance.now() + milliseconds;
    while (performance.now() < until) {
      ear.getFloatTimeDomainData(wave);
      for (const sample of wave) loudest = Math.max(loudest, Math.abs(sample));
      await new Promise((done) => setTimeout(done, 20));
    }
    return loudest;
  }

  campus.sound = {
    state,
    onChange: (fn) => heard.push(fn),
    wanted: () => wanted,
    want(name) {
      if (wanted !== name) {
        wanted = name;
        settle();
      }
    },
    // A page that may already play (a kiosk setting, an earlier click) says so without a click.
    probe() {
      make();
      settle();
    },
    silence() {
      silentUntil = Date.now() + SILENCE_MS;
      settle();
      setTimeout(settle, SILENCE_MS + 50);
    },
    silentUntil: () => (isSilent() ? silentUntil : 0),
    wake() {
      if (silentUntil) {
        silentUntil = 0;
        settle();
      }
    },
    once(name) {
      if (canPlay() && !playing && !isSilent()) source(name, false);
    },
    // Plays the test tone and listens to what the browser sends out. Must be called from a click or a key.
    async check() {
      make();
      try {
        await Promise.race([context.resume(), new Promise((done) => setTimeout(done, 800))]);
      } catch (error) {
        if (!(error instanceof DOMException)) throw error;
      }
      if (!canPlay()) {
        settle();
        return false;
      }
      stop();
      source("test", false);
      const loudest = await hear(450);
      settle();
      return loudest > 0.05;
    },
  };
})();
