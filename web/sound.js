// Sound in time with the picture: packets from the engine, decoded by WebCodecs, played by Web Audio.

import { PcmDecoder } from "./pcm.js";
import { openTracks, packetsOf } from "./tracks.js";

/** Seconds to decode ahead, pre-roll of a decoder, and largest drift of the sound. */
const AHEAD = 1, BEFORE = 0.1, STEP = 0.08;
const MOST_IN_DECODER = 16;
/** FFmpeg's mark of the track to play unless another is asked for. */
const DEFAULT = 1;
/** Seconds that are added to times in the decoder. */
const SHIFT = 3600;

const isPcm = ({ codec }) => codec.startsWith("pcm-");

/** Whether the sound of this description can be decoded here. */
const takes = async (config) => isPcm(config) || (globalThis.AudioDecoder && (await AudioDecoder.isConfigSupported(config).catch(() => null))?.supported);

export class Sound {
  /** `start`: seconds on the clock of the timestamps where the video begins; `note` reports problems to the user. */
  constructor(start, note) {
    this.start = start;
    this.note = note;
    this.gops = new Map();
    this.volume = 1;
    this.muted = false;
    this.running = null;
    this.nodes = [];
  }

  /** Payloads of a GOP; the very first begins with the head. GOPs before `from` and after `to` are not needed any more. */
  async take({ gop, payloads, from, to }) {
    try {
      let packets = [];
      payloads.forEach((payload, n) => {
        if (gop || n) return (packets = packets.concat(packetsOf(payload, this.tracks.length)));
        const opened = openTracks(payload);
        this.tracks = opened.tracks;
        packets = opened.packets;
      });
      for (const each of this.gops.keys()) if (each < from || each > to) this.gops.delete(each);
      this.gops.set(gop, packets);
      this.choosing ??= this.choose();
      await this.choosing;
    } catch (error) {
      this.refuse(error.message);
    }
  }

  /** The first track that the browser can play; default tracks come first. */
  async choose() {
    const sounds = this.tracks.map((track, number) => ({ ...track, number })).filter(({ name }) => name);
    sounds.sort((one, other) => (other.flags & DEFAULT) - (one.flags & DEFAULT));
    if (!sounds.length) return;
    for (const track of sounds) {
      if (!(track.config && (await takes(track.config)))) continue;
      this.context = new AudioContext({ latencyHint: "playback" });
      this.gain = this.context.createGain();
      this.gain.connect(this.context.destination);
      this.setVolume(this.volume);
      this.track = track;
      return;
    }
    this.refuse(`this browser does not decode ${sounds.map(({ name }) => name).join(", ")}`);
  }

  refuse(reason) {
    if (this.reason) return;
    this.reason = reason;
    this.note(`no sound: ${reason}`);
    this.stop();
    this.track = null;
  }

  setVolume(volume, muted = this.muted) {
    this.volume = Math.min(1, Math.max(0, volume));
    this.muted = muted;
    if (this.gain) this.gain.gain.value = muted ? 0 : this.volume ** 2;
  }

  /** Called often: the picture is at `time` (seconds) and plays at `speed`, or is paused (null). */
  follow(time, speed) {
    if (!this.track) return;
    const { context, running } = this;
    if (speed === null) return this.stop();
    if (context.state === "suspended") context.resume();
    if (context.state !== "running") return;
    if (!running || running.speed !== speed || Math.abs(this.heard() - time) > STEP) this.begin(time, speed);
    this.feed();
  }

  /** Position of the sound on the picture's clock, in seconds; null without sound. */
  heard() {
    const { running, context } = this;
    return running && running.time + (context.currentTime - running.at) * running.speed;
  }

  begin(time, speed) {
    this.stop();
    const decoder = new (isPcm(this.track.config) ? PcmDecoder : AudioDecoder)({
      output: (data) => (decoder === this.running?.decoder ? this.schedule(data) : data.close()),
      error: (error) => decoder === this.running?.decoder && this.refuse(error.message),
    });
    decoder.configure(this.track.config);
    this.running = { decoder, time, speed, at: this.context.currentTime, fed: time - BEFORE, hidden: new Map() };
  }

  /** Packets in order, as far ahead as needed. */
  feed() {
    const { running, track } = this;
    const until = this.heard() + AHEAD * Math.max(1, running.speed);
    const numbers = [...this.gops.keys()].sort((a, b) => a - b);
    for (const number of numbers) {
      for (const packet of this.gops.get(number)) {
        if (running.decoder.state !== "configured" || running.decoder.decodeQueueSize >= MOST_IN_DECODER) return;
        const time = packet.pts * track.tick - this.start;
        if (packet.track !== track.number || time <= running.fed || time > until) continue;
        running.fed = time;
        // Sound may begin before the picture, and chunks before 0 are refused.
        const timestamp = Math.round(1e6 * (time + SHIFT));
        if (packet.hidden[0] || packet.hidden[1]) running.hidden.set(timestamp, packet.hidden.map((ticks) => ticks * track.tick));
        running.decoder.decode(new EncodedAudioChunk({ type: packet.key ? "key" : "delta", timestamp, duration: Math.round(1e6 * packet.duration * track.tick), data: packet.data }));
      }
    }
  }

  schedule(data) {
    const { context, running } = this;
    const { numberOfFrames, numberOfChannels, sampleRate } = data;
    const buffer = context.createBuffer(numberOfChannels, numberOfFrames, sampleRate);
    for (let planeIndex = 0; planeIndex < numberOfChannels; ++planeIndex) {
      data.copyTo(buffer.getChannelData(planeIndex), { planeIndex, format: "f32-planar" });
    }
    // Samples that are not to be heard, in seconds.
    const [before, after] = running.hidden.get(data.timestamp) ?? [0, 0], length = buffer.duration - before - after;
    running.hidden.delete(data.timestamp);
    const time = data.timestamp / 1e6 - SHIFT + before;
    data.close();
    const when = running.at + (time - running.time) / running.speed, late = Math.max(0, context.currentTime - when);
    if (late * running.speed >= length) return;
    const node = context.createBufferSource();
    Object.assign(node, { buffer, onended: () => this.nodes.splice(this.nodes.findIndex((each) => each.node === node), 1) });
    node.playbackRate.value = running.speed;
    node.connect(this.gain);
    node.start(Math.max(when, context.currentTime), before + late * running.speed, length - late * running.speed);
    this.nodes.push({ node, time });
  }

  stop() {
    if (!this.running) return;
    const { decoder } = this.running;
    this.running = null;
    if (decoder.state !== "closed") decoder.close();
    for (const { node } of this.nodes.splice(0)) {
      node.onended = null;
      node.stop();
    }
  }

  close() {
    this.stop();
    this.context?.close();
  }
}
