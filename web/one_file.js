// A stream in an .mp4 file that plays everywhere: frames are samples of its AV1 track, the rest is in metadata OBUs
// (gvcodec/bitstream/metadata_obu.py specifies them). It is used as a `Stream` is.

import { obusOf, payloadOf } from "./av1.js";
import { Cursor, Damaged, crc32, hex, joined, leb128, newer } from "./bytes.js";
import { EXTENDED, FIT, PAINTED, parseHeader } from "./container.js";
import { readTracks } from "./mp4.js";
import { openTracks } from "./tracks.js";

const DELIMITER = 2, METADATA = 5, PADDING = 15, OURS = [22, 0x89, 0x47, 0x56, 0x43], VERSION = 1, TRAILING = 0x80;
const HEADER = 0, PLACE = 1, PACKET = 2, TRAILER = 3, STATE = 4, GOP = 6, END = 7, SOUND = 8, SKIPPED = 64;
const MOST_ENTRIES = 1 << 12, MOST_GOP = 1 << 28, MOST_FRAME = 2 ** 40;
const HAS_DURATION = 1, HAS_HIDDEN = 2, FORM_BITS = 3;

export class OneFile {
  static async open(source) {
    const file = new OneFile();
    const tracks = await readTracks(source);
    const video = tracks.find(({ codec }) => codec === "av01");
    Object.assign(file, { source, samples: video?.samples ?? [], problem: "", baseHash: "" });
    if (!file.samples.length) throw new Damaged(NOT_OURS);
    file.gops = gopsOf(file.samples);
    file.frames = file.samples.length;
    const first = await file.unit(0);
    const packed = first.entries.find(({ what }) => what === HEADER)?.data;
    if (!packed) throw new Damaged(first.damage || NOT_OURS);
    file.packed = hex(packed);
    file.header = parseHeader(packed);
    file.sound = soundOf(first, tracks, file);
    await file.findHash();
    return file;
  }

  /** The hash of a file that is as long as it was made. */
  async findHash() {
    const last = await this.unit(this.frames - 1), end = last.entries.find(({ what }) => what === END);
    const placed = async ({ first }) => placeOf(await this.unit(first)) === first;
    if (end && (await placed(this.gops[0])) && (await placed(this.gops.at(-1)))) this.baseHash = hex(end.data);
  }

  /** Sample `number`, taken apart. */
  async unit(number) {
    const { offset, size } = this.samples[number];
    return takeApart(await this.source.read(offset, size));
  }

  async firstUnit(number = 0) {
    const { payload } = await this.unit(this.gops[number].first);
    return { key: true, payload, size: payload.length };
  }

  /** As `Stream.read`. */
  async read(number) {
    const { first, frames } = this.gops[number], samples = this.samples.slice(first, first + frames);
    const found = { tracks: await this.soundAt(number), paintedHash: "", units: [], problem: "" };
    try {
      const data = await readTogether(this.source, samples);
      let crc = 0;
      samples.forEach(({ key }, n) => {
        const { payload, entries, damage } = takeApart(data[n]);
        if (key && (damage || hex(entries.find(({ what }) => what === HEADER)?.data ?? []) !== this.packed)) {
          throw new Damaged(damage || "another stream begins here");
        }
        crc = crc32(payload, crc);
        for (const { what, data: value } of entries) {
          if (what === GOP && !closes(value, frames, crc)) throw new Damaged("checksum differs");
          if ((what === PACKET || what === TRAILER) && value[0] + EXTENDED === PAINTED) found.paintedHash = hex(value.subarray(1));
        }
        found.units.push({ key, payload, size: payload.length });
      });
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      found.problem = `GOP at frame ${first}: ${error.message}; ${found.units.length} of its ${frames} frames are shown`;
    }
    found.times = Float64Array.from({ length: frames + 1 }, (_, n) => this.secondsOf(first + n));
    return found;
  }

  secondsOf(frame) {
    const { seconds, duration } = this.samples[Math.min(frame, this.frames - 1)];
    return seconds + (frame === this.frames ? duration : 0) - this.samples[0].seconds;
  }

  /** The `fit` payload in force in GOP `number`, or null. Throws `Damaged`. */
  async fitOf(number) {
    const { entries, damage } = await this.unit(this.gops[number].first);
    if (damage) throw new Damaged(damage);
    const packet = entries.findLast(({ what, data }) => (what === PACKET || what === STATE) && data[0] + EXTENDED === FIT);
    return packet?.data.subarray(1) ?? null;
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

/** A temporal unit: { payload of a packet, entries of our OBUs, damage of these }. */
function takeApart(unit) {
  const entries = [], kept = [];
  let damage = "";
  for (const obu of obusOf(unit)) {
    const ours = obu.type === METADATA && OURS.every((byte, n) => obu.body[n] === byte);
    if (!ours) {
      if (obu.type !== DELIMITER && obu.type !== PADDING) kept.push(obu);
      continue;
    }
    try {
      entries.push(...entriesOf(obu.body.subarray(1)));
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      damage ||= error.message;
    }
  }
  if (!kept.length) throw new Damaged("empty packet");
  return { payload: payloadOf(kept), entries, damage };
}

function entriesOf(body) {
  const sealed = body.subarray(0, body.findLastIndex((byte) => byte) + 1), magic = OURS.length - 1;
  if (sealed.length < magic + 6 || sealed.at(-1) !== TRAILING) throw new Damaged("painting data end early");
  const inside = sealed.subarray(0, -5), cursor = new Cursor(inside.subarray(magic), "painting data");
  if (new Cursor(sealed.subarray(-5), "painting data").uint(4) !== crc32(inside)) throw new Damaged("painting data are damaged");
  if (cursor.uint(1) !== VERSION) throw new Damaged("painting data are of another version");
  const entries = [];
  while (cursor.left) {
    const what = cursor.uint(1);
    if (what > SOUND && what < SKIPPED) throw newer(`entries of kind ${what}`);
    entries.push({ what, data: cursor.take(cursor.var()) });
    if (entries.length > MOST_ENTRIES) throw new Damaged("painting data have too many entries");
  }
  return entries;
}

function placeOf({ entries }) {
  const place = entries.find(({ what }) => what === PLACE);
  return place ? new Cursor(place.data, "place").var(MOST_FRAME) : -1;
}

function closes(data, frames, crc) {
  const cursor = new Cursor(data, "painting data");
  return cursor.var(MOST_FRAME) === frames && cursor.uint(4) === crc;
}

/** The first sound that the stream describes and its samples; null: none. */
function soundOf({ entries }, tracks, { header }) {
  const head = entries.find(({ what }) => what === SOUND)?.data;
  const { samples } = tracks.find(({ kind }) => kind === "soun") ?? {};
  const described = head ? openTracks(head).tracks : [], track = described.findIndex(({ name }) => name);
  if (!samples || track < 0) return null;
  return { head, samples, track, tick: described[track].tick, start: (header.startPts * header.tick[0]) / header.tick[1] };
}

/** A number as `Cursor.svar` reads it. */
const signed = (value) => leb128(value < 0 ? -2 * value - 1 : 2 * value);
