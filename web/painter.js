// The painter in the page: its model, its condition, its fitted changes, and painting by the core (gpu.js has the other way).
//
// docs/spec/painter.md defines the computation; gvcodec/painter/model.py and payload.py are the formats.

import { Cursor, Damaged, newer } from "./bytes.js";
import { samplesIn, samplesOf, wordsOf } from "./core.js";
import { IntegerDecoder } from "./rans.js";
import { dimensionsOf, readTokens, readUnpainted, showBase } from "./region_tokens.js";
import { tensorsOf } from "./source.js";

const LAYERS = ["stem", "stem2", "statistics", "view", "style", "head"];
const PARTS = ["bias", "multiplier", "shift", "step"];
export const ENTRIES = 10, MISSING = 10;
const SLOTS = { av1: 1, gvc1d: 2, vvc: 3 };
/** Tensors that can be fitted, as payloads have them. */
const GROUPS = [
  ["head.bias", "style.bias"],
  ["head.weight"],
];
const DELTA = 16, STRENGTH = 4, TURNED = 8, TOKENS = 16, UNPAINTED = 64, KNOWN = 31 | UNPAINTED, ALL_NOISE = 64, GAIN_ROWS = [0, 1, 2], NOISE_ROWS = [6, 7, 8], KEEP_ROW = 14;
/** 1024 · 2^(k / 8), rounded; how many eighths of an octave a factor may have; most of a multiplier. */
const OCTAVE = [1024, 1117, 1218, 1328, 1448, 1579, 1722, 1878], FACTORS = [-40, 16], MOST_MULTIPLIER = 1023;
/** The dial as gvcodec/painter/look.py has it: its middle, and eighths of gains and noise at its end. */
const LOOK = { middle: 50, end: 100, gain: 4, noise: 8 };
const NEUTRAL = { noise: ALL_NOISE, keep: 0, factors: [0, 0, 0, 0, 0, 0] };
const RELEASE_0_7 = 1, LIMIT = 127, MOST_BIAS = 2 ** 28, MOST_STEP = 20, TABLES = 12, EMPTY = 255;
const NUMBERS = { I8: Int8Array, I16: Int16Array, I32: Int32Array };

/** Whether m of a payload's first byte is of this version. */
const isKnown = (m) => m >= 0 && !(m & ~KNOWN);

/** Whether a `fit` payload, or null, has tokens. */
export const hasTokens = (payload) => isKnown(payload?.[0] - DELTA) && Boolean((payload[0] - DELTA) & TOKENS);

/** Numbers of a painter's file, of a stream's condition and of `fit` packets. */
export class Model {
  constructor(data, header) {
    this.header = header;
    /** The viewer's painting strength, 0…100; null: the file's. */
    this.look = null;
    this.tensors = Object.fromEntries(Object.entries(tensorsOf(data)).map(([name, { dtype, shape, bytes }]) => {
      const kind = NUMBERS[dtype];
      return [name, { shape, values: kind ? Int32Array.from(new kind(bytes.slice().buffer)) : null }];
    }));
    /** Style offsets of a block from tokens; 0: this painter takes no tokens. */
    this.dimensions = dimensionsOf(this.tensors);
    this.blocks = Object.keys(this.tensors).filter((name) => /^blocks\.\d+\.condition$/.test(name)).length;
  }

  /** { outputs, inputs, side, weight, bias, multiplier, shift, step } of a layer, with `changes` from `unpack`. */
  layer(name, changes) {
    const scale = this.tensors[`${name}.multiplier`];
    if (!scale) throw new Error(`painter: the model has no layer ${name}`);
    const outputs = scale.values.length;
    const weight = this.tensors[`${name}.weight`] ?? { shape: [outputs, 1, 1, 1], values: new Int32Array(outputs) };
    const [bias, multiplier, shift, step] = PARTS.map((part) => this.tensors[`${name}.${part}`]?.values ?? new Int32Array(outputs).fill(MISSING));
    const layer = {
      outputs, inputs: weight.shape[1], side: weight.shape[2], multiplier, shift, step,
      weight: changed(weight.values, changes.get(`${name}.weight`), LIMIT),
      bias: changed(bias, changes.get(`${name}.bias`), MOST_BIAS),
    };
    return name === "head" && changes.strength ? strengthened(layer, changes.strength) : layer;
  }

  /** Changes by name, { values, step }, their `strength`, tokens as `steering`, as `readTokens` gives them, and `unpainted` regions; null: nothing is painted. Throws `Damaged`. */
  unpack(payload) {
    if (this.look === null) return this.read(payload);
    const changes = this.look ? (this.read(payload) ?? new Map()) : null;
    if (changes) changes.strength = { ...NEUTRAL, ...changes.strength, factors: factorsOf(this.look) };
    return changes;
  }

