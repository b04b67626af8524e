// Plays a stream: requests frames from the engine, a worker, keeps the clock and shows due frames. The controls belong to the page.

import { Pace } from "./pace.js";
import { PlainView } from "./plain_view.js";
import { Sound } from "./sound.js";
import { Timeline } from "./timeline.js";
import { View } from "./view.js";

/** Most frames to decode ahead, and their most bytes. */
const MOST_AHEAD = 12, MOST_BYTES = 96 << 20;
/** How long sound is off after a late frame. */
const SILENCE_MS = 400;
/** Frames whose decoding times are averaged. */
const MEAN_OF = 60;

/** Started first, since a worker takes a while; it reports when it is ready. */
let ready = newEngine();

function newEngine() {
  return new Worker(new URL("engine.js", import.meta.url), { type: "module" });
}

export class Player {
  /** `where`: { url | file, native, gpu }, as the engine takes it. `page` gets opened(player), painter(player), steered(player), tokens(data), update(player, now), slow(player), sound(player), note(text), fail(text). */
  constructor(where, canvas, page) {
    this.engine = ready ?? newEngine();
    ready = null;
    this.engine.onmessage = ({ data }) => this.receive(data);
    this.engine.onerror = (event) => this.fail(event.message || "the player could not be loaded");
    Object.assign(this, { where, canvas, page, native: where.native });
    this.queue = [];
    this.token = 0;
    this.playing = this.ended = this.canPaint = this.insists = this.steered = false;
    /** "base", "painted", or "compare": base left, painted right of `place` (share of the width). */
    this.mode = "base";
    this.place = 0.5;
    this.speed = 1;
    this.shown = this.verified = null;
    this.clock = { time: 0, at: 0 };
    this.pace = new Pace();
    this.statistics = { shown: 0, dropped: 0, moved: 0, times: [], decode: [], firstMs: 0 };
    this.errors = [];
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
    else if (data.gop !== undefined) this.timeline.learn(data.gop, data.sizes, data.times);
    else if (data.ended !== undefined) this.ended ||= data.ended === this.token;
    else if (data.sound) this.sound.take(data.sound).then(() => this.page.sound(this));
    else if (data.painter !== undefined) this.setPainter(data.painter);
    else if (data.steered) (this.steered = true), this.page.steered(this);
    else if (data.tokens !== undefined) this.page.tokens(data);
    else if (data.note) this.note(data.note);
    else if (data.verified !== undefined) this.verified = data.verified;
    else if (data.failed) this.fail(data.failed);
  }

  /** The drawing surface; needs no file, so it is made while the engine reads. */
  prepare() {
    const gl = View.contextOf(this.canvas, this.where.view === "webgl");
    this.view = gl ? new View(this.canvas, gl) : new PlainView(this.canvas);
  }

  start(opened) {
    Object.assign(this, opened);
    const { width, height, painterId, gvc1dId, startPts, tick } = this.header;
    if (!this.view) return;
    try {
      this.view.open(this.header);
    } catch (error) {
      return this.fail(error.message);
    }
    this.timeline = new Timeline(this);
    this.ahead = Math.max(2, Math.min(MOST_AHEAD, Math.floor(MOST_BYTES / (width * height * 6))));
    this.hits = this.native?.hits ?? [];
    this.moments = this.hits.length ? this.hits.map(({ frame }) => frame).sort((a, b) => a - b) : (this.native?.moments ?? []);
    this.sound = new Sound((startPts * tick[0]) / tick[1], (text) => this.note(text));
    this.canPaint = Boolean((painterId || gvc1dId) && this.native?.paints && !this.byPage);
    if (this.canPaint) this.mode = "compare";
    this.page.opened(this);
    const best = this.hits[0]?.frame ?? 0;
    if (!this.byPage) return this.go(best);
    this.begins(0);
    this.onfirst = () => best ? this.go(best) : this.engine.postMessage({ credit: this.ahead - 1 });
  }

  /** The page's painter, { name, reason }; null: none, the server may paint. Known after the first frame. */
  setPainter(painter) {
    const first = this.painter === undefined;
    Object.assign(this, { painter, paintsByPage: Boolean(painter) });
    const { painterId, gvc1dId } = this.header;
    if (!first || !(painterId || gvc1dId)) return;
    this.canPaint = Boolean(painter || this.native?.paints);
    const does = gvc1dId ? "restores it from its tokens" : "paints it";
    const reason = this.native ? this.native.reason : `this page has the base layer only; \`gvcodec play FILE\` ${does}`;
    if (this.canPaint && this.byPage) this.setMode("compare");
    else if ((!this.canPaint || gvc1dId) && reason) this.note(reason);
    this.page.painter(this);
  }

  /** Whether painted frames are asked for. */
  get painted() {
    return this.canPaint && this.mode !== "base";
  }

  setMode(mode) {
    const before = this.painted;
    this.mode = mode;
    if (this.painted !== before) this.go(this.at);
    else if (this.shown) this.draw();
  }

  /** Painting strength of the page, 0…100; null: the file's. */
  setLook(look) {
    this.look = look;
    this.engine.postMessage({ look });
    this.verified = null;
    if (this.painted) this.go(this.at);
  }

