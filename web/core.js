// The C++ core as WebAssembly: the klt decoder and the hash. web/build.sh makes what is in built/.

import load from "./built/core.js";
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

export const loadCore = (options) => load(options);

/** Samples of the three planes of a frame, 4:2:0. */
export const samplesOf = (width, height) => width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);

export class KltDecoder {
  constructor(core, model, width, height) {
    const tensors = tensorsOf(model);
    const size = NAMES.reduce((sum, name) => sum + 16 + (tensors[name]?.bytes.length ?? 0), HEAD);
    const begin = core._malloc(size);
    let at = begin + HEAD;
    NAMES.forEach((name, place) => {
      const bytes = tensors[name]?.bytes ?? [];
      core.HEAPU8.set(bytes, at);
      core.HEAPU32.set([bytes.length ? at : 0, bytes.length], begin / 4 + 2 * place);
      at += Math.ceil(bytes.length / 16) * 16;
    });
    this.core = core;
    this.samples = samplesOf(width, height);
    this.handle = core._klt_open(begin, width, height);
    core._free(begin);
    if (!this.handle) throw new Error(`klt: ${core.UTF8ToString(core._gv_error())}`);
    this.planes = core._malloc(2 * this.samples);
  }

  /** The planes of the next frame (uint16), one behind the other, into `out`. Throws `Damaged`. */
  decode(payload, out) {
    const { core } = this;
    const data = core._malloc(payload.length || 1);
    core.HEAPU8.set(payload, data);
    const done = core._klt_decode(this.handle, data, payload.length, this.planes);
    core._free(data);
    if (!done) throw new Damaged(core.UTF8ToString(core._gv_error()));
    out.set(core.HEAPU16.subarray(this.planes / 2, this.planes / 2 + this.samples));
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
    const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
    const data = this.core._malloc(bytes.length);
    this.core.HEAPU8.set(bytes, data);
    this.core._hash_take(this.handle, data, bytes.length);
    this.core._free(data);
  }

  /** SHA-256 of all so far, 32 bytes. */
  digest() {
    const out = this.core._malloc(32);
    this.core._hash_digest(this.handle, out);
    const bytes = this.core.HEAPU8.slice(out, out + 32);
    this.core._free(out);
    return bytes;
  }
}
