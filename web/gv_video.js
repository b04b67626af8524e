// <gv-video src="film.gvc" controls>: a painted video in any page, used like <video>.
//
// Attributes: src, controls, autoplay, muted, loop, width, height, and fidelity, which shows base frames. Properties, methods and events are named as those of
// <video>; `painted` says whether the picture on screen is painted. If a browser can play a file but not decode it frame by frame, a <video> shows its base frames.

import { Player } from "./player.js";
import { clock } from "./words.js";

/** Of `timeupdate`, and how long after the last movement of the pointer controls stay. */
const UPDATE_MS = 250, CONTROLS_MS = 2500;
/** Seconds by which a frame's time may be off. */
const SLACK = 1e-4;
const STEP_SECONDS = 5, VOLUME_STEP = 0.1;
const ATTRIBUTES = ["src", "controls", "muted", "width", "height", "fidelity"];
const ICONS = {
  play: "M8 5v14l11-7z",
  pause: "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z",
  sound: "M4 9.5v5h3.5L12 19V5L7.5 9.5zM14.5 8.5v7a4 4 0 0 0 0-7zm0-4v2.2a5.7 5.7 0 0 1 0 10.6v2.2a7.8 7.8 0 0 0 0-15z",
  muted: "M4 9.5v5h3.5L12 19V5L7.5 9.5zM21.5 10 20 8.5l-2 2-2-2-1.5 1.5 2 2-2 2 1.5 1.5 2-2 2 2 1.5-1.5-2-2z",
  full: "M4 4h6v2H6v4H4zm10 0h6v6h-2V6h-4zM4 14h2v4h4v2H4zm14 0h2v6h-6v-2h4z",
};
const STYLE = `
:host { display: inline-block; position: relative; max-width: 100%; overflow: hidden; background: #000; color: #fff; font: 14px/1.4 system-ui, sans-serif; vertical-align: bottom; }
:host([hidden]) { display: none; }
:host(:focus-visible) { outline: 2px solid #7ea2ff; outline-offset: 2px; }
canvas, video { display: block; width: 100%; height: 100%; object-fit: contain; }
#bar { position: absolute; inset: auto 0 0; display: flex; align-items: center; gap: .5rem; padding: 2rem .6rem .4rem; background: linear-gradient(#0000, #000b); transition: opacity .2s; }
#bar[data-idle] { opacity: 0; }
#bar:focus-within { opacity: 1; }
[hidden] { display: none !important; }
button { all: unset; width: 2.2rem; height: 2.2rem; display: grid; place-items: center; border-radius: .4rem; cursor: pointer; flex: none; }
button:hover { background: #fff3; }
button:focus-visible, input:focus-visible { outline: 2px solid #7ea2ff; }
svg { width: 1.5rem; height: 1.5rem; fill: currentColor; }
input { min-width: 0; margin: 0; accent-color: #7ea2ff; cursor: pointer; }
#seek { flex: 1; }
#volume { width: 4.5rem; }
time { font-variant-numeric: tabular-nums; white-space: nowrap; }
p { position: absolute; inset: 0; margin: 0; padding: 1rem; display: grid; place-items: center; text-align: center; background: #000; }
`;
const BODY = `
<canvas width="300" height="150"></canvas>
<div id="bar" hidden>
  <button id="play"></button><input id="seek" type="range" min="0" max="0" step="1" value="0" aria-label="Position"><time></time>
  <span id="sound" hidden><button id="mute"></button></span><input id="volume" type="range" min="0" max="1" step="0.05" value="1" aria-label="Volume" hidden>
  <button id="full"></button>
</div>
<p role="alert" hidden></p>`;

const style = new CSSStyleSheet();
style.replaceSync(STYLE);

function drawIcon(button, name, label) {
  if (button.dataset.icon === name) return;
  button.dataset.icon = name;
  button.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;
  button.title = label;
  button.setAttribute("aria-label", label);
}

export class GvVideo extends HTMLElement {
  static observedAttributes = ATTRIBUTES;