  read(payload) {
    if (!payload) return new Map();
    if (payload.length === 1 && payload[0] === 0) return null;
    if (!payload.length) throw new Damaged("fitted weights: no bytes");
    if (payload[0] === RELEASE_0_7) throw new Damaged("fitted weights are those of release 0.7.0, which paints them");
    const kind = payload[0] - DELTA;
    if (!isKnown(kind)) throw newer(`fitted weights of kind ${payload[0]}`);
    const changes = new Map(), read = new Cursor(payload.subarray(1), "fitted weights");
    if (kind & STRENGTH) {
      if (read.left < 2 || read.data[0] > ALL_NOISE) throw new Damaged("fitted weights: the strength is missing or out of range");
      changes.strength = { ...NEUTRAL, noise: read.uint(1), keep: read.uint(1) };
    }
    if (kind & TURNED) {
      if (read.left < NEUTRAL.factors.length) throw new Damaged("fitted weights: a factor is missing");
      const factors = Array.from(read.take(NEUTRAL.factors.length), (byte) => (byte << 24) >> 24);
      if (factors.some((factor) => factor < FACTORS[0] || factor > FACTORS[1])) throw new Damaged("fitted weights: a factor is out of range");
      changes.strength = { ...NEUTRAL, ...changes.strength, factors };
    }
    if (kind & TOKENS) changes.steering = readTokens(read.take(read.var()), this.tensors, this.header);
    if (kind & UNPAINTED) changes.unpainted = readUnpainted(read.take(read.var()), this.header);
    const names = GROUPS.filter((_, group) => (kind >> group) & 1).flat().filter((name) => name in this.tensors);
    const head = read.take(Math.min(names.length, read.left));
    if (head.length < names.length || head.some((byte) => byte !== EMPTY && byte >= (MOST_STEP + 1) * TABLES)) {
      throw new Damaged("fitted weights: a step is missing or out of range");
    }
    const coder = new IntegerDecoder(read.take(read.left));
    names.forEach((name, place) => {
      if (head[place] === EMPTY) return;
      const scale = 5 * (head[place] % TABLES) + 3;
      const values = Int32Array.from({ length: this.tensors[name].values.length }, () => coder.get(scale));
      if (values.some((value) => Math.abs(value) > LIMIT)) throw new Damaged("fitted weights: a value is out of range");
      changes.set(name, { values, step: Math.floor(head[place] / TABLES) });
    });
    if (!coder.finished()) throw new Damaged("fitted weights: values are missing or followed by other bytes");
    return changes;
  }
}

/** Paints by the core. `motion` of it serves other painters too. */
export class Painter {
  constructor(core, model, { width, height }) {
    this.core = core;
    this.model = model;
    this.samples = samplesOf(width, height);
    this.blocks = Math.ceil(width / 16) * Math.ceil(height / 16);
    this.handle = core._painter_open(width, height, core.threads);
    if (!this.handle) this.refuse();
    this.base = core._malloc(2 * this.samples);
    this.out = core._malloc(2 * this.samples);
  }

  /** A GOP begins; `fitted`: payload of the `fit` packet in force, or null. Throws `Damaged`. */
  startGop(fitted) {
    const { core, model } = this;
    const changes = model.unpack(fitted);
    this.identity = changes === null;
    this.forget();
    if (this.identity) return;
    this.unpainted = changes.unpainted ?? null;
    const numbers = [LAYERS.length, model.blocks, ENTRIES, ...condition(model.header)];
    const push = (name) => {
      const layer = model.layer(name, changes);
      numbers.push(layer.outputs, layer.inputs, layer.side);
      for (const part of ["weight", ...PARTS]) for (const value of layer[part]) numbers.push(value);
    };
    LAYERS.forEach(push);
    for (let block = 0; block < model.blocks; ++block) {
      for (const name of ["depthwise", "expand", "project"]) push(`blocks.${block}.${name}`);
      for (const value of model.tensors[`blocks.${block}.condition`].values) numbers.push(value);
    }
    if (changes.steering) {
      const { dimensions, rows, columns, levels } = changes.steering;
      numbers.push(dimensions, rows, columns);
      for (const values of [model.tensors["tokens.weight"].values, levels]) for (const value of values) numbers.push(value);
    }
    const data = core._malloc(4 * numbers.length);
    wordsOf(core).set(numbers, data / 4);
    const done = core._painter_start(this.handle, data, numbers.length);
    core._free(data);
    if (!done) this.refuse();
  }

