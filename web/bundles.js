// Frames of base av1 in bundles: the decoder of gvcodec/bitstream/bundles.py (format) and csrc/entropy/bundles.hpp (model).

import { Cursor, Damaged, joined, leb128 } from "./bytes.js";
import { SAMPLE } from "./bundles_sample.js";

const MOST_FRAMES = 32, MOST_OBUS = 96, HEAD = 20;
const RAW = 255, LAST = 16, LONG = 255, BODY = 5, SIZE_FLAG = 2, NEW_GOP = 255;
const SLOTS = 1 << 16, MASK = SLOTS - 1, NODE = 0x9e35, MIX = 0x9e3779b1;
const CONTEXTS = 5, LIMIT = 30, EVEN = 1 << 20, WEIGHT = 22938, ROWS = 9, RATE = 10, FAR = 2047;
const STEPS = Array.from({ length: LIMIT + 1 }, (_, n) => Math.floor(131072 / (2 * n + 3)));
const TRUST = Array.from({ length: LIMIT + 1 }, (_, n) => Math.floor((1280 * n) / (5 * n + 3)));
const SQUASH = [
  1, 2, 3, 6, 10, 16, 27, 45, 73, 120, 194, 310, 488, 747, 1101, 1546, 2047, 2549, 2994, 3348,
  3607, 3785, 3901, 3975, 4022, 4050, 4068, 4079, 4085, 4089, 4092, 4093, 4094,
];

function squash(logit) {
  const at = (logit >> 7) + 16, rest = logit & 127;
  return (SQUASH[at] * (128 - rest) + SQUASH[at + 1] * rest + 64) >> 7;
}

const PROBABILITY = Array.from({ length: 2 * FAR + 1 }, (_, n) => squash(n - FAR));
const LOGIT = new Int32Array(4096).fill(FAR);
for (let logit = FAR; logit >= -FAR; --logit) LOGIT.fill(logit, 0, squash(logit) + 1);

/** An interval of 32 bits; bytes after the end are zero. */
class Decoder {
  constructor(data) {
    this.data = data;
    this.low = 0;
    this.high = 0xffffffff;
    this.value = 0;
    for (this.at = 0; this.at < 4; ++this.at) this.value = this.value * 256 + (data[this.at] ?? 0);
  }

  code(one) {
    const middle = this.low + Math.floor((this.high - this.low) / 4096) * one;
    const bit = this.value <= middle ? 1 : 0;
    if (bit) this.high = middle;
    else this.low = middle + 1;
    while ((this.low ^ this.high) >>> 24 === 0) {
      this.low = (this.low << 8) >>> 0;
      this.high = ((this.high << 8) | 255) >>> 0;
      this.value = ((this.value << 8) | (this.data[this.at++] ?? 0)) >>> 0;
    }
    return bit;
  }
}

const LEARNS = { code: (one, bit) => bit };

class Model {
  constructor() {
    this.counters = new Uint32Array(CONTEXTS * SLOTS).fill(EVEN);
    this.weights = Array.from({ length: ROWS }, () => Array(CONTEXTS).fill(WEIGHT));
    this.coder = LEARNS;
    this.beginGop();
  }

  beginGop() {
    this.frame = 0;
    this.byPlace = new Map();
    this.byKind = new Map();
  }

  copy() {
    const other = Object.create(Model.prototype);
    other.counters = this.counters.slice();
    other.weights = this.weights.map((row) => row.slice());
    other.beginGop();
    return other;
  }

  /** Eight bits; `value` is for the sample only. */
  symbol(at, hashes, value) {
    const { counters } = this, weights = this.weights[Math.min(at, ROWS - 1)];
    const slots = Array(CONTEXTS), logits = Array(CONTEXTS);
    let node = 1;
    for (let shift = 7; shift >= 0; --shift) {
      let sum = 0;
      for (let n = 0; n < CONTEXTS; ++n) {
        slots[n] = ((hashes[n] ^ (node * NODE)) & MASK) + n * SLOTS;
        const counter = counters[slots[n]];
        logits[n] = (LOGIT[counter >>> 9] * TRUST[counter & 31]) >> 8;
        sum += weights[n] * logits[n];
      }
      const one = PROBABILITY[Math.max(-FAR, Math.min(FAR, Math.floor(sum / 65536))) + FAR];
      const bit = this.coder.code(one, (value >> shift) & 1), error = (bit << 12) - one;
      for (let n = 0; n < CONTEXTS; ++n) {
        weights[n] += (logits[n] * error) >> RATE;
        const used = counters[slots[n]] & 31, chance = counters[slots[n]] >>> 5;
        const moved = chance + Math.floor((((bit ? 65535 : 0) - chance) * STEPS[used]) / 65536);
        counters[slots[n]] = moved * 32 + Math.min(LIMIT, used + 1);
      }
      node = (node << 1) | bit;
    }
    return node & 255;
  }