  #root = this.attachShadow({ mode: "open" });
  #player = null;
  /** The fallback where this page cannot decode: a <video>. */
  #video = null;
  #volume = 1;
  #muted = false;
  #rate = 1;
  #wantsPlay = false;
  /** State at the last update. */
  #seen = { playing: false, wanted: undefined, painted: false, at: 0, ended: false };
  #movedAt = 0;
  error = null;

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [style];
    this.#root.innerHTML = BODY;
    const on = (id, event, act) => this.#part(id).addEventListener(event, act);
    on("#play", "click", () => this.#toggle());
    on("#mute", "click", () => (this.muted = !this.muted));
    on("#full", "click", () => (document.fullscreenElement ? document.exitFullscreen() : this.requestFullscreen()));
    on("#volume", "input", ({ target }) => ([this.muted, this.volume] = [false, Number(target.value)]));
    on("#seek", "input", ({ target }) => this.#player?.go(Number(target.value)));
    on("canvas", "click", () => this.controls && this.#toggle());
    this.addEventListener("pointermove", () => (this.#movedAt = performance.now()));
    this.addEventListener("keydown", (event) => this.#press(event));
    drawIcon(this.#part("#full"), "full", "Full screen");
  }

  connectedCallback() {
    this.#muted ||= this.hasAttribute("muted");
    if (this.src && !this.#player) this.load();
  }

  disconnectedCallback() {
    this.#close();
  }

  attributeChangedCallback(name, before, value) {
    if (name === "src" && value !== before && this.isConnected) this.load();
    if (name === "width" || name === "height") this.style[name] = value ? `${Number.parseInt(value)}px` : "";
    if (name === "controls") {
      this.#part("#bar").hidden = value === null || Boolean(this.#video);
      if (this.#video) this.#video.controls = value !== null;
      if (value !== null && !this.hasAttribute("tabindex")) this.tabIndex = 0;
    }
    if (name === "fidelity") this.#choosePicture();
    if (name === "muted") this.muted = value !== null;
  }

  /** Open `src` from its beginning. */
  load() {
    this.#close();
    this.error = null;
    this.#wantsPlay = this.autoplay;
    this.#part("p").hidden = true;
    if (!this.src) return;
    // A canvas keeps the kind of picture that it was first asked for.
    const canvas = this.#part("canvas").cloneNode();
    canvas.addEventListener("click", () => this.controls && this.#toggle());
    this.#part("canvas").replaceWith(canvas);
    this.#seen = { playing: false, wanted: undefined, painted: false, at: 0, ended: false };
    const page = {
      opened: () => this.#opened(),
      painter: () => this.#choosePicture(),
      update: (player, now) => this.#update(now),
      slow: () => {},
      sound: () => this.#showSound(),
      note: (text) => this.#tell("note", text),
      fail: (text) => this.#fail(text),
      steered: () => {},
      tokens: () => {},
    };
    const where = { url: new URL(this.src, document.baseURI).href, gpu: this.getAttribute("gpu") ?? "", view: "" };
    this.#player = new Player(where, canvas, page);
  }

  async play() {
    this.#wantsPlay = true;
    if (this.#video) return this.#video.play();
    if (this.#player?.shown && !this.#player.playing) this.#player.play();
  }

  pause() {
    this.#wantsPlay = false;
    if (this.#video) this.#video.pause();
    else if (this.#player?.playing) this.#player.pause();
  }

  get src() {
    return this.getAttribute("src") ?? "";
  }

  set src(address) {
    this.setAttribute("src", address);
  }

  get duration() {
    return this.#video ? this.#video.duration : (this.#player?.timeline?.duration ?? Number.NaN);
  }

  get currentTime() {
    if (this.#video) return this.#video.currentTime;
    const { timeline, wanted, shown, runs } = this.#player ?? {};
    if (wanted !== undefined && timeline) return timeline.timeOf(wanted);
    if (!shown) return 0;
    const time = runs ? this.#player.timeAt(performance.now()) : shown.time;
    return Math.min(time, shown.end ?? time);
  }

  set currentTime(seconds) {
    if (this.#video) this.#video.currentTime = seconds;
    else if (this.#player?.timeline) this.#seek(this.#frameAt(seconds));
  }

  /** Tells at once that it seeks: the frame may come before the next refresh of the screen. */
  #seek(frame) {
    const player = this.#player, seen = this.#seen;
    player.go(frame);
    if (!seen.loaded || player.wanted === seen.wanted) return;
    seen.wanted = player.wanted;
    this.#tell("seeking");
  }

  get paused() {
    return this.#video ? this.#video.paused : !(this.#player?.playing ?? this.#wantsPlay);
  }

  get ended() {
    return this.#video ? this.#video.ended : Boolean(this.#player?.atEnd && !this.#player.playing);
  }

  get seeking() {
    return this.#video ? this.#video.seeking : this.#player?.wanted !== undefined;
  }

  get videoWidth() {
    return this.#video ? this.#video.videoWidth : (this.#player?.header?.width ?? 0);
  }

  get videoHeight() {
    return this.#video ? this.#video.videoHeight : (this.#player?.header?.height ?? 0);
  }

  /** Whether the picture on screen is painted. */
  get painted() {
    return Boolean(this.#player?.shown?.painted && this.#player.mode !== "base");
  }

  get volume() {
    return this.#volume;
  }

  set volume(volume) {
    if (!(volume >= 0 && volume <= 1)) throw new DOMException("a volume is a number from 0 to 1", "IndexSizeError");
    this.#volume = volume;
    this.#applySound();
  }

  get muted() {
    return this.#muted;
  }

  set muted(muted) {
    this.#muted = Boolean(muted);
    this.#applySound();
  }

  get playbackRate() {
    return this.#rate;
  }

  set playbackRate(rate) {
    this.#rate = rate;
    if (this.#video) this.#video.playbackRate = rate;
    else if (this.#player?.timeline) this.#player.setSpeed(rate);
    this.#tell("ratechange");
  }

  #part(selector) {
    return this.#root.querySelector(selector);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #close() {
    this.#player?.close();
    this.#video?.remove();
    this.#player = this.#video = null;
    this.#part("canvas").hidden = false;
  }

  #opened() {
    const { header, frames } = this.#player, { width, height, sar } = header;
    const canvas = this.#part("canvas");
    if (sar[0] !== sar[1]) Object.assign(canvas.style, { aspectRatio: (width * sar[0]) / (height * sar[1]), objectFit: "fill" });
    Object.assign(this.#part("#seek"), { max: frames - 1, value: 0 });
    this.#player.setSpeed(this.#rate);
    this.#applySound(false);
    this.#choosePicture();
    for (const name of ["durationchange", "loadedmetadata"]) this.#tell(name);
  }

  /** All painted, or all base frames. */
  #choosePicture() {
    if (this.#player?.canPaint) this.#player.setMode(this.hasAttribute("fidelity") ? "base" : "painted");
  }

  #applySound(tells = true) {
    if (this.#video) Object.assign(this.#video, { volume: this.#volume, muted: this.#muted });
    this.#player?.sound?.setVolume(this.#volume, this.#muted);
    this.#showSound();
    if (tells) this.#tell("volumechange");
  }

  #showSound() {
    const silent = this.#muted || !this.#volume, hasSound = Boolean(this.#player?.sound?.track);
    this.#part("#sound").hidden = this.#part("#volume").hidden = !hasSound;
    this.#part("#volume").value = this.#muted ? 0 : this.#volume;
    drawIcon(this.#part("#mute"), silent ? "muted" : "sound", silent ? "Unmute" : "Mute");
  }

  #toggle() {
    this.paused ? this.play() : this.pause();
  }

  #press(event) {
    const { key, ctrlKey, metaKey, altKey } = event, inside = this.#root.activeElement;
    if (!this.controls || this.#video || ctrlKey || metaKey || altKey || (inside && key !== "f" && key !== "m")) return;
    const seek = (seconds) => (this.currentTime = this.currentTime + seconds);
    const louder = (step) => (this.volume = Math.min(1, Math.max(0, this.#volume + step)));
    const acts = {
      " ": () => this.#toggle(), k: () => this.#toggle(), m: () => (this.muted = !this.muted), f: () => this.#part("#full").click(),
      ArrowLeft: () => seek(-STEP_SECONDS), ArrowRight: () => seek(STEP_SECONDS), ArrowUp: () => louder(VOLUME_STEP), ArrowDown: () => louder(-VOLUME_STEP),
    };
    if (!acts[key]) return;
    event.preventDefault();
    acts[key]();
  }

  /** The frame on screen at a time, by halves. */
  #frameAt(seconds) {
    const { timeline, frames } = this.#player;
    let low = 0, high = frames - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (timeline.timeOf(middle) <= seconds + SLACK) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Called at every refresh of the screen: sends events for changes since the last one. */
  #update(now) {
    const player = this.#player, seen = this.#seen, { shown, playing, wanted, at } = player;
    if (!shown) return;
    if (!seen.loaded) {
      Object.assign(seen, { loaded: true, frame: at });
      this.#tell("loadeddata");
      if (this.#wantsPlay) this.play();
    }
    if (wanted !== seen.wanted) this.#tell(wanted === undefined ? "seeked" : "seeking");
    if (player.playing !== seen.playing) this.#tell(player.playing ? "play" : "pause");
    if (this.painted !== seen.painted) this.#tell("paintedchange");
    const ended = this.ended, moves = at !== seen.frame && (!playing || now - seen.at >= UPDATE_MS || ended);
    if (moves) {
      Object.assign(seen, { at: now, frame: at });
      this.#tell("timeupdate");
    }
    const hasEnded = ended && !seen.ended;
    Object.assign(seen, { playing: player.playing, wanted, painted: this.painted, ended });
    if (hasEnded) this.loop ? this.play() : this.#tell("ended");
    this.#showBar(now);
  }

  #showBar(now) {
    const bar = this.#part("#bar"), { playing, at, timeline } = this.#player;
    if (bar.hidden) return;
    bar.toggleAttribute("data-idle", playing && now - this.#movedAt > CONTROLS_MS);
    drawIcon(this.#part("#play"), playing ? "pause" : "play", playing ? "Pause" : "Play");
    const seek = this.#part("#seek"), text = `${clock(timeline.timeOf(at))} / ${clock(timeline.duration)}`;
    seek.value = at;
    if (this.#part("time").textContent === text) return;
    this.#part("time").textContent = text;
    seek.setAttribute("aria-valuetext", text);
  }

  /** The page cannot decode it: a <video> may, unpainted. */
  #fail(text) {
    if (this.#player?.shown) return this.#refuse(text);
    const video = Object.assign(document.createElement("video"), { src: this.src, controls: this.controls, loop: this.loop, autoplay: this.autoplay });
    const same = ["loadedmetadata", "loadeddata", "durationchange", "play", "pause", "seeking", "seeked", "timeupdate", "ended"];
    for (const name of same) video.addEventListener(name, () => this.#tell(name));
    video.addEventListener("error", () => this.#refuse(text), { once: true });
    video.addEventListener("loadedmetadata", () => this.#tell("note", `base frames: ${text}`), { once: true });
    this.#close();
    this.#part("#bar").hidden = this.#part("canvas").hidden = true;
    this.#video = video;
    this.#applySound(false);
    this.#part("canvas").after(video);
    if (this.#wantsPlay) video.play().catch(() => {});
  }

  #refuse(text) {
    this.error = new Error(text);
    this.#video?.remove();
    this.#video = null;
    Object.assign(this.#part("p"), { hidden: false, textContent: text });
    this.#tell("error", text);
  }
}

for (const name of ["controls", "autoplay", "loop"]) {
  const get = function () {
    return this.hasAttribute(name);
  };
  const set = function (value) {
    this.toggleAttribute(name, Boolean(value));
  };
  Object.defineProperty(GvVideo.prototype, name, { get, set });
}

customElements.define("gv-video", GvVideo);
