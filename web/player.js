// The page: what is shown, when, and what the keys do. Decoding is the engine's, in a worker.

import { Graph } from "./graph.js";
import { Sound } from "./sound.js";
import { View } from "./view.js";

/** Frames that may be decoded ahead, and the bytes that they may take. */
const MOST_AHEAD = 12, MOST_BYTES = 96 << 20;
const MOST_NOTES = 20;
/** How long sound is off after a late frame. */
const SILENCE_MS = 400;
const element = (id) => document.getElementById(id);
const sum = (values) => values.reduce((total, value) => total + value, 0);

/** Begun before anything else, for a worker takes a while; it says when it is awake. */
let ready = newEngine();

function newEngine() {
  return new Worker(new URL("engine.js", import.meta.url), { type: "module" });
}

class Player {
  constructor(where) {
    this.engine = ready ?? newEngine();
    ready = null;
    this.engine.onmessage = ({ data }) => this.receive(data);
    this.engine.onerror = (event) => this.fail(event.message || "the player could not be loaded");
    this.queue = [];
    this.token = 0;
    this.playing = this.ended = this.painted = false;
    this.shown = null;
    this.clock = { time: 0, at: 0 };
    this.statistics = { shown: 0, dropped: 0, times: [], decode: [], firstMs: 0 };
    this.verified = null;
    this.errors = [];
    this.native = where.native;
    this.gpu = where.gpu;
    this.engine.postMessage({ open: where });
    const tick = () => {
      this.tick();
      if (!this.closed) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  close() {
    this.closed = true;
    this.engine.terminate();
    this.sound?.close();
  }

  receive(data) {
    if (data.awake) this.prepare();
    else if (data.opened) this.start(data.opened);
    else if (data.frame !== undefined) this.take(data);
    else if (data.gop !== undefined) this.graph.learn(data.gop, data.sizes);
    else if (data.ended !== undefined) this.ended ||= data.ended === this.token;
    else if (data.sound) this.sound.take(data.sound).then(() => this.showSound());
    else if (data.painter !== undefined) this.setPainter(data.painter);
    else if (data.note) this.note(data.note);
    else if (data.verified !== undefined) this.verified = data.verified;
    else if (data.failed) this.fail(data.failed);
  }

  /** What the page can get ready while the engine reads. */
  prepare() {
    try {
      this.view = new View(element("picture"));
    } catch (error) {
      this.fail(error.message);
    }
  }

  start(opened) {
    Object.assign(this, opened);
    const { width, height, painterId, base, bitDepth } = this.header;
    if (!this.view) return;
    try {
      this.view.open(this.header);
    } catch (error) {
      return this.fail(error.message);
    }
    this.fit();
    this.graph = new Graph(element("graph"), this);
    this.ahead = Math.max(2, Math.min(MOST_AHEAD, Math.floor(MOST_BYTES / (width * height * 6))));
    this.canPaint = Boolean(painterId && this.native?.paints && !this.byPage);
    this.painted = this.canPaint;
    element("paint").hidden = !this.canPaint;
    element("painted").checked = this.painted;
    element("seek").max = this.frames - 1;
    this.moments = this.native?.moments ?? [];
    element("moments").replaceChildren(...this.moments.map((number) => new Option("", number)));
    if (this.reason) this.note(`${this.reason}: gvcodec decodes on this machine and sends the frames`);
    const { startPts, tick } = this.header;
    this.sound = new Sound((startPts * tick[0]) / tick[1], (text) => this.note(text));
    this.facts = `${this.native?.name ?? ""} ${width}×${height}, ${this.frames} frames, ${bitDepth} bits, base ${base}`;
    if (!this.byPage) return this.go(0);
    this.begins(0);
    this.onfirst = () => this.engine.postMessage({ credit: this.ahead - 1 });
  }

  /** What paints in the page, { name, reason }; null: nothing, for which the machine may do it. It comes after the first frame. */
  setPainter(painter) {
    const first = this.painter === undefined;
    Object.assign(this, { painter, paintsByPage: Boolean(painter) });
    if (!first || !this.header.painterId) return;
    this.canPaint = Boolean(painter || this.native?.paints);
    element("paint").hidden = !this.canPaint;
    const reason = this.native ? this.native.reason : "painted frames of this stream come from `gvcodec play` only: these are the base frames";
    if (this.canPaint && this.byPage) this.setPainted(true);
    else if (!this.canPaint && reason) this.note(reason);
  }

  /** Show frame `number`, exactly. */
  go(number) {
    number = Math.min(Math.max(0, Math.round(number)), this.frames - 1);
    this.queue.splice(0).forEach((frame) => this.giveBack(frame));
    this.begins(number);
    this.engine.postMessage({ play: number, token: ++this.token, painted: this.painted, credits: this.ahead });
  }

  /** The engine has begun with frame `number`: a stream's first one it begins with itself, as token 0. */
  begins(number) {
    this.ended = false;
    this.wanted = number;
    this.since = performance.now();
    this.verified = number === 0 ? null : this.verified;
  }

  take(frame) {
    if (frame.token !== this.token) return this.giveBack(frame);
    this.queue.push(frame);
    this.statistics.decode.push(frame.ms);
    if (this.statistics.decode.length > 60) this.statistics.decode.shift();
  }

  /** Called at every refresh of the screen. */
  tick() {
    const now = performance.now();
    if (this.wanted !== undefined && this.queue.length) {
      this.wanted = undefined;
      this.statistics.firstMs ||= now;
      this.seekMs = now - this.since;
      this.show(this.queue.shift(), now);
      this.clock = { time: this.shown.time, at: now };
      this.onfirst?.();
      this.onfirst = null;
    } else if (this.playing && this.wanted === undefined && this.shown) this.advance(now);
    // No sound where the picture does not keep up.
    const plays = this.playing && this.wanted === undefined && this.shown && now - (this.lateAt ?? -SILENCE_MS) >= SILENCE_MS;
    this.sound?.follow(plays ? this.clock.time + ((now - this.clock.at) / 1000) * this.speed : 0, plays ? this.speed : null);
    if (this.graph) this.status(now);
  }

  advance(now) {
    const time = this.clock.time + ((now - this.clock.at) / 1000) * this.speed;
    let next = null;
    while (this.queue.length && this.queue[0].time <= time) {
      if (next) {
        ++this.statistics.dropped;
        this.used(next);
      }
      next = this.queue.shift();
    }
    if (next) this.show(next, now);
    const due = this.shown.end ?? this.shown.time;
    if (!this.queue.length && time > due) {
      if (this.ended) return this.pause();
      this.lateAt = now;
      // Frames are late: the clock waits for them.
      this.clock = { time: due, at: now };
    }
  }

  show(frame, now) {
    const before = this.shown;
    this.shown = frame;
    this.draw();
    if (before) this.used(before);
    ++this.statistics.shown;
    this.statistics.times.push(now);
    element("seek").value = frame.frame;
  }

  draw() {
    const { base, painted } = this.shown;
    this.view.show(base, painted, Number(element("slider").value));
    element("slider").hidden = !painted;
  }

  fit() {
    if (this.header) this.view?.fit(element("slider"));
  }

  /** The engine may send another one. */
  used(frame) {
    this.giveBack(frame);
    this.engine.postMessage({ credit: 1 });
  }

  giveBack({ base, painted }) {
    for (const samples of [base, painted]) if (samples) this.engine.postMessage({ back: samples.buffer }, [samples.buffer]);
  }

  get speed() {
    return Number(element("speed").value);
  }

  play() {
    if (this.ended && !this.queue.length && this.shown?.frame === this.frames - 1) this.go(0);
    this.playing = true;
    this.clock = { time: this.shown?.time ?? 0, at: performance.now() };
  }

  pause() {
    this.playing = false;
  }

  toggle() {
    this.playing ? this.pause() : this.play();
  }

  seekBy(seconds) {
    const rate = this.header.rate[0] / this.header.rate[1];
    this.go((this.wanted ?? this.shown.frame) + Math.round(seconds * rate));
  }

  /** The keyframe before or after what is shown. */
  seekKey(forward) {
    const at = this.wanted ?? this.shown.frame;
    const keys = this.gops.map(({ first }) => first);
    this.go(forward ? (keys.find((key) => key > at) ?? this.frames - 1) : (keys.findLast((key) => key < at) ?? 0));
  }

  setPainted(painted) {
    this.painted = painted && this.canPaint;
    element("painted").checked = this.painted;
    this.go(this.wanted ?? this.shown?.frame ?? 0);
  }

  /** Volume in tenths more or less; 0: muted or not. */
  setVolume(tenths) {
    this.sound.setVolume(this.sound.volume + tenths / 10, tenths ? false : !this.sound.muted);
    this.showSound();
  }

  showSound() {
    const { track, volume, muted } = this.sound;
    element("sound").hidden = !track;
    element("volume").value = muted ? 0 : volume;
  }

  setSpeed(step) {
    const select = element("speed");
    select.selectedIndex = Math.min(Math.max(0, select.selectedIndex + step), select.options.length - 1);
    select.dispatchEvent(new Event("change"));
  }

  status(now) {
    const { statistics: s, shown } = this;
    s.times = s.times.filter((time) => now - time < 1000);
    const at = this.wanted ?? shown?.frame ?? 0;
    this.graph.draw(at);
    element("play").textContent = this.playing ? "pause" : "play";
    element("time").textContent = clock(shown?.time ?? 0);
    const decode = s.decode.length ? (1000 * s.decode.length) / Math.max(1, sum(s.decode)) : 0;
    const sent = !this.byPage || (this.painted && !this.paintsByPage);
    const source = sent ? "sent by gvcodec on this machine" : this.painted ? `WebCodecs, painted by ${this.painter.name}` : "WebCodecs";
    const hash = Object.entries(this.verified ?? {}).map(([name, same]) => ` · ${name} hash ${same ? "verified" : "DIFFERS"}`).join("");
    element("facts").textContent = `${this.facts} · ${this.painted ? "painted" : "base frames"}, ${source}${hash}`;
    element("numbers").textContent =
      `frame ${at} of ${this.frames} · ${s.times.length} frames/s shown, ${decode.toFixed(0)} decoded · ${s.dropped} dropped · ` +
      `${Math.round(this.graph.bits(at))} bits · ${(this.graph.rateAt(at) / 1000).toFixed(1)} kb/s`;
  }

  note(text) {
    this.errors.push(text);
    if (this.errors.length > MOST_NOTES) return;
    const item = document.createElement("li");
    item.textContent = this.errors.length === MOST_NOTES ? "there are more of these" : text;
    element("notes").append(item);
  }

  fail(text) {
    this.errors.push(text);
    this.failed = text;
    element("message").textContent = text;
    element("message").hidden = false;
  }
}

function clock(seconds) {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
}

const keys = {
  " ": (player) => player.toggle(),
  k: (player) => player.toggle(),
  ArrowLeft: (player, shift) => (shift ? player.seekKey(false) : player.seekBy(-5)),
  ArrowRight: (player, shift) => (shift ? player.seekKey(true) : player.seekBy(5)),
  j: (player) => player.seekBy(-10),
  l: (player) => player.seekBy(10),
  ",": (player) => (player.pause(), player.go((player.wanted ?? player.shown.frame) - 1)),
  ".": (player) => (player.pause(), player.go((player.wanted ?? player.shown.frame) + 1)),
  Home: (player) => player.go(0),
  End: (player) => player.go(player.frames - 1),
  "<": (player) => player.setSpeed(-1),
  ">": (player) => player.setSpeed(1),
  ArrowUp: (player) => player.setVolume(1),
  ArrowDown: (player) => player.setVolume(-1),
  v: (player) => player.setVolume(0),
  p: (player) => player.setPainted(!player.painted),
  m: (player) => player.go(player.moments.find((number) => number > (player.wanted ?? player.shown.frame)) ?? player.moments[0] ?? 0),
  f: () => fullScreen(),
};
for (let tenth = 0; tenth < 10; ++tenth) keys[tenth] = (player) => player.go((player.frames * tenth) / 10);

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else element("stage").requestFullscreen();
}

function open(where) {
  window.player?.close();
  element("message").hidden = true;
  element("notes").replaceChildren();
  window.player = new Player(where);
}

/** What `gvcodec play` offers here, or the file that the address names: player/?file=a.gvc */
async function begin() {
  const asked = new URLSearchParams(location.search), named = asked.get("file"), gpu = asked.get("gpu") ?? "";
  if (named) return open({ url: new URL(named, location.href).href, gpu });
  const answer = await fetch("play.json").catch(() => null);
  const offered = answer?.ok && answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : null;
  if (offered) return open({ url: new URL("stream", location.href).href, native: offered, gpu });
  element("message").textContent = "open a file, or add ?file=NAME to the address";
  element("message").hidden = false;
}

addEventListener("keydown", (event) => {
  const action = keys[event.key];
  const { player } = window;
  if (!action || !player?.shown || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  event.preventDefault();
  action(player, event.shiftKey);
});
element("play").addEventListener("click", () => window.player?.toggle());
element("full").addEventListener("click", fullScreen);
element("picture").addEventListener("click", () => window.player?.toggle());
element("file").addEventListener("change", ({ target }) => target.files[0] && open({ file: target.files[0] }));
element("painted").addEventListener("change", ({ target }) => window.player?.setPainted(target.checked));
element("volume").addEventListener("input", ({ target }) => window.player?.sound?.setVolume(Number(target.value), false));
element("slider").addEventListener("input", () => window.player?.shown && window.player.draw());
element("speed").addEventListener("change", () => window.player?.playing && window.player.play());
element("seek").addEventListener("input", ({ target }) => {
  // While the bar is dragged: keyframes, which come at once. Where it is let go: the very frame.
  const { player } = window;
  if (player?.gops) player.go(player.gops.findLast(({ first }) => first <= Number(target.value)).first);
});
element("seek").addEventListener("change", ({ target }) => window.player?.gops && window.player.go(Number(target.value)));
new ResizeObserver(() => window.player?.fit()).observe(element("stage"));
begin();