  /** Symbols of the next OBU, the `place`-th of its frame: `given` ones, or decoded ones. */
  obu(place, given) {
    const own = (this.frame & 1) * 256 + place, seen = [];
    let before = this.byPlace.get(own) ?? [];
    this.next(seen, given, place, 0, before);
    this.next(seen, given, place, 1, before);
    if (seen[1] === LONG) for (let at = 2; at < BODY; ++at) this.next(seen, given, place, at, []);
    const first = seen.length, head = seen[0] === RAW ? 0 : Math.min(sizeOf(seen), HEAD);
    const kind = () => (seen[0] & 15) * 256 + (seen[first] >> 1);
    for (let n = 0; n < head; ++n) {
      if (n === 1) before = this.byKind.get(kind()) ?? [];
      this.next(seen, given, place, BODY + n, before);
    }
    const known = [seen[0], seen[1], 0, 0, 0, ...seen.slice(first)];
    this.byPlace.set(own, known);
    if (head) this.byKind.set(kind(), known);
    return seen;
  }

  next(seen, given, place, at, before) {
    const body = at > BODY ? seen.slice(seen[1] === LONG ? BODY : 2) : [0];
    const period = this.frame ? ((this.frame - 1) % 32) + 1 : 0;
    const size = at >= BODY ? Math.min(seen[1], 40) >> 2 : 0;
    const hashes = [
      seen.at(-1) ?? 0,
      (period * 64) | place,
      before[at] ?? 256,
      body[0] * 16 + size,
      body[0] * 65536 + (body[1] ?? 0) * 256 + (body[3] ?? 0),
    ].map((context) => {
      const value = Math.imul(context * 32 + at, MIX) >>> 0;
      return (value >>> 17) ^ ((value >>> 3) & MASK);
    });
    seen.push(this.symbol(at, hashes, given ? given[seen.length] : 0));
  }
}

const sizeOf = (symbols) => (symbols[1] < LONG ? symbols[1] : symbols[2] | (symbols[3] << 8) | (symbols[4] << 16));

let primed = null;

/** The model that each GOP begins with. */
function prime() {
  if (primed) return primed;
  primed = new Model();
  const data = Uint8Array.from(atob(SAMPLE), (letter) => letter.charCodeAt(0));
  for (const cursor = new Cursor(data, "sample"); cursor.left; ) {
    const place = cursor.uint(1), count = cursor.uint(1);
    if (place === NEW_GOP) {
      primed.beginGop();
      continue;
    }
    const symbols = cursor.take(count);
    primed.obu(place, symbols);
    primed.frame += (symbols[0] >> 4) & 1;
  }
  return primed;
}

/** Frames of a bundle, without decoding it. Throws `Damaged`. */
export function framesIn(bundle) {
  if (!bundle.length || bundle[0] >= MOST_FRAMES) throw new Damaged("bundle: number of frames");
  return bundle[0] + 1;
}

export class Unbundler {
  /** Payloads of the frames of a bundle; `key`: it begins a GOP. Throws `Damaged`. */
  send(bundle, key) {
    const count = framesIn(bundle), cursor = new Cursor(bundle, "bundle");
    cursor.uint(1);
    if (key) this.model = prime().copy();
    if (!this.model) throw new Damaged("bundle: follows no keyframe");
    this.model.coder = new Decoder(cursor.take(cursor.var()));
    const frames = [];
    for (let left = MOST_OBUS; frames.length < count; ++this.model.frame) {
      const frame = [];
      do {
        if (!left--) throw new Damaged("bundle: too many OBUs");
        frame.push(this.model.obu(frame.length, null));
      } while (!(frame.at(-1)[0] & LAST));
      frames.push(frame);
    }
    const payloads = frames.map((frame) => joined(frame.map((symbols) => restore(symbols, cursor))));
    if (cursor.left || payloads.some((payload) => !payload.length)) throw new Damaged("bundle: its sizes do not add up");
    return payloads;
  }
}

function restore(symbols, tails) {
  const head = Uint8Array.from(symbols.slice(symbols[1] === LONG ? BODY : 2)), size = sizeOf(symbols);
  const body = joined([head, tails.take(size - head.length)]);
  if (symbols[0] === RAW) return body;
  const type = (symbols[0] & 15) << 3;
  if (symbols[0] & LAST) return joined([Uint8Array.of(type), body]);
  return joined([Uint8Array.of(type | SIZE_FLAG), leb128(size), body]);
}
