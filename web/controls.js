// The controls around the picture: buttons, times, mode, notes, facts. They show the player's state and change it.

import { Compare } from "./compare.js";
import { Graph } from "./graph.js";
import { keyHelp } from "./keys.js";
import { Original } from "./original.js";
import { SeekBar } from "./seekbar.js";
import { Thumbnails } from "./thumbnails.js";
import { clock, short } from "./words.js";

const MOST_NOTES = 20;
/** Time that a frame may take before the page shows that it is loading. */
const PATIENCE_MS = 400;
const FACTS_MS = 250;
/** Interval for drawing the controls during playback. */
const UPDATE_MS = 100;
const BASES = { av1: "AV1", vvc: "H.266/VVC", gvc1d: "GVC1D" };
const element = (id) => document.getElementById(id);

function icon(button, name, label, key) {
  if (button.dataset.icon === name) return;
  button.dataset.icon = name;
  button.querySelector("use").setAttribute("href", `#icon-${name}`);
  button.setAttribute("aria-label", label);
  button.title = `${label} (${key})`;
}

export class Controls {
  constructor() {
    this.compare = new Compare(element("handle"), (place) => this.player?.setPlace(place));
    this.seekBar = new SeekBar(element("bar"), (frame, dragged) => this.seek(frame, dragged));
    this.original = new Original(element("source"), () => this.note("the source cannot be shown: this browser does not play it"));
    element("keys").replaceChildren(...keyHelp());
    const on = (id, event, act) => element(id).addEventListener(event, ({ target }) => act(target));
    const toggle = () => this.player?.shown && this.player.toggle();
    for (const id of ["play", "start", "picture"]) on(id, "click", toggle);
    on("full", "click", () => this.fullScreen());
    on("mute", "click", () => this.player.changeVolume(0));
    on("volume", "input", ({ value }) => this.player.sound.setVolume(Number(value), false) ?? this.sound(this.player));
    on("modes", "change", ({ value }) => this.setMode(value));
    on("look", "input", ({ value }) => this.turnLook(Number(value)));
    on("look", "dblclick", () => this.turnLook(null));
    on("tokens", "click", () => this.showTokens());
    on("speed", "change", ({ value }) => this.player?.setSpeed(Number(value)));
    on("left", "click", () => this.changeLeft());
    on("insist", "click", () => (this.player.insist(), this.showMode()));
    on("accept", "click", () => (element("slow").hidden = true));
    for (const id of ["help-button", "help-close"]) on(id, "click", () => this.help());
  }

  /** Reset for another stream, or none. */
  begin(player) {
    this.player = player;
    this.thumbnails?.close();
    this.thumbnails = null;
    for (const id of ["empty", "slow", "busy", "start", "handle", "sides", "modes", "dial", "tokens", "sound", "bits", "details"]) element(id).hidden = true;
    this.tokenMap?.open(player);
    element("tokens").ariaPressed = false;
    element("notes").replaceChildren();
    this.compareWith(player.native?.source ? "source" : null);
    element("stage").classList.add("blank");
  }

  opened(player) {
    const { header, native, where, frames, timeline } = player;
    const { width, height, sar } = header, name = where.file?.name ?? native?.name ?? "";
    element("viewer").style.setProperty("--shape", (width * sar[0]) / (height * sar[1]));
    element("name").textContent = element("name").title = name;
    document.title = name ? `${name} – gvcodec` : "gvcodec player";
    this.thumbnails = new Thumbnails(where);
    this.seekBar.open(player, this.thumbnails);
    this.graph = new Graph(element("graph"), timeline);
    this.compare.set(0.5);
    player.setSpeed(Number(element("speed").value));
    element("bits").hidden = element("details").hidden = false;
    this.file = {
      File: name,
      Picture: `${width} × ${height}, ${header.bitDepth} bits`,
      Frames: `${frames}, ${Number(timeline.rate.toFixed(3))} a second`,
      "Base layer": BASES[header.base],
    };
    this.painter(player);
  }

