// The painter by WebGPU (shader.js), with the samples of the core. Motion is the core's.

import { samplesOf } from "./core.js";
import { Painter } from "./painter.js";
import { FRAME, LAYER, shader } from "./shader.js";

const FILTERS = ["begin", "smoothed_down", "split", "second", "third", "measure", "maps", "below", "luma", "tint"];
const OF_LAYERS = ["levels", "numbers", "depthwise", "view"];
/** Steering weights of up to 508 are sums of so many of eight bits, each of a copy of the level. */
const COPIES = 4, MOST_WEIGHT = 127;
const MIDDLE = 64, ZERO = 8, HEADS = 15, MAPS = 21;
const QUAD_OF_ZERO = 0x08080808, QUAD_OF_MIDDLE = 0x40404040;
const SIDE = 512, FRAMES_AT_ONCE = 2;
/** The frames by which an adapter has to show that it counts right. */
const TRIAL = { width: 86, height: 54, frames: 3 };
const PATIENCE_MS = 20_000;

/**
 * A painter for frames of `header`, or why there is none. Adapters that are programs (SwiftShader) are slower than the core: only
 * `any` takes them. Whatever the adapter, the samples of a small clip have to be those of the core.
 */
export async function openGpu(core, model, header, any) {
  if (!navigator.gpu) return { reason: "this browser has no WebGPU" };
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return { reason: "there is no adapter for WebGPU" };
  if (adapter.info?.isFallbackAdapter && !any) return { reason: "WebGPU is a program here" };
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
  try {
    const kernels = await kernelsOf(device);
    const trial = { ...header, width: TRIAL.width, height: TRIAL.height };
    const wrong = await inTime(differs(new Gpu(device, kernels, core, model, trial), new Painter(core, model, trial)));
    if (wrong) throw new Error(wrong);
    return { painter: new Gpu(device, kernels, core, model, header) };
  } catch (error) {
    device.destroy();
    return { reason: `WebGPU: ${error.message}` };
  }
}

/** Difference of one painter's samples from another's of the same size, in words; "" if they are equal. */
async function differs(one, other) {
  const { width, height, frames } = TRIAL;
  const samples = samplesOf(width, height);
  const [base, found, wanted] = Array.from({ length: 3 }, () => new Uint16Array(samples));
  for (const painter of [one, other]) painter.startGop(null);
  let wrong = "";
  for (let n = 0; n < frames && !wrong; ++n) {
    // Waves and a jump, which move by three samples, then stay.
    for (let i = 0; i < samples; ++i) base[i] = (((i % width) + 3 * Math.min(n, 1)) ** 2 + 7 * Math.floor(i / width) + (i % 40 > 20 ? 300 : 0)) & 1023;
    await one.paint(base, 5000 * n, found);
    await other.paint(base, 5000 * n, wanted);
    const place = found.findIndex((sample, i) => sample !== wanted[i]);
    if (place >= 0) wrong = `sample ${place} of frame ${n} differs (${found[place]}, not ${wanted[place]})`;
  }
  one.close();
  other.close();
  return wrong;
}

