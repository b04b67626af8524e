// A stream in an .mp4 file that plays everywhere: frames are samples of its AV1 track, the rest is in metadata OBUs
// (gvcodec/bitstream/metadata_obu.py specifies them). It is used as a `Stream` is.

import { Cursor, Damaged, hex, joined, leb128, newer } from "./bytes.js";
import { readTracks } from "./mp4.js";
import { Reader, loadReader, problemOf } from "./stream.js";
import { openTracks } from "./tracks.js";

/** Entries of our OBUs. */
const HEADER = 0, PLACE = 1, PACKET = 2, STATE = 4, END = 7, SOUND = 8;
/** Type of a `fit` packet; the one that leaves base frames. */
const FIT = 2, NO_PAINTING = { fit: Uint8Array.of(0), hasTokens: false };
const MOST_GOP = 1 << 28, MOST_FRAME = 2 ** 40;
const HAS_DURATION = 1, HAS_HIDDEN = 2, FORM_BITS = 3;

export class OneFile {
  static async open(source) {
    const file = Object.assign(new OneFile(), { calls: new Reader(await loadReader()) });
    const tracks = await readTracks(source);
    const video = tracks.find(({ codec }) => codec === "av01");
    Object.assign(file, { source, samples: video?.samples ?? [], problem: "", baseHash: "", lost: new Map() });
    if (!file.samples.length) throw new Damaged(NOT_OURS);
    file.gops = gopsOf(file.samples);
    file.frames = file.samples.length;
    const first = await file.sample(0), { calls } = file;
    file.packed = await file.findHeader();
    if (!file.packed) throw new Damaged(first.damaged ? DAMAGED : NOT_OURS);
    calls.with(file.packed, (at, size) => (file.headerHandle = calls.opened(calls.core._header_open(at, size))));
    file.header = calls.header(file.headerHandle);
    file.sound = soundOf(first, tracks, file);
    await file.findHash();
    return file;
  }

  close() {
    this.calls.core._header_close(this.headerHandle);
    this.headerHandle = 0;
  }

  /** The header in the first keyframe whose OBU can be read, undefined without one. */
  async findHeader() {
    for (const { first } of this.gops) {
      const key = await this.sample(first), packed = entryOf(key, HEADER);
      if (packed || !key.damaged) return packed;
    }
    return undefined;
  }

  /** Whether a GOP shows base frames, since its weights are lost: its keyframe's OBU is damaged, or one before it and since then no
   * keyframe repeats weights. */
  async losesFit(number) {
    for (let at = number; at >= 0; --at) {
      if (!this.lost.has(at)) {
        const key = await this.sample(this.gops[at].first), isDamaged = key.damaged || !entryOf(key, HEADER);
        this.lost.set(at, isDamaged ? true : key.entries.some(isStated) ? false : null); // null: as the GOP before
      }
      if (this.lost.get(at) !== null) return this.lost.get(at);
    }
    return false;
  }

  /** The hash of a file that is as long as it was made. */
  async findHash() {
    const end = entryOf(await this.sample(this.frames - 1), END);
    const placed = async ({ first }) => placeOf(await this.sample(first)) === first;
    if (end && (await placed(this.gops[0])) && (await placed(this.gops.at(-1)))) this.baseHash = hex(end);
  }

  /** The contents of our OBUs in a sample: { entries: [type, bytes], damaged }. */
  async sample(number) {
    const { offset, size } = this.samples[number], { calls } = this, { core } = calls;
    let found;
    calls.with(await this.source.read(offset, size), (at, count) => {
      calls.checked(core._sample_read(at, count));
      found = calls.facts(core._sample_facts());
      found.entries = found.entries.map(([what, place]) => [what, calls.copy(place)]);
      return 0;
    });
    return found;
  }

  /** The first `count` frames of a GOP, read by libgvc: see `Reader.read`. Its `fit` is the one in force. */
  async parts(number, count) {
    const gop = this.gops[number], { calls } = this, { core } = calls;
    const data = await readTogether(this.source, this.samples.slice(gop.first, gop.first + count));
    return calls.gop(this.headerHandle, gop, (handle) => {
      calls.with(this.packed, (packed, bytes) => {
        for (const sample of data) calls.with(sample, (at, size) => core._gop_send_sample(handle, at, size, packed, bytes));
        return count < gop.frames ? 0 : core._gop_finish(handle);
      });
      return calls.read(handle);
    });
  }

  async firstUnit(number = 0) {
    const { units: [unit], problem } = await this.parts(number, 1);
    if (!unit) throw new Damaged(problem);
    return unit;
  }

