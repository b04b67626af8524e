// The C++ core as WebAssembly: the klt decoder and the hash. web/build.sh makes what is in built/.

import { Damaged } from "./bytes.js";
import { tensorsOf } from "./source.js";

const NETWORKS = ["any", "last", "sig", "size"];
const PARTS = ["token", "decision", "row", "multiplier", "scale", "out"];
/** In the order of `Name` in core/klt.cpp. */
const NAMES = [
  "basis.key", "basis.inter", "basis.coarse", "entropy.probabilities", "entropy.counts", "entropy.weights",
  ...["weight", "bias", "multiplier", "shift"].map((part) => `refiner.token.${part}`),
  ...NETWORKS.flatMap((network) => PARTS.map((part) => `refiner.${network}.${part}`)),
  ...["key", "inter", "coarse"].map((table) => `refiner.relatives.${table}`),
];

/** Bytes of the table of places, before the tensors. */
const HEAD = 16 * Math.ceil(NAMES.length / 2);

/** Pages of 64 KiB that the core begins with, and that it may have. */
const PAGES = { initial: 256, maximum: 16384 };
const MOST_THREADS = 8;
/** Threads that a page may have: one, unless its server lets it share memory (`gvcodec play` does). */
export const THREADS = globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS) : 1;

/** The core for loops of so many threads, or of one where they cannot be started. */
export async function loadCore(options = {}, threads = 1) {
  if (threads > 1) {
    try {
      return await loaded("threads", { helpers: threads - 1, ...options }, threads);
    } catch (error) {
      console.warn(`one thread: ${error.message}`);
    }
  }
  return loaded("core", options, 1);
}

async function loaded(name, options, threads) {
  const { default: load } = await import(`./built/${name}.js`);
  const core = await load({ wasmMemory: new WebAssembly.Memory({ ...PAGES, shared: threads > 1 }), ...options });
  return Object.assign(core, { threads });
}

/** Parts of the core's memory, which may grow between calls. */
const bytes = (core) => new Uint8Array(core.wasmMemory.buffer);
export const words = (core) => new Uint32Array(core.wasmMemory.buffer);
export const samplesIn = (core, at, count) => new Uint16Array(core.wasmMemory.buffer, at, count);

/** Samples of the three planes of a frame, 4:2:0. */
export const samplesOf = (width, height) => width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);

export class KltDecoder {
  constructor(core, model, width, height) {
    const tensors = tensorsOf(model);
    const size = NAMES.reduce((sum, name) => sum + 16 + (tensors[name]?.bytes.length ?? 0), HEAD);
    const begin = core._malloc(size);
    let at = begin + HEAD;
    NAMES.forEach((name, place) => {
      const values = tensors[name]?.bytes ?? [];
      bytes(core).set(values, at);
      words(core).set([values.length ? at : 0, values.length], begin / 4 + 2 * place);
      at += Math.ceil(values.length / 16) * 16;
    });
    this.core = core;
    this.samples = samplesOf(width, height);
    this.handle = core._klt_open(begin, width, height, core.threads);
    core._free(begin);
    if (!this.handle) throw new Error(`klt: ${core.UTF8ToString(core._gv_error())}`);
    this.planes = core._malloc(2 * this.samples);
  }

  /** The planes of the next frame (uint16), one behind the other, into `out`. Throws `Damaged`. */
  decode(payload, out) {
    const { core } = this;
    const data = core._malloc(payload.length || 1);
    bytes(core).set(payload, data);
    const done = core._klt_decode(this.handle, data, payload.length, this.planes);
    core._free(data);
    if (!done) throw new Damaged(core.UTF8ToString(core._gv_error()));
    out.set(samplesIn(core, this.planes, this.samples));
  }

  close() {
    this.core._klt_close(this.handle);
    this.core._free(this.planes);
  }
}

export class Hash {
  constructor(core) {
    this.core = core;
    this.handle = core._hash_open();
  }

  take(samples) {
    const data = this.core._malloc(samples.byteLength);
    samplesIn(this.core, data, samples.length).set(samples);
    this.core._hash_take(this.handle, data, samples.byteLength);
    this.core._free(data);
  }

  /** SHA-256 of all so far, 32 bytes. */
  digest() {
    const out = this.core._malloc(32);
    this.core._hash_digest(this.handle, out);
    const digest = bytes(this.core).slice(out, out + 32);
    this.core._free(out);
    return digest;
  }
}
