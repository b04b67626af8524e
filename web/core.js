// The C++ core as WebAssembly: libgvc, the painter and the hash. web/build.sh writes built/.

/** Pages of 64 KiB that the core begins with, and that it may have. */
const PAGES = { initial: 256, maximum: 16384 };
const MOST_THREADS = 8;
/** Threads that a page may have: one, unless its server lets it share memory (`gvcodec play` does). */
export const THREADS = globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS) : 1;

/** A module that multiplies bytes by an instruction of relaxed SIMD. */
const RELAXED = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 0, 253, 15, 65, 0, 253, 15, 253, 146, 2, 11];
/** Whether this browser has it; the core has a form for either. */
export const hasRelaxed = WebAssembly.validate(Uint8Array.from(RELAXED));

/** The core with `threads` threads, or one if they cannot be started. */
export async function loadCore(options = {}, threads = 1, relaxed = hasRelaxed) {
  const form = relaxed ? "-relaxed" : "";
  if (threads > 1) {
    try {
      return await loadForm(`threads${form}`, { helpers: threads - 1, ...options }, threads);
    } catch (error) {
      console.warn(`one thread: ${error.message}`);
    }
  }
  return loadForm(`core${form}`, options);
}

/** One of the modules in built/. */
export async function loadForm(name, options, threads = 1) {
  const { default: load } = await import(`./built/${name}.js`);
  const core = await load({ wasmMemory: new WebAssembly.Memory({ ...PAGES, shared: threads > 1 }), ...options });
  return Object.assign(core, { threads });
}

/** Parts of the core's memory, which may grow between calls. */
export const bytesIn = (core, at, count) => new Uint8Array(core.wasmMemory.buffer, at, count);
export const numbersIn = (core, at, count) => new Int32Array(core.wasmMemory.buffer, at, count);
export const doublesIn = (core, at, count) => new Float64Array(core.wasmMemory.buffer, at, count);
export const wordsOf = (core) => new Uint32Array(core.wasmMemory.buffer);
export const floatsOf = (core) => new Float32Array(core.wasmMemory.buffer);
export const pictureOf = (core, at, count) => new Uint8ClampedArray(core.wasmMemory.buffer, at, count);
export const samplesIn = (core, at, count) => new Uint16Array(core.wasmMemory.buffer, at, count);

/** Samples of the three planes of a frame, 4:2:0. */
export const samplesOf = (width, height) => width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);

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
    const digest = bytesIn(this.core, out, 32).slice();
    this.core._free(out);
    return digest;
  }
}