  /** As `Stream.read`. */
  async read(number) {
    const gop = this.gops[number], tracks = await this.soundAt(number);
    const nothing = ({ message }) => ({ fit: null, hasTokens: false, paintedHash: "", problem: message, units: [] });
    const found = { ...(await this.parts(number, gop.frames).catch(nothing)), tracks };
    found.problem = problemOf(gop, found);
    if (await this.losesFit(number)) {
      Object.assign(found, NO_PAINTING, { paintedHash: "" });
      found.problem ||= `GOP at frame ${gop.first}: ${DAMAGED}; its base frames are shown`;
    }
    found.times = Float64Array.from({ length: gop.frames + 1 }, (_, n) => this.secondsOf(gop.first + n));
    return found;
  }

  secondsOf(frame) {
    const { seconds, duration } = this.samples[Math.min(frame, this.frames - 1)];
    return seconds + (frame === this.frames ? duration : 0) - this.samples[0].seconds;
  }

  /** As `Stream.fitOf`. */
  async fitOf(number) {
    const { fit, hasTokens, problem, newer: kind } = await this.parts(number, 1);
    if (problem) throw new Damaged(problem);
    if (kind) throw newer(kind);
    return (await this.losesFit(number)) ? NO_PAINTING : { fit, hasTokens };
  }

  /** `tracks` payloads with the sound of a GOP. */
  async soundAt(number) {
    if (!this.sound) return [];
    const { head, samples, track, tick, start } = this.sound, { first, frames } = this.gops[number];
    const from = number ? this.samples[first].seconds : -Infinity;
    const to = number + 1 < this.gops.length ? this.samples[first + frames].seconds : Infinity;
    const ticks = (seconds) => Math.round(seconds / tick), parts = number ? [] : [head];
    const heard = samples.filter(({ seconds }) => seconds >= from && seconds < to), data = await readTogether(this.source, heard);
    let end = 0;
    heard.forEach(({ seconds, duration }, n) => {
      const pts = ticks(seconds - this.samples[0].seconds + start), lasts = ticks(duration), hidden = Math.min(lasts, ticks(Math.max(0, -seconds)));
      parts.push(leb128((track << FORM_BITS) | HAS_DURATION | (hidden ? HAS_HIDDEN : 0)), signed(pts - end), leb128(lasts));
      if (hidden) parts.push(leb128(hidden), leb128(0));
      parts.push(leb128(data[n].length), data[n]);
      end = pts + lasts;
    });
    return [joined(parts)];
  }
}

const NOT_OURS = "this .mp4 holds nothing that gvcodec could paint; `gvcodec encode IN OUT.mp4` makes one that does";

const DAMAGED = "painting data are damaged";

/** Whether an entry shows that its writer repeats the weights in force, or sets them. */
const isStated = ([what, data]) => what === STATE || (what === PACKET && data[0] === FIT);

/** Frames from one keyframe to the next. */
function gopsOf(samples) {
  const starts = samples.flatMap(({ key }, n) => (key || !n ? n : []));
  return starts.map((first, n) => {
    const frames = (starts[n + 1] ?? samples.length) - first;
    return { first, frames, size: samples.slice(first, first + frames).reduce((sum, { size }) => sum + size, 0) };
  });
}

/** The bytes of each of some samples, from one place of the file. */
async function readTogether(source, samples) {
  const from = samples.reduce((least, { offset }) => Math.min(least, offset), Infinity);
  const to = samples.reduce((most, { offset, size }) => Math.max(most, offset + size), 0);
  if (to - from > MOST_GOP) throw new Damaged("too large for a page");
  const data = samples.length ? await source.read(from, to - from) : null;
  return samples.map(({ offset, size }) => {
    if (offset - from + size > data.length) throw new Damaged("file ends early");
    return data.subarray(offset - from, offset - from + size);
  });
}

/** Bytes of the first entry of a type in a sample, or undefined. */
const entryOf = ({ entries }, wanted) => entries.find(([what]) => what === wanted)?.[1];

function placeOf(sample) {
  const place = entryOf(sample, PLACE);
  return place ? new Cursor(place, "place").var(MOST_FRAME) : -1;
}

/** The first sound that the stream describes and its samples; null: none. */
function soundOf(sample, tracks, { header }) {
  const head = entryOf(sample, SOUND);
  const { samples } = tracks.find(({ kind }) => kind === "soun") ?? {};
  const described = head ? openTracks(head).tracks : [], track = described.findIndex(({ name }) => name);
  if (!samples || track < 0) return null;
  return { head, samples, track, tick: described[track].tick, start: (header.startPts * header.tick[0]) / header.tick[1] };
}

/** A number as `Cursor.svar` reads it. */
const signed = (value) => leb128(value < 0 ? -2 * value - 1 : 2 * value);