  /** Called once it is known what can be painted. */
  painter({ canPaint, paintsByPage }) {
    element("modes").hidden = !canPaint;
    element("dial").hidden = !paintsByPage;
    this.steered(this.player);
    this.showLook(this.player.look ?? null);
    this.showMode();
  }

  /** Show whether the stream has painter tokens. */
  steered({ canPaint, steered }) {
    element("tokens").hidden = !(canPaint && steered);
  }

  /** Where tokens steer the painter, drawn over the picture, or no more. The drawing module is loaded on first use. */
  async showTokens() {
    const button = element("tokens");
    if (button.hidden) return;
    const { TokenMap } = await import("./token_map.js");
    if (!this.tokenMap) (this.tokenMap = new TokenMap()).open(this.player);
    this.tokenMap.show(!this.tokenMap.on && !button.hidden); // another file may have been opened meanwhile
    button.ariaPressed = this.tokenMap.on;
  }

  /** Tokens of a GOP, or why they cannot be read. */
  tokens(data) {
    this.tokenMap.take(data);
  }

  /** The video that the stream was made from, by its address, left of the handle; null: none. */
  compareWith(address) {
    this.original.open(address);
    this.showsSource = Boolean(address);
  }

  /** Source, or base layer. */
  changeLeft() {
    this.showsSource = !this.showsSource && this.original.isThere;
  }

  /** Painting strength of the page; null: the file's. */
  turnLook(look) {
    this.player?.setLook(look);
    this.showLook(look);
  }

  showLook(look) {
    const input = element("look"), { defaultValue, max } = input;
    input.value = look ?? defaultValue;
    input.style.setProperty("--at", input.value / max);
  }

  setMode(mode) {
    if (!this.player?.canPaint) return;
    this.player.setMode(mode);
    this.showMode();
  }

  showMode() {
    const { mode } = this.player;
    element("modes").querySelector(`[value=${mode}]`).checked = true;
    if (mode !== "base") element("slow").hidden = true;
  }

  /** Painting did not keep up: the player has gone over to the base layer. */
  slow() {
    this.showMode();
    element("slow").hidden = false;
  }

  sound({ sound: { track, volume, muted } }) {
    const silent = muted || !volume;
    element("sound").hidden = !track;
    element("volume").value = muted ? 0 : volume;
    icon(element("mute"), silent ? "muted" : "sound", silent ? "Sound on" : "Mute", "V");
  }

  /** While the bar is dragged: keyframes, which come at once. Where it is let go: the very frame. */
  seek(frame, dragged) {
    const { player } = this, { timeline } = player;
    player.go(dragged ? player.gops[timeline.gopOf(frame)].first : frame);
  }

  changeSpeed(step) {
    const select = element("speed");
    select.selectedIndex = Math.min(Math.max(0, select.selectedIndex + step), select.options.length - 1);
    this.player.setSpeed(Number(select.value));
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else element("viewer").requestFullscreen();
  }

  get helps() {
    return element("help").open;
  }

  help() {
    this.helps ? element("help").close() : element("help").showModal();
  }

  chooseFile() {
    element("file").click();
  }

  /** Called at every refresh of the screen. */
  update(player, now) {
    this.tokenMap?.update();
    const { shown, playing, timeline, at } = player;
    if (!shown || (player.runs && !this.showsSource && now - this.updatedAt < UPDATE_MS)) return;
    this.updatedAt = now;
    element("stage").classList.remove("blank");
    this.seekBar.show(at, shown.time);
    this.graph.draw(at);
    const [time, total] = element("time").children;
    time.textContent = clock(shown.time);
    total.textContent = clock(timeline.duration);
    const [name, label] = playing ? ["pause", "Pause"] : player.atEnd ? ["again", "Play again"] : ["play", "Play"];
    icon(element("play"), name, label, "space");
    icon(element("start"), name, label, "space");
    element("start").hidden = playing || (at > 0 && !player.atEnd) || player.failed;
    this.showSides(player, now);
    element("exact").hidden = !player.verified || Object.values(player.verified).includes(false);
    const waits = player.wanted !== undefined && now - player.since > PATIENCE_MS;
    element("busy").hidden = !waits || Boolean(player.failed);
    element("busy").textContent = player.painted ? "Painting…" : "Loading…";
    if (now - (this.toldAt ?? 0) > FACTS_MS) this.tell(player, (this.toldAt = now));
  }