  /** Painted planes of the next frame into `out`; `size`: bytes of its packet, 0 if packets are not in display order. */
  async paint(base, size, out) {
    if (this.identity) return out.set(base);
    const { core } = this;
    this.move(base);
    if (!core._painter_paint(this.handle, this.base, rate(size, this.model.header), this.out)) this.refuse();
    out.set(samplesIn(core, this.out, this.samples));
    showBase(this.unpainted, base, out, this.model.header);
  }

  /** As `paint`, but with the previous frame's detail, moved. */
  async carry(base, out) {
    if (this.identity) return out.set(base);
    const { core } = this;
    this.move(base);
    if (!core._painter_carry(this.handle, this.base, this.out)) this.refuse();
    out.set(samplesIn(core, this.out, this.samples));
    showBase(this.unpainted, base, out, this.model.header);
  }

  /** Vectors (dy, dx) of the blocks of the next frame against the one before, int16; null for the first one. */
  motion(base) {
    this.move(base);
    const at = this.core._painter_vectors(this.handle);
    return at ? samplesIn(this.core, at, 2 * this.blocks).slice() : null;
  }

  move(base) {
    samplesIn(this.core, this.base, this.samples).set(base);
    if (!this.core._painter_move(this.handle, this.base)) this.refuse();
  }

  forget() {
    this.core._painter_forget(this.handle);
  }

  refuse() {
    throw new Error(`painter: ${this.core.UTF8ToString(this.core._painter_error())}`);
  }

  close() {
    this.core._painter_close(this.handle);
    this.core._free(this.base);
    this.core._free(this.out);
  }
}

function changed(values, change, limit) {
  if (!change) return values;
  return values.map((value, place) => Math.max(-limit, Math.min(limit, value + change.values[place] * 2 ** change.step)));
}

/** Factors at a place of the dial, 1…100. */
function factorsOf(look) {
  const { middle, end, gain, noise } = LOOK;
  if (look > middle) {
    const rises = (most) => Math.floor((most * (look - middle) + (end - middle) / 2) / (end - middle));
    return [gain, gain, gain, noise, noise, noise].map(rises);
  }
  let eighths = 0;
  while (eighths > FACTORS[0] && middle * OCTAVE[eighths & 7] > look * 1024 * 2 ** -(eighths >> 3)) --eighths;
  return NEUTRAL.factors.map(() => eighths);
}

/** Multiplier and shift of an output that becomes 2^(eighths / 8) times as large. */
function scaled(multiplier, shift, eighths) {
  const product = multiplier * OCTAVE[eighths & 7];
  let bits = 10 - (eighths >> 3), found = (product + (1 << (bits - 1))) >> bits;
  for (; found > MOST_MULTIPLIER && shift > 1; --shift) {
    ++bits;
    found = (product + (1 << (bits - 1))) >> bits;
  }
  return [Math.min(found, MOST_MULTIPLIER), shift];
}

/** The head with this strength of noise (64ths), additional weight of previous detail, and factors of gains and noise. */
function strengthened(layer, { noise, keep, factors }) {
  const multiplier = layer.multiplier.slice(), bias = layer.bias.slice(), shift = layer.shift.slice();
  for (const row of NOISE_ROWS) multiplier[row] = (multiplier[row] * noise + 32) >> 6;
  if (multiplier[KEEP_ROW]) bias[KEEP_ROW] = Math.min(bias[KEEP_ROW] + Math.floor((keep * 2 ** layer.shift[KEEP_ROW]) / multiplier[KEEP_ROW]), MOST_BIAS);
  [...GAIN_ROWS, ...NOISE_ROWS].forEach((row, n) => {
    if (factors[n]) [multiplier[row], shift[row]] = scaled(multiplier[row], shift[row], factors[n]);
  });
  return { ...layer, multiplier, bias, shift };
}

/** What a stream is, in 1/256; the last entry is each frame's own. */
export function condition({ base, scale, q }) {
  const entries = new Array(ENTRIES).fill(0);
  entries[0] = Math.floor((256 * q + 31) / 63);
  entries[1] = Math.floor((256 * q * q + 1984) / 3969);
  entries[2 + SLOTS[base]] = 256;
  entries[6 + { 1: 0, 0.75: 1, 0.5: 2 }[scale]] = 256;
  return entries;
}

export function rate(size, { width, height }) {
  if (!size) return 0;
  const value = 8 + Math.min(Math.floor((size * 65536) / (width * height)), 1 << 20);
  const place = 31 - Math.clz32(value);
  return 8 * (8 * place + ((value >> (place - 3)) & 7)) - 432;
}
