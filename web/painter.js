// The integer painter in the page: its model, its condition and its tuned changes; painting is the core's.
//
// What is computed is defined in gvcodec/appearance/integer.py, integer_model.py and payload.py.

import { Damaged } from "./bytes.js";
import { tensorsOf } from "./source.js";
import { WeightDecoder } from "./weights.js";

const LAYERS = ["stem", "stem2", "statistics", "view", "style", "head", "gate", "enter", "middle", "leave"];
const PARTS = ["bias", "multiplier", "shift", "step"];
const ENTRIES = 10, MISSING = 10;
const SLOTS = { klt: 0, av1: 1, hevc: 2, vvc: 3, tokens: 1 };
/** Tensors that can be tuned, as payloads have them. */
const GROUPS = [
  ["head.bias", "gate.bias", "style.bias", "leave.bias", "middle.bias", "enter.bias"],
  ["head.weight"],
  ["gate.weight", "leave.weight"],
  ["style.weight"],
];
const LIMIT = 127, MOST_BIAS = 2 ** 28, MOST_STEP = 20, EMPTY = 255;
const NUMBERS = { I8: Int8Array, I16: Int16Array, I32: Int32Array };

/** Whether a model file holds an integer painter. */
export function isIntegerPainter(data) {
  return "stem.multiplier" in tensorsOf(data);
}

export class Painter {
  constructor(core, model, header) {
    this.core = core;
    this.header = header;
    this.tensors = Object.fromEntries(Object.entries(tensorsOf(model)).map(([name, { dtype, shape, bytes }]) => {
      const kind = NUMBERS[dtype];
      return [name, { shape, values: kind ? Int32Array.from(new kind(bytes.slice().buffer)) : null }];
    }));
    this.handle = core._painter_open(header.width, header.height);
    if (!this.handle) throw new Error(`painter: ${core.UTF8ToString(core._painter_error())}`);
    this.samples = header.width * header.height + 2 * Math.ceil(header.width / 2) * Math.ceil(header.height / 2);
    this.loop = core._malloc(2 * this.samples);
    this.out = core._malloc(2 * this.samples);
  }

  /** A GOP begins; `tuned`: payload of the `tune` packet in force, or null. Throws `Damaged`. */
  startGop(tuned) {
    const changes = tuned ? this.unpack(tuned) : new Map();
    this.identity = changes === null;
    if (this.identity) return;
    const blocks = Object.keys(this.tensors).filter((name) => /^blocks\.\d+\.condition$/.test(name)).length;
    const numbers = [blocks, ENTRIES, ...condition(this.header)];
    for (const name of LAYERS) this.push(numbers, name, changes);
    for (let block = 0; block < blocks; ++block) {
      for (const name of ["depthwise", "expand", "project"]) this.push(numbers, `blocks.${block}.${name}`, changes);
      for (const value of this.tensors[`blocks.${block}.condition`].values) numbers.push(value);
    }
    const { core } = this;
    const data = core._malloc(4 * numbers.length);
    core.HEAPU32.set(numbers, data / 4);
    const done = core._painter_start(this.handle, data, numbers.length);
    core._free(data);
    if (!done) throw new Error(`painter: ${core.UTF8ToString(core._painter_error())}`);
  }

  /** Painted planes of the next frame into `out`; `size`: bytes of its packet, 0 where these come in another order. */
  paint(loop, size, out) {
    if (this.identity) return out.set(loop);
    const { core } = this;
    core.HEAPU16.set(loop, this.loop / 2);
    if (!core._painter_paint(this.handle, this.loop, rate(size, this.header), this.out)) {
      throw new Error(`painter: ${core.UTF8ToString(core._painter_error())}`);
    }
    out.set(core.HEAPU16.subarray(this.out / 2, this.out / 2 + this.samples));
  }

  push(numbers, name, changes) {
    const scale = this.tensors[`${name}.multiplier`];
    if (!scale) throw new Error(`painter: the model has no layer ${name}`);
    const count = scale.values.length;
    const weight = this.tensors[`${name}.weight`] ?? { shape: [count, 1, 1, 1], values: new Int32Array(count) };
    numbers.push(count, weight.shape[1], weight.shape[2]);
    for (const value of changed(weight.values, changes.get(`${name}.weight`), LIMIT)) numbers.push(value);
    for (const part of PARTS) {
      const values = this.tensors[`${name}.${part}`]?.values ?? new Int32Array(count).fill(MISSING);
      for (const value of part === "bias" ? changed(values, changes.get(`${name}.bias`), MOST_BIAS) : values) numbers.push(value);
    }
  }

  /** Changes by name, { values, step }; null: nothing is painted. */
  unpack(payload) {
    if (payload.length === 1 && payload[0] === 0) return null;
    if (payload.length < 2 || payload[0] !== 1 || payload[1] >> GROUPS.length) throw new Damaged("tuned weights: unknown kind or group");
    const names = GROUPS.filter((_, group) => (payload[1] >> group) & 1).flat();
    const steps = payload.subarray(2, 2 + names.length);
    if (steps.length < names.length || steps.some((step) => step !== EMPTY && step > MOST_STEP)) {
      throw new Damaged("tuned weights: a step is missing or out of range");
    }
    const coder = new WeightDecoder(payload.subarray(2 + names.length));
    const changes = new Map();
    names.forEach((name, place) => {
      if (steps[place] === EMPTY) return;
      const values = Int32Array.from({ length: this.tensors[name].values.length }, () => coder.get(changes.size));
      if (values.some((value) => Math.abs(value) > LIMIT)) throw new Damaged("tuned weights: a value is out of range");
      changes.set(name, { values, step: steps[place] });
    });
    coder.finish();
    return changes;
  }

  close() {
    this.core._painter_close(this.handle);
    this.core._free(this.loop);
    this.core._free(this.out);
  }
}

function changed(values, change, limit) {
  if (!change) return values;
  return values.map((value, place) => Math.max(-limit, Math.min(limit, value + change.values[place] * 2 ** change.step)));
}

/** What a stream is, in 1/256; the last entry is each frame's own. */
function condition({ base, scale, q }) {
  const entries = new Array(ENTRIES).fill(0);
  entries[0] = Math.floor((256 * q + 31) / 63);
  entries[1] = Math.floor((256 * q * q + 1984) / 3969);
  entries[2 + SLOTS[base]] = 256;
  entries[6 + { 1: 0, 0.75: 1, 0.5: 2 }[scale]] = 256;
  return entries;
}

function rate(size, { width, height }) {
  if (!size) return 0;
  const value = 8 + Math.min(Math.floor((size * 65536) / (width * height)), 1 << 20);
  const place = 31 - Math.clz32(value);
  return 8 * (8 * place + ((value >> (place - 3)) & 7)) - 432;
}