async function inTime(work) {
  let timer;
  const late = new Promise((_, refuse) => (timer = setTimeout(() => refuse(new Error("no answer")), PATIENCE_MS)));
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

async function kernelsOf(device) {
  const code = shader(navigator.gpu.wgslLanguageFeatures?.has("packed_4x8_integer_dot_product"));
  const module = device.createShaderModule({ code });
  const errors = (await module.getCompilationInfo()).messages.filter(({ type }) => type === "error");
  if (errors.length) throw new Error(`line ${errors[0].lineNum}: ${errors[0].message}`);
  const visibility = GPUShaderStage.COMPUTE;
  const kinds = ["uniform", "read-only-storage", "read-only-storage", "read-only-storage", "storage", "storage"];
  const frame = device.createBindGroupLayout({ entries: kinds.map((type, binding) => ({ binding, visibility, buffer: { type } })) });
  const layer = device.createBindGroupLayout({ entries: [{ binding: 0, visibility, buffer: { type: "uniform", hasDynamicOffset: true } }] });
  const layout = device.createPipelineLayout({ bindGroupLayouts: [frame, layer] });
  const pipelines = await Promise.all([...FILTERS, ...OF_LAYERS].map(async (entryPoint) =>
    [entryPoint, await device.createComputePipelineAsync({ layout, compute: { module, entryPoint } })]));
  return { frame, layer, pipelines: Object.fromEntries(pipelines) };
}

class Gpu {
  constructor(device, kernels, core, model, header) {
    Object.assign(this, { device, kernels, model });
    this.header = header;
    this.mover = new Painter(core, model, header);
    this.mover.startGop(null, false, -1);
    this.given = this.mover.numbers();
    this.samples = samplesOf(header.width, header.height);
    this.plan();
    const { STORAGE, COPY_DST, COPY_SRC, UNIFORM, MAP_READ } = GPUBufferUsage;
    const buffer = (size, usage) => device.createBuffer({ size: Math.ceil(size / 16) * 16, usage });
    const { w, h } = this.numbers;
    this.buffers = {
      frame: buffer(4 * FRAME.length, UNIFORM | COPY_DST),
      given: buffer(2 * this.samples, STORAGE | COPY_DST),
      moves: buffer(4 * (w / 8) * (h / 8), STORAGE | COPY_DST),
      weights: buffer(16 * this.weightRows, STORAGE | COPY_DST),
      memory: buffer(4 * this.words, STORAGE | COPY_DST),
      painted: buffer(12 * w * h, STORAGE | COPY_SRC),
    };
    this.layerStep = Math.ceil((4 * LAYER.length) / 256) * 256;
    this.layerBuffer = buffer(this.layerStep * this.steps.length, UNIFORM | COPY_DST);
    const layers = new Int32Array((this.layerStep / 4) * this.steps.length);
    this.steps.forEach(({ layer }, n) => layers.set(LAYER.map((name) => layer[name] ?? 0), (n * this.layerStep) / 4));
    device.queue.writeBuffer(this.layerBuffer, 0, layers);
    this.sourceOfNow = this.steps.findIndex(({ now }) => now) * this.layerStep + 4 * LAYER.indexOf("source");
    this.back = Array.from({ length: FRAMES_AT_ONCE }, () => buffer(12 * w * h, MAP_READ | COPY_DST));
    const entries = Object.values(this.buffers).map((each, binding) => ({ binding, resource: { buffer: each } }));
    this.frameGroup = device.createBindGroup({ layout: kernels.frame, entries });
    const resource = { buffer: this.layerBuffer, size: 4 * LAYER.length };
    this.layerGroup = device.createBindGroup({ layout: kernels.layer, entries: [{ binding: 0, resource }] });
    this.frame = new Uint16Array(Math.ceil(this.samples / 2) * 2);
    this.last = Promise.resolve();
  }

  /** Where planes are in the memory, and the steps of a frame: { kernel, rows, columns, deep, layer }. */
  plan() {
    const { width, height } = this.header;
    const h = Math.ceil(height / 16) * 8, w = Math.ceil(width / 16) * 8, h8 = h / 4, w8 = w / 4;
    this.words = 0;
    const take = (count) => (this.words += count) - count;
    const full = () => take(4 * h * w), half = (n = 1) => take(n * h * w), blocks = (n = 1) => take(n * h8 * w8);
    const { model, given } = this;
    const shape = (name) => this.layer(name);
    const outputs = (name) => shape(name).outputs;
    const c = outputs("view");
    const numbers = {
      width, height, w, h, w8, h8, down: full(), half: half(), half_down: half(), low: half(), low_down: half(), blur: half(), bands: half(10),
      signal: half(3), below: half(), statistics: blocks(4), mismatch: blocks(), inside: blocks(), slopes: blocks(3),
      heads: blocks(HEADS), maps: blocks(MAPS),
    };
    this.pictures = [full(), full()];
    this.details = [full(), full()];
    this.tints = [half(), half()];
    this.numbers = numbers;
    const quarter = half(outputs("stem") / 16), trunk = blocks(c);
    const seen = blocks(c / 4);
    /** Offset of the tokens' style offsets, directly after the inputs of `style` from the trunk. */
    this.steering = blocks((COPIES * model.dimensions) / 4);
    const wide = blocks(Math.max(...Array.from({ length: given.blocks }, (_, n) => outputs(`blocks.${n}.expand`)), 0) / 4);
    const style = blocks(outputs("style") / 4);

    const Half = [h, w], Block = [h8, w8];
    this.steps = [];
    this.layers = [];
    this.weightRows = 0;
    const rows = (count) => (this.weightRows += count) - count;
    const filter = (kernel, [high, across]) => this.steps.push({ kernel, rows: high, columns: across, deep: 1, layer: {} });
    const down = (source, goal, [high, across], stride, bits) =>
      this.steps.push({ kernel: "smoothed_down", rows: high, columns: across, deep: 1, layer: { source, goal, height: high, width: across, stride, bits } });
    const add = (kernel, name, source, [high, across], goal, [rowCount, columns], more = {}) => {
      const { outputs: count, inputs, side } = shape(name), deep = Math.ceil(count / 4), quads = Math.ceil(inputs / 4);
      const layer = {
        scale: rows(4 * deep), weight: rows(deep * quads * side * side), quads, side, stride: high / rowCount, source, height: high, width: across,
        goal, rows: rowCount, columns, outputs: count, limit: 2047, ...more,
      };
      this.layers.push({ name, layer, kernel });
      this.steps.push({ kernel, rows: rowCount, columns, deep, layer });
    };
    const middles = { outside: QUAD_OF_MIDDLE }, zeros = { outside: QUAD_OF_ZERO };
    filter("begin", [2 * h, 2 * w]);
    this.steps.push({ kernel: "smoothed_down", rows: 2 * h, columns: 2 * w, deep: 1, now: true, layer: { goal: numbers.down, height: 2 * h, width: 2 * w, stride: 1, bits: 2 } });
    filter("split", Half);
    down(numbers.half, numbers.half_down, Half, 1, 4);
    filter("second", Half);
    down(numbers.low, numbers.low_down, Half, 2, 4);
    filter("third", Half);
    filter("measure", Block);
    add("levels", "stem", numbers.signal, Half, quarter, [h / 2, w / 2], middles);
    add("numbers", "stem2", quarter, [h / 2, w / 2], trunk, Block, zeros);
    add("numbers", "statistics", numbers.statistics, Block, trunk + (c - 16) * h8 * w8, Block);
    for (let n = 0; n < given.blocks; ++n) {
      add("depthwise", `blocks.${n}.depthwise`, trunk, Block, seen, Block);
      add("levels", `blocks.${n}.expand`, seen, Block, wide, Block);
      add("numbers", `blocks.${n}.project`, wide, Block, trunk, Block, { added: 1 });
    }
    add("view", "view", trunk, Block, seen, Block);
    add("levels", "style", seen, Block, style, Block);
    add("numbers", "head", style, Block, numbers.heads, Block, { limit: 32767 });
    filter("maps", Block);
    filter("below", Half);
    filter("luma", Half);
    filter("tint", Half);
  }

  /** A layer of the GOP; `style` with the inputs of tokens. */
  layer(name) {
    const layer = this.given.layers[name];
    return name === "style" && this.model.dimensions ? steered(layer, this.given.tokenWeight) : layer;
  }

  /** Levels of the tokens in force, as quads, the same for every frame; all 0 without tokens. */
  steer(levels) {
    const { h8, w8 } = this.numbers, plane = h8 * w8, quads = this.model.dimensions / 4;
    const found = new Int32Array(COPIES * quads * plane).fill(QUAD_OF_MIDDLE);
    if (levels) {
      levels.forEach((level, at) => {
        const d = Math.floor(at / plane);
        found[(d >> 2) * plane + (at % plane)] += level * 2 ** (8 * (d & 3));
      });
      for (let copy = 1; copy < COPIES; ++copy) found.copyWithin(copy * quads * plane, 0, quads * plane);
    }
    this.device.queue.writeBuffer(this.buffers.memory, 4 * this.steering, found);
  }

  /** As `Painter.startGop`. */
  startGop(fitted) {
    const { device, model, mover } = this;
    mover.startGop(fitted, false);
    this.identity = mover.identity;
    this.position = 0;
    if (this.identity) return;
    this.given = mover.numbers();
    const weights = new Int32Array(4 * this.weightRows);
    this.biases = [];
    for (const { name, layer, kernel } of this.layers) {
      const numbers = this.layer(name);
      const packed = kernel === "depthwise" || kernel === "view" ? apart(numbers) : quads(numbers);
      weights.set(packed, 4 * layer.weight);
      const zero = zeroOf(name);
      const scales = scalesOf(numbers, kernel === "depthwise" || kernel === "view" ? 0 : zero);
      weights.set(scales, 4 * layer.scale);
      if (kernel === "depthwise") this.biases.push({ at: layer.scale, scales, table: this.given.conditions[name.split(".")[1]] });
    }
    device.queue.writeBuffer(this.buffers.weights, 0, weights);
    if (model.dimensions) this.steer(this.given.levels);
    this.entries = this.given.entries;
  }

  /** As `Painter.paint`; a frame may be given before the last one has come. */
  async paint(base, bytes, out) {
    if (this.identity) return out.set(base);
    const { device, buffers, numbers } = this;
    const vectors = this.mover.motion(base), now = this.position % 2;
    // The base frame's memory may be used again before the painted one has come.
    const kept = this.mover.hides && base.slice();
    this.frame.set(base);
    device.queue.writeBuffer(buffers.given, 0, this.frame);
    if (vectors) device.queue.writeBuffer(buffers.moves, 0, vectors);
    this.enterCondition(this.mover.ownEntry(bytes));
    const corner = mixed(this.position++);
    Object.assign(numbers, {
      known: vectors ? 1 : 0, top: corner % SIDE, left: (corner >>> 16) % SIDE, now: this.pictures[now], before: this.pictures[1 - now],
      now_detail: this.details[now], before_detail: this.details[1 - now], now_tint: this.tints[now], before_tint: this.tints[1 - now],
    });
    device.queue.writeBuffer(buffers.frame, 0, Int32Array.from(FRAME, (name) => numbers[name]));
    device.queue.writeBuffer(this.layerBuffer, this.sourceOfNow, Int32Array.of(numbers.now));
    const back = this.back.pop();
    if (!back) throw new Error("too many frames at once");
    device.queue.submit([this.commands(back)]);
    try {
      await back.mapAsync(GPUMapMode.READ);
      this.unpack(new Uint16Array(back.getMappedRange()), out);
      if (kept) this.mover.showBase(kept, out);
      back.unmap();
    } finally {
      this.back.push(back);
    }
  }

  commands(back) {
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setBindGroup(0, this.frameGroup);
    this.steps.forEach(({ kernel, rows, columns, deep }, n) => {
      pass.setPipeline(this.kernels.pipelines[kernel]);
      pass.setBindGroup(1, this.layerGroup, [n * this.layerStep]);
      pass.dispatchWorkgroups(Math.ceil(columns / 8), Math.ceil(rows / 8), deep);
    });
    pass.end();
    encoder.copyBufferToBuffer(this.buffers.painted, 0, back, 0, 12 * this.numbers.w * this.numbers.h);
    return encoder.finish();
  }

  /** The frame's entry of the condition changes the biases of the blocks. */
  enterCondition(entry) {
    this.entries[this.entries.length - 1] = entry;
    for (const { at, scales, table } of this.biases) {
      const entered = scales.slice();
      for (let c = 0; c * this.entries.length < table.length; ++c) {
        const sum = this.entries.reduce((total, entry, n) => total + entry * table[c * this.entries.length + n], 0);
        entered[16 * (c >> 2) + (c & 3)] += (sum + 128) >> 8;
      }
      this.device.queue.writeBuffer(this.buffers.weights, 16 * at, entered);
    }
  }

  /** Rows of luma; then both samples of chroma in turns. */
  unpack(painted, out) {
    const { width, height } = this.header, { w, h } = this.numbers;
    for (let y = 0; y < height; ++y) out.set(painted.subarray(2 * w * y, 2 * w * y + width), y * width);
    const wide = Math.ceil(width / 2), high = Math.ceil(height / 2);
    let u = width * height, v = u + wide * high;
    for (let y = 0; y < high; ++y) {
      const row = 4 * w * h + 2 * w * y;
      for (let x = 0; x < 2 * wide; x += 2) {
        out[u++] = painted[row + x];
        out[v++] = painted[row + x + 1];
      }
    }
  }

  close() {
    this.mover.close();
    for (const each of [...Object.values(this.buffers), this.layerBuffer, ...this.back]) each.destroy();
  }
}

/** Zero point of a layer's input. */
function zeroOf(name) {
  if (name === "statistics") return 0;
  return ["stem", "style"].includes(name) || name.endsWith("expand") ? MIDDLE : ZERO;
}

/** `style` with four inputs for each level of tokens, whose weights add up to the level's own. */
function steered(layer, weights) {
  const dimensions = weights.length / layer.outputs, inputs = layer.inputs + COPIES * dimensions, weight = new Int32Array(layer.outputs * inputs);
  for (let o = 0; o < layer.outputs; ++o) {
    weight.set(layer.weight.subarray(o * layer.inputs, (o + 1) * layer.inputs), o * inputs);
    for (let d = 0; d < dimensions; ++d) {
      let rest = weights[o * dimensions + d];
      for (let copy = 0; copy < COPIES; ++copy) {
        const part = Math.max(-MOST_WEIGHT, Math.min(MOST_WEIGHT, rest));
        weight[o * inputs + layer.inputs + copy * dimensions + d] = part;
        rest -= part;
      }
    }
  }
  return { ...layer, inputs, weight };
}

/** Weights of four inputs in a word, of four outputs side by side: [quad of outputs][quad of inputs][place][output]. */
function quads({ outputs, inputs, side, weight }) {
  const area = side * side, deep = Math.ceil(outputs / 4), count = (inputs / 4) * area;
  const packed = new Int32Array(4 * deep * count);
  for (let o = 0, at = 0; o < outputs; ++o) {
    for (let i = 0; i < inputs; ++i) {
      for (let k = 0; k < area; ++k) packed[4 * ((o >> 2) * count + (i >> 2) * area + k) + (o & 3)] |= (weight[at++] & 255) << (8 * (i & 3));
    }
  }
  return packed;
}

/** Weights of layers of one input each: [quad of outputs][place][output]. */
function apart({ outputs, side, weight }) {
  const area = side * side, packed = new Int32Array(outputs * area);
  for (let o = 0; o < outputs; ++o) for (let k = 0; k < area; ++k) packed[4 * ((o >> 2) * area + k) + (o & 3)] = weight[o * area + k];
  return packed;
}

/** Bias (minus the contribution of `zero`), multiplier, shift and step of four adjacent outputs. */
function scalesOf({ outputs, bias, multiplier, shift, step, weight }, zero) {
  const scales = new Int32Array(16 * Math.ceil(outputs / 4)).fill(10);
  const each = weight.length / outputs;
  for (let o = 0; o < outputs; ++o) {
    const at = 16 * (o >> 2) + (o & 3);
    const sum = weight.subarray(o * each, (o + 1) * each).reduce((total, value) => total + value, 0);
    [bias[o] - zero * sum, multiplier[o], shift[o], step[o]].forEach((value, part) => (scales[at + 4 * part] = value));
  }
  return scales;
}

function mixed(x) {
  for (const factor of [0x21f0aaad, 0x735a2d97]) x = Math.imul(x ^ (x >>> 16), factor);
  return (x ^ (x >>> 15)) >>> 0;
}
