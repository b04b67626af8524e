// A .gvc file, read by libgvc as WebAssembly (core/reader.cpp). Damaged parts are skipped and reported; the part before them plays.

import { Damaged, newer } from "./bytes.js";
import { Calls } from "./calls.js";
import { doublesIn, loadForm } from "./core.js";

const CHUNK = 1 << 20, SMALL = 1 << 15;
/** A page holds the packets of one GOP. */
const MOST_GOP = 1 << 28;
const NUMBERS_OF_GOP = 6;

let loading;
/** libgvc's reader, once for each worker; `options` of the module are for the first call. */
export const loadReader = (options = {}) => (loading ??= loadForm("reader", options));

/** Calls that streams and one-files share. */
export class Reader extends Calls {
  /** Fields of a header by its handle. */
  header(handle) {
    const header = this.facts(this.core._header_facts(handle));
    if (!Number.isSafeInteger(header.startPts)) throw new Damaged("header: a time is out of range");
    return header;
  }

  /** Opens GOP { first, frames, offset, size, open } and closes it after `use`, which gets its handle. */
  async gop(header, { first, frames, offset = 0, size, open }, use) {
    const handle = this.opened(this.core._gop_open(header, first, frames, offset, size, Boolean(open)));
    try {
      return await use(handle);
    } finally {
      this.core._gop_close(handle);
    }
  }

  /** The GOP as read so far: { units: [{ key, data, bytes, size }], fit, hasTokens, tracks, paintedHash, problem, newer }. `data` is for a decoder,
   * `bytes` long is the payload, `size` its share of the file. */
  read(handle) {
    const { units, fit, tracks, ...facts } = this.facts(this.core._gop_facts(handle));
    return {
      ...facts, fit: fit.length ? this.copy(fit[0]) : null, tracks: tracks.map((place) => this.copy(place)),
      units: units.map(([place, bytes, size], n) => ({ key: !n, data: this.copy(place), bytes, size })),
    };
  }
}

/** Of a GOP that is damaged, in words. */
export const problemOf = ({ first, frames }, { problem, units }) =>
  problem && `GOP at frame ${first}: ${problem}; ${units.length} of its ${frames} frames are shown`;

export class Stream {
  /** Reads header and index; without an index all packets up to the first one that is damaged. Throws `Damaged`. */
  static async open(source) {
    const core = await loadReader(), stream = Object.assign(new Stream(), { source, calls: new Reader(core), fits: new Map() });
    stream.handle = stream.calls.opened(core._stream_open(source.size));
    try {
      await stream.learn(core);
    } catch (error) {
      stream.close();
      throw error;
    }
    return stream;
  }

  close() {
    this.calls.core._stream_close(this.handle);
    this.handle = 0;
  }

  async learn(core) {
    const { calls, handle, source } = this;
    for (let count = SMALL; !calls.checked(core._stream_step(handle)); count = Math.min(2 * count, CHUNK)) {
      const data = await source.read(core._stream_offset(handle), count);
      if (data.length) calls.with(data, (at, size) => core._stream_send(handle, at, size));
      else core._stream_finish(handle);
    }
    this.headerHandle = core._stream_header(handle);
    this.header = calls.header(this.headerHandle);
    const numbers = doublesIn(core, core._stream_gops(handle), NUMBERS_OF_GOP * core._stream_gop_count(handle));
    this.gops = [];
    for (let at = 0; at < numbers.length; at += NUMBERS_OF_GOP) {
      const [first, frames, offset, size, fitted, open] = numbers.subarray(at, at + NUMBERS_OF_GOP);
      this.gops.push({ first, frames, offset, size, fitted: Boolean(fitted), open: Boolean(open) });
    }
    const { problem, packets, baseHash } = calls.facts(core._stream_facts(handle)), last = this.gops.at(-1);
    this.frames = last ? last.first + last.frames : 0;
    const seconds = ((this.frames * this.header.rate[1]) / this.header.rate[0]).toFixed(1);
    this.problem = problem && `packet ${packets}: ${problem}; the first ${this.frames} frames (${seconds} s) play`;
    this.baseHash = baseHash;
    if (!last) throw new Damaged(this.problem || "the file holds no frames");
  }

  /** Packets of a GOP: those of `Reader.read`, and { times (seconds), ticks } of all its frames and of its end. */
  async read(number) {
    const gop = this.gops[number], { calls } = this, { core } = calls;
    if (gop.size > MOST_GOP) throw new Damaged(`GOP at frame ${gop.first} is too large for a page`);
    const data = await this.source.read(gop.offset, gop.size);
    return calls.gop(this.headerHandle, gop, (handle) => {
      for (let at = 0; at < data.length; at += CHUNK) {
        calls.with(data.subarray(at, at + CHUNK), (place, size) => core._gop_send(handle, place, size));
      }
      calls.checked(core._gop_finish(handle));
      const found = calls.read(handle), { startPts, tick } = this.header;
      found.ticks = doublesIn(core, core._gop_times(handle), gop.frames + 1).slice();
      found.times = found.ticks.map((pts) => ((pts - startPts) * tick[0]) / tick[1]);
      found.problem = problemOf(gop, found);
      if (found.newer) this.unpaintable ??= newer(found.newer);
      this.fits.set(number, { fit: found.fit, hasTokens: found.hasTokens });
      return found;
    });
  }

  /** The keyframe of a GOP, as `read` has its units, from no more bytes than it needs. */
  async firstUnit(number = 0) {
    const gop = this.gops[number], { calls } = this, { core } = calls, end = Math.min(gop.size, MOST_GOP);
    return calls.gop(this.headerHandle, gop, async (handle) => {
      for (let at = 0, count = SMALL; at < end; at += count, count = CHUNK) {
        const data = await this.source.read(gop.offset + at, Math.min(count, end - at));
        calls.with(data, (place, size) => core._gop_send(handle, place, size));
        if (core._gop_count(handle)) return calls.read(handle).units[0];
      }
      throw new Damaged(calls.read(handle).problem || "file ends early");
    });
  }

  /** { fit, hasTokens } in force in GOP `number`, `fit` null for none. Throws `Damaged` if a later version would paint differently. */
  async fitOf(number) {
    if (this.unpaintable) throw this.unpaintable;
    for (let at = number; at >= 0; --at) {
      if (!this.gops[at].fitted) continue;
      if (!this.fits.has(at)) await this.read(at);
      return this.fits.get(at);
    }
    return { fit: null, hasTokens: false };
  }
}
