// Packets of sound in `tracks` packets, and their codecs: gvcodec/tracks/packets.py.

import { Cursor, Damaged } from "./bytes.js";

const MOST_TRACKS = 64, MOST_RATIO = 2 ** 31, MOST_HEAD = 1 << 20, MOST_FLAGS = 0x303ff, MOST_TEXT = 256;
const HAS_DURATION = 1, HAS_HIDDEN = 2, NO_KEYFRAME = 4, FORM_BITS = 3;
const EBML = 0x1a45dfa3, SEGMENT = 0x18538067, TRACKS = 0x1654ae6b, ENTRY = 0xae;
const KIND = 0x83, CODEC = 0x86, PRIVATE = 0x63a2, AUDIO = 0xe1, RATE = 0xb5, CHANNELS = 0x9f, BITS = 0x6264, SOUND = 2;

/** { tracks: of each its tick in seconds and, where it is sound, `config` for a decoder or the `codec` that has none; packets } */
export function openTracks(payload) {
  const cursor = new Cursor(payload, "tracks");
  const count = cursor.var(MOST_TRACKS);
  const tracks = Array.from({ length: count }, () => {
    const [up, down] = [cursor.var(MOST_RATIO), cursor.var(MOST_RATIO)];
    if (!up || !down) throw new Damaged("tracks: time base of 0");
    const flags = cursor.var(MOST_FLAGS);
    const [language, title] = [0, 0].map(() => new TextDecoder().decode(cursor.take(cursor.var(MOST_TEXT))));
    return { tick: up / down, flags, language, title, ...soundOfHead(cursor.take(cursor.var(MOST_HEAD))) };
  });
  return { tracks, packets: packetsFrom(cursor, count) };
}

/** { track, pts, duration, hidden: [at the start, at the end] (ticks), key, data } of another payload. */
export const packetsOf = (payload, count) => packetsFrom(new Cursor(payload, "tracks"), count);

function packetsFrom(cursor, count) {
  const packets = [], ends = new Array(count).fill(0), durations = new Array(count).fill(0);
  while (cursor.left) {
    const word = cursor.var(2 ** FORM_BITS * (count + 1) - 1), track = word >> FORM_BITS;
    if (track === count) {
      ends.fill(0);
      durations.fill(0);
      continue;
    }
    const pts = ends[track] + cursor.svar();
    if (word & HAS_DURATION) durations[track] = cursor.var();
    const duration = durations[track], hidden = word & HAS_HIDDEN ? [cursor.var(), cursor.var()] : [0, 0];
    ends[track] = pts + duration;
    packets.push({ track, pts, duration, hidden, key: !(word & NO_KEYFRAME), data: cursor.take(cursor.var()) });
  }
  return packets;
}

/** Entry of `openTracks` for a Matroska head; for an MP4 head (codecs that Matroska lacks) only the name of the codec. */
function soundOfHead(head) {
  const cursor = new Cursor(head, "tracks: codec parameters");
  if (head.length < 4 || new DataView(head.buffer, head.byteOffset).getUint32(0) !== EBML) {
    const text = String.fromCharCode(...head.subarray(0, 4096)), entry = text.indexOf("stsd") + 16;
    return text.includes("soun") ? { name: text.slice(entry, entry + 4) } : {};
  }
  const found = [];
  each(cursor, (id, body) => {
    if (id === SEGMENT) each(body, (inner, list) => inner === TRACKS && each(list, (entry, track) => entry === ENTRY && found.push(soundOf(track))));
  });
  if (found.length !== 1) throw new Damaged("tracks: codec parameters of another number of tracks");
  return found[0];
}

function soundOf(track) {
  const facts = {};
  const fields = (id, body) => (id === AUDIO ? each(body, fields) : (facts[id] = body.data));
  each(track, fields);
  const whole = (id) => (facts[id] ?? []).reduce((value, byte) => value * 256 + byte, 0);
  if (whole(KIND) !== SOUND) return {};
  const rate = facts[RATE] ?? new Uint8Array();
  const view = new DataView(rate.buffer, rate.byteOffset, rate.length);
  const sampleRate = rate.length === 4 ? view.getFloat32(0) : rate.length === 8 ? view.getFloat64(0) : 8000;
  const named = new TextDecoder().decode(facts[CODEC]), description = facts[PRIVATE]?.slice();
  const codec = codecOf(named, description, whole(BITS));
  const config = codec && { codec, sampleRate, numberOfChannels: whole(CHANNELS) || 1, ...(description ? { description } : {}) };
  return { name: named.replace(/^A_/, ""), config };
}

/** WebCodecs' name of the codec; "" without one. */
function codecOf(named, description, bits) {
  const names = { A_OPUS: "opus", "A_MPEG/L3": "mp3", A_FLAC: "flac", A_VORBIS: "vorbis" };
  if (named === "A_AAC") return `mp4a.40.${(description?.[0] ?? 16) >> 3}`;
  const [, pcm, order] = named.match(/^A_PCM\/(INT|FLOAT)\/(LIT|BIG|IEEE)$/) ?? [];
  const sample = pcm && { INT8: "u8", INT16: "s16", INT24: "s24", INT32: "s32", FLOAT32: "f32", FLOAT64: "f64" }[pcm + bits];
  if (pcm) return sample ? `pcm-${sample}${order === "BIG" && bits > 8 ? "be" : ""}` : "";
  return names[named] ?? "";
}

/** Calls with the id and the body (a cursor) of each element. A segment may go on without end. */
function each(cursor, visit) {
  while (cursor.left) {
    const id = number(cursor, true), length = cursor.at, size = number(cursor, false);
    const endless = size === 2 ** (7 * (cursor.at - length)) - 1;
    visit(id, new Cursor(cursor.take(endless ? cursor.left : size), cursor.what));
  }
}

/** An EBML number; `marked`: with its marker bit, as ids are. */
function number(cursor, marked) {
  const first = cursor.uint(1), more = Math.clz32(first) - 24;
  if (more > 7) throw new Damaged("tracks: codec parameters cannot be read");
  const rest = cursor.take(more);
  return rest.reduce((value, byte) => value * 256 + byte, marked ? first : first & (0x7f >> more));
}