  /** The tokens of a GOP that steer the painter; `page.tokens` gets them. */
  askTokens(gop) {
    this.engine.postMessage({ tokens: gop });
  }

  /** Share of the width left of the compare handle, 0…1. */
  setPlace(place) {
    this.place = place;
    if (this.shown) this.draw();
  }

  /** The frame that is shown, or that is on its way. */
  get at() {
    return this.wanted ?? this.shown?.frame ?? 0;
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
    this.pace.begin();
    this.verified = number === 0 ? null : this.verified;
  }

  take(frame) {
    if (frame.token !== this.token) return this.giveBack(frame);
    this.queue.push(frame);
    this.statistics.decode.push(frame.ms);
    if (this.statistics.decode.length > MEAN_OF) this.statistics.decode.shift();
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
    } else if (this.runs) this.advance(now);
    const follows = this.keepsUp(now);
    this.sound?.follow(follows ? this.timeAt(now) : 0, follows ? this.speed : null);
    if (this.timeline) this.page.update(this, now);
  }

  get runs() {
    return this.playing && this.wanted === undefined && Boolean(this.shown);
  }

  /** Whether it plays and frames are in time: there is no sound if the picture is too slow. */
  keepsUp(now) {
    return this.runs && now - (this.lateAt ?? -SILENCE_MS) >= SILENCE_MS;
  }

  /** Seconds that the clock has while the video plays. */
  timeAt(now) {
    return this.clock.time + ((now - this.clock.at) / 1000) * this.speed;
  }

  advance(now) {
    const time = this.timeAt(now);
    let next = null;
    while (this.queue.length && this.queue[0].time <= time) {
      if (next) {
        ++this.statistics.dropped;
        this.used(next);
      }
      next = this.queue.shift();
    }
    if (next) this.show(next, now);
    const due = this.shown.end ?? this.shown.time, late = !this.queue.length && time > due;
    if (late) {
      if (this.ended) return this.pause();
      this.lateAt = now;
      // Frames are late: the clock waits for them.
      this.clock = { time: due, at: now };
    }
    if (this.painted && this.pace.step(now, late) && !this.insists) {
      this.setMode("base");
      this.page.slow(this);
    }
  }

  show(frame, now) {
    const before = this.shown;
    this.shown = frame;
    this.view.take(frame.base, frame.painted);
    this.draw();
    if (before) this.used(before);
    ++this.statistics.shown;
    if (frame.moved) ++this.statistics.moved;
    this.statistics.times.push(now);
  }

  draw() {
    this.view.draw({ base: 1, compare: this.place, painted: 0 }[this.mode]);
  }

  /** The engine may send another one. */
  used(frame) {
    this.giveBack(frame);
    this.engine.postMessage({ credit: 1 });
  }

  giveBack({ base, painted }) {
    for (const samples of [base, painted]) if (samples) this.engine.postMessage({ back: samples.buffer }, [samples.buffer]);
  }

  setSpeed(speed) {
    this.clock = { time: this.playing ? this.timeAt(performance.now()) : this.clock.time, at: performance.now() };
    this.speed = speed;
    this.mayEase();
    this.pace.begin();
  }

  play() {
    if (this.atEnd) this.go(0);
    this.playing = true;
    this.mayEase();
    this.pace.begin();
    this.clock = { time: this.shown?.time ?? 0, at: performance.now() };
  }

  pause() {
    this.playing = false;
    this.mayEase();
  }

  /** Whether the engine may move detail instead of painting if it is too slow. */
  mayEase() {
    this.engine.postMessage({ eases: this.playing && !this.insists ? this.speed : 0 });
  }

  toggle() {
    this.playing ? this.pause() : this.play();
  }

  /** Whether all has been shown. */
  get atEnd() {
    return this.ended && !this.queue.length && this.shown?.frame === this.frames - 1;
  }

  /** Paint every frame from now on, however late. */
  insist() {
    this.insists = true;
    this.mayEase();
    this.setMode("compare");
  }

  seekBy(seconds) {
    this.go(this.at + Math.round(seconds * this.timeline.rate));
  }

  /** One frame on or back, and no further. */
  step(frames) {
    this.pause();
    this.go(this.at + frames);
  }

  /** The keyframe before or after the current frame. */
  seekKey(forward) {
    const keys = this.gops.map(({ first }) => first);
    this.go(forward ? (keys.find((key) => key > this.at) ?? this.frames - 1) : (keys.findLast((key) => key < this.at) ?? 0));
  }

  /** The next search result or moment of the summary; after the last one the first. */
  seekMoment() {
    this.go(this.moments.find((number) => number > this.at) ?? this.moments[0] ?? this.at);
  }

  /** Volume in tenths more or less; 0: muted or not. */
  changeVolume(tenths) {
    this.sound.setVolume(this.sound.volume + tenths / 10, tenths ? false : !this.sound.muted);
    this.page.sound(this);
  }

  note(text) {
    this.errors.push(text);
    this.page.note(text);
  }

  fail(text) {
    this.errors.push(text);
    this.failed = text;
    this.page.fail(text);
  }
}