  /** The pictures left and right of the handle, and their names. */
  showSides(player, now) {
    const { shown } = player, compares = Boolean(shown.painted) && player.mode === "compare";
    const source = compares && this.showsSource && this.original.isThere, runs = player.keepsUp(now);
    // Between two frames the source is asked for the middle of one.
    this.original.follow(runs ? player.timeAt(now) : (shown.time + (shown.end ?? shown.time)) / 2, runs ? player.speed : null);
    element("handle").hidden = !compares;
    element("source").hidden = !source;
    element("sides").hidden = !player.canPaint;
    element("left").textContent = source ? "Source" : "Base layer";
    element("left").disabled = !compares || !this.original.isThere;
    element("left").hidden = !compares && Boolean(shown.painted);
    element("right").hidden = !shown.painted;
  }

  /** Figures, a few times a second. */
  tell(player, now) {
    const { statistics: s, timeline, header, at } = player;
    s.times = s.times.filter((time) => now - time < 1000);
    element("format").textContent = `${header.width}×${header.height} · ${short(timeline.meanRate, "b/s")}`;
    element("frame-bits").textContent = short(timeline.bits(at), "bit");
    element("rate").textContent = short(timeline.rateAt(at), "b/s");
    const mean = s.decode.reduce((sum, ms) => sum + ms, 0) / Math.max(1, s.decode.length);
    const facts = {
      ...this.file,
      ...madeBy(player),
      Checked: checks(player),
      Speed: `${s.times.length} frames a second shown, ${mean ? Math.round(1000 / mean) : 0} possible, ${s.dropped} dropped${s.moved ? `, ${s.moved} with detail moved instead of painted anew` : ""}`,
      "Last seek": `${Math.round(player.seekMs)} ms`,
      "This frame": `number ${at}, ${Math.round(timeline.bits(at))} bits`,
    };
    if (element("details").open) element("facts").replaceChildren(...Object.entries(facts).filter(([, text]) => text).map(row));
  }

  note(text) {
    const list = element("notes");
    if (list.children.length >= MOST_NOTES) return;
    const item = document.createElement("li");
    item.textContent = list.children.length === MOST_NOTES - 1 ? "There are more of these." : text;
    list.append(item);
  }

  fail(text) {
    this.say("This cannot be played", text);
  }

  /** In place of the picture. */
  say(title, text) {
    element("title").textContent = title;
    if (text) element("message").textContent = text;
    element("empty").hidden = false;
    for (const id of ["busy", "start"]) element(id).hidden = true;
  }
}

function row([name, text]) {
  const group = document.createElement("div");
  const [term, value] = ["dt", "dd"].map((tag) => document.createElement(tag));
  term.textContent = name;
  value.textContent = text;
  group.append(term, value);
  return group;
}

/** Who decodes and paints. */
function madeBy({ byPage, reason, painter, paintsByPage, canPaint }) {
  const machine = "gvcodec on this computer";
  return {
    "Decoded by": byPage ? "this browser (WebCodecs)" : `${machine}, because ${reason}`,
    "Painted by": !canPaint ? "nothing: there is only the base layer" : paintsByPage ? `this page (${painter.name})` : machine,
    "Without WebGPU": paintsByPage && painter.reason,
  };
}

/** Result of the hashes. */
function checks({ verified, whole }) {
  if (!verified) return whole ? "not yet: while it plays from beginning to end, every sample is compared with the encoder's" : "";
  const parts = Object.entries(verified).map(([name, same]) => {
    const layer = name === "base" ? "base layer" : "painted picture";
    return same ? `${layer}: every sample is the encoder's` : `${layer}: DIFFERS from the encoder's`;
  });
  return parts.join("; ");
}
