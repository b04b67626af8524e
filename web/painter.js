// The painter in the page, by libgvc and the core as WebAssembly (core/painter.cpp); gpu.js has the other way of painting.

import { Calls } from "./calls.js";
import { numbersIn, samplesIn, samplesOf } from "./core.js";

const LAYERS = ["stem", "stem2", "statistics", "view", "style", "head"], OF_BLOCK = ["depthwise", "expand", "project"];
const PARTS = ["bias", "multiplier", "shift", "step"];
/** As headers have them. */
const BASES = { av1: 1, vvc: 3, gvc1d: 7 }, SCALES = [1, 0.75, 0.5];

/** A painter's file for the streams of a page. Throws `Damaged`. */
export class Model {
  constructor(core, file, header) {
    this.calls = new Calls(core);
    this.header = header;
    /** The viewer's painting strength, 0…100; null: the file's. */
    this.look = null;
    this.calls.with(new Uint8Array(file), (at, size) => (this.handle = this.calls.opened(core._model_open(at, size))) && 0);
    /** Style offsets of a block from tokens; 0: this painter takes no tokens. */
    this.dimensions = core._model_dimensions(this.handle);
  }

  /** Tokens of a `fit` payload: { dimensions, rows, columns, levels } of regions, int8 by (dimension, row, column); `count` tokens in `bytes`, `kinds` (0…3) of
   * each window, in rows. Null: none. Throws `Damaged`. */
  tokens(fit) {
    const { calls, header } = this, { core } = calls;
    const has = fit && calls.with(fit, (at, size) => core._model_tokens(this.handle, at, size, header.width, header.height, header.q));
    if (!has) return null;
    const { levels, ...facts } = calls.facts(core._model_facts());
    return { ...facts, levels: new Int8Array(calls.copy(levels).buffer) };
  }
}

/** Paints by the core. `motion` of it serves other painters too. */
export class Painter {
  constructor(core, model, { width, height, base, scale, q }) {
    Object.assign(this, { core, model, calls: model.calls, samples: samplesOf(width, height) });
    this.blocks = Math.ceil(width / 16) * Math.ceil(height / 16);
    this.handle = this.calls.opened(core._painter_open(model.handle, width, height, BASES[base], SCALES.indexOf(scale), q, core.threads));
    this.base = core._malloc(2 * this.samples);
    this.out = core._malloc(2 * this.samples);
  }

  /** A GOP begins; `fitted`: payload of the `fit` packet in force, or null; `here`: this painter paints its frames. Throws `Damaged`. */
  startGop(fitted, here = true, look = this.model.look ?? -1) {
    const { calls, core } = this, start = (at, size) => core._painter_start(this.handle, at, size, look, here);
    this.identity = !(fitted ? calls.with(fitted, start) : calls.checked(start(0, 0)));
  }

  /** Painted planes of the next frame into `out`; `bytes` of its payload, 0 if packets are not in display order. */
  async paint(base, bytes, out) {
    if (this.identity) return out.set(base);
    this.move(base);
    this.calls.checked(this.core._painter_paint(this.handle, this.base, bytes, this.out));
    out.set(samplesIn(this.core, this.out, this.samples));
  }

  /** As `paint`, but with the previous frame's detail, moved. */
  async carry(base, out) {
    if (this.identity) return out.set(base);
    this.move(base);
    this.calls.checked(this.core._painter_carry(this.handle, this.base, this.out));
    out.set(samplesIn(this.core, this.out, this.samples));
  }

  /** Vectors (dy, dx) of the blocks of the next frame against the one before, int16; null for the first one. */
  motion(base) {
    this.move(base);
    const at = this.core._painter_vectors(this.handle);
    return at ? samplesIn(this.core, at, 2 * this.blocks).slice() : null;
  }

  move(base) {
    samplesIn(this.core, this.base, this.samples).set(base);
    this.calls.checked(this.core._painter_move(this.handle, this.base));
  }

  /** Whether regions of this GOP show base frames. */
  get hides() {
    return this.core._painter_hides(this.handle) !== 0;
  }

  /** Puts the base frame into those regions of `out`. */
  showBase(base, out) {
    const { core } = this;
    samplesIn(core, this.base, this.samples).set(base);
    samplesIn(core, this.out, this.samples).set(out);
    core._painter_show_base(this.handle, this.base, this.out);
    out.set(samplesIn(core, this.out, this.samples));
  }

  /** A frame's own entry of the condition. */
  ownEntry(bytes) {
    return this.core._painter_own_entry(this.handle, bytes);
  }

  /** The painter's parameters of the GOP: { blocks, entries of the condition, layers by name: { outputs, inputs, side, weight, bias, multiplier, shift, step },
   * conditions of blocks, tokenWeight, levels at blocks of 8×8 samples (dimension, row, column) or null }. */
  numbers() {
    const { core, model: { dimensions } } = this, place = core._painter_numbers(this.handle);
    const all = numbersIn(core, place, core._painter_number_count(this.handle)).slice();
    let at = 0;
    const take = (count) => all.subarray(at, (at += count));
    const layer = () => {
      const [outputs, inputs, side] = take(3), weight = take(outputs * inputs * side * side);
      return { outputs, inputs, side, weight, ...Object.fromEntries(PARTS.map((part) => [part, take(outputs)])) };
    };
    const [blocks, count] = take(2), entries = take(count).slice();
    const layers = Object.fromEntries(LAYERS.map((name) => [name, layer()])), conditions = [];
    for (let n = 0; n < blocks; ++n) {
      for (const name of OF_BLOCK) layers[`blocks.${n}.${name}`] = layer();
      conditions.push(take(layers[`blocks.${n}.depthwise`].outputs * count));
    }
    const tokenWeight = take(dimensions * layers.style.outputs), [levels] = take(1);
    return { blocks, entries, layers, conditions, tokenWeight, levels: levels ? take(levels) : null };
  }

  close() {
    this.core._painter_close(this.handle);
    this.core._free(this.base);
    this.core._free(this.out);
  }
}
