// A gvcodec file: its header, its GOPs, their packets. docs/spec specifies the format.
//
// Everything is checked before it is used. Damaged parts are skipped and reported; the part before them plays.

import { Unbundler, framesIn } from "./bundles.js";
import { Cursor, Damaged, VERSION, crc16, crc32, hex, joined, newer } from "./bytes.js";
import { timesOf } from "./timing.js";

const BASES = { 1: "av1", 3: "vvc", 7: "gvc1d" };
export const EXTENDED = 16;
const INTER = 0, KEY = 1, GOP = 2;
const END = EXTENDED, INDEX = EXTENDED + 1;
export const FIT = EXTENDED + 2, PAINTED = EXTENDED + 67;
const TIMING = EXTENDED + 3, TRACKS = EXTENDED + 4;
const END_BYTES = 2 + 12 + 2;
const MOST_PAYLOAD = 1 << 26;
const MOST_SIDE = 1 << 20;
/** A page holds the packets of one GOP and a list of all: enough for days of video. */
const MOST_GOP = 1 << 28, MOST_INDEX = 1 << 24, MOST_GOPS = 1 << 20;
const MOST_BUNDLED = 32;
const MOST_FIELDS = 1024, MOST_HEADER = 2048;
/** Types of packets that painting must understand: those from `KNOWN` on are of later versions. */
const KNOWN = EXTENDED + 6, SKIPPED = EXTENDED + 64;
const CHUNK = 1 << 20, SMALL = 1 << 15;

export class Stream {
  /** Reads header and index; without an index all packets up to the first one that is damaged. */
  static async open(source) {
    const stream = new Stream();
    stream.source = source;
    stream.header = parseHeader(await source.read(0, MOST_HEADER));
    stream.problem = "";
    stream.baseHash = "";
    stream.fits = new Map();
    try {
      await stream.readIndex();
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      stream.gops = [];
      await stream.scan(error.message);
    }
    if (!stream.gops.length) throw new Damaged(stream.problem || "the file holds no frames");
    const last = stream.gops[stream.gops.length - 1];
    stream.frames = last.first + last.frames;
    return stream;
  }

  /** Packets of a GOP: { fit, tracks, paintedHash, units: [{ key, payload, size }], times (seconds), problem }. */
  async read(number) {
    const gop = this.gops[number];
    if (gop.size > MOST_GOP) throw new Damaged(`GOP at frame ${gop.first} is too large for a page`);
    const data = await this.source.read(gop.offset, gop.size);
    const found = { fit: null, tracks: [], paintedHash: "", units: [], problem: "" };
    const timing = [];
    const unbundler = this.header.bundled ? new Unbundler() : null;
    let crc = 0, closed = gop.open;
    try {
      for (const at = new Cursor(data, "packet"); at.left; ) {
        const packet = readPacket(at);
        if (packet.kind === GOP) {
          closed = closes(packet.payload, crc, gop.first + gop.frames);
          if (!closed || at.left) throw new Damaged("checksum differs");
          break;
        }
        crc = crc32(packet.bytes, crc);
        if (packet.kind === KEY || packet.kind === INTER) {
          if ((packet.kind === KEY) !== !found.units.length) throw new Damaged("packets are out of order");
          found.units.push(...unitsOf(packet, unbundler));
        } else if (packet.kind === FIT) found.fit = packet.payload;
        else if (packet.kind === TIMING) timing.push(packet.payload);
        else if (packet.kind === TRACKS) found.tracks.push(packet.payload);
        else if (packet.kind === PAINTED) found.paintedHash = hex(packet.payload);
        else if (packet.kind >= KNOWN && packet.kind < SKIPPED) this.unpaintable ??= newer(`packets of type ${packet.kind - EXTENDED}`);
      }
      if (!closed || found.units.length !== gop.frames) throw new Damaged("frames are missing");
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      found.units.length = Math.min(found.units.length, gop.frames);
      found.problem = `GOP at frame ${gop.first}: ${error.message}; ${found.units.length} of its ${gop.frames} frames are shown`;
    }
    found.times = this.timesOf(gop, timing, found);
    this.fits.set(number, found.fit);
    return found;
  }

  /** The keyframe of a GOP, as `read` has its units, from no more bytes than it needs. */
  async firstUnit(number = 0) {
    const { offset, size } = this.gops[number];
    for (let count = Math.min(size, SMALL); ; count = Math.min(size, 4 * count)) {
      const at = new Cursor(await this.source.read(offset, count), "packet");
      try {
        for (;;) {
          const packet = readPacket(at);
          if (packet.kind === KEY) return unitsOf(packet, this.header.bundled ? new Unbundler() : null)[0];
        }
      } catch (error) {
        if (!error.early || count >= Math.min(size, MOST_GOP)) throw error;
      }
    }
  }

  /** The `fit` payload in force in GOP `number`, or null. Throws `Damaged` if a later version would paint differently. */
  async fitOf(number) {
    if (this.unpaintable) throw this.unpaintable;
    for (let at = number; at >= 0; --at) {
      if (!this.gops[at].fitted) continue;
      if (!this.fits.has(at)) await this.read(at);
      return this.fits.get(at);
    }
    return null;
  }

  timesOf(gop, timing, found) {
    const tick = this.header.tick[0] / this.header.tick[1];
    const seconds = (payloads) =>
      timesOf(this.header, gop.first, gop.frames, payloads).map((pts) => (pts - this.header.startPts) * tick);
    try {
      return seconds(timing);
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      found.problem ||= error.message;
      return seconds([]);
    }
  }

  async readIndex() {
    const { source, header } = this;
    const endAt = source.size - END_BYTES;
    const end = await this.packetAt(endAt, END_BYTES, END, "end");
    if (end.length !== 12) throw new Damaged("the end of the file is damaged");
    const distance = new Cursor(end.subarray(8), "end").uint(4);
    if (distance > MOST_INDEX) throw new Damaged("the index is too large for a page");
    const indexAt = endAt - distance;
    const cursor = new Cursor(await this.packetAt(indexAt, distance, INDEX, "index"), "index");
    const frames = cursor.var(2 ** 40), count = cursor.var(MOST_GOPS);
    this.gops = [];
    let first = 0, offset = header.size;
    for (let n = 0; n < count; ++n) {
      const gop = { first, frames: cursor.var(2 ** 32), offset, size: cursor.var(), fitted: (cursor.uint(1) & 1) !== 0, open: false };
      if (!(gop.frames > 0 && gop.frames <= (header.bundled ? MOST_BUNDLED : 1) * gop.size && gop.size <= indexAt - offset)) throw new Damaged("index: GOP without frames");
      this.gops.push(gop);
      first += gop.frames;
      offset += gop.size;
    }
    if (first !== frames || cursor.left || offset !== indexAt) throw new Damaged("index does not fit the file");
    // One that counts tokens too cannot be checked by pictures alone.
    this.baseHash = header.tokens ? "" : hex(end.subarray(0, 8));
  }

  async packetAt(offset, size, kind, what) {
    const missing = `no ${what} where it should be (the file is cut or damaged)`;
    if (offset < this.header.size) throw new Damaged(missing);
    const packet = readPacket(new Cursor(await this.source.read(offset, size), what));
    if (packet.kind !== kind) throw new Damaged(missing);
    return packet.payload;
  }

  /** Finds GOPs by reading on from the header; the last one may be truncated. */
  async scan(reason) {
    let offset = this.header.size, crc = 0, frames = 0, number = 0, rest = new Uint8Array();
    let gop = { first: 0, frames: 0, offset, size: 0, fitted: false, open: true };
    try {
      for (;;) {
        const at = new Cursor(rest, "packet");
        let packet;
        try {
          packet = readPacket(at);
        } catch (error) {
          const here = offset + rest.length;
          if (!error.early || here >= this.source.size) throw error;
          rest = joined([rest, await this.source.read(here, Math.max(CHUNK, rest.length))]);
          continue;
        }
        offset += packet.bytes.length;
        rest = rest.subarray(packet.bytes.length);
        if (packet.kind === INDEX || packet.kind === END) throw new Damaged(reason);
        if (packet.kind === GOP) {
          if (!gop.frames || !closes(packet.payload, crc, frames)) throw new Damaged("checksum of the GOP differs");
          this.gops.push({ ...gop, size: offset - gop.offset, open: false });
          gop = { first: frames, frames: 0, offset, size: 0, fitted: false, open: true };
          crc = 0;
        } else {
          if (packet.kind === KEY || packet.kind === INTER) {
            if ((packet.kind === KEY) !== !gop.frames) throw new Damaged("packets are out of order");
            const count = this.header.bundled ? framesIn(packet.payload) : 1;
            gop.frames += count;
            frames += count;
          }
          gop.fitted ||= packet.kind === FIT;
          crc = crc32(packet.bytes, crc);
          gop.size = offset - gop.offset;
        }
        if (this.gops.length >= MOST_GOPS) throw new Damaged("the file is too long for a page");
        ++number;
      }
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      if (gop.frames) this.gops.push(gop);
      const seconds = ((frames * this.header.rate[1]) / this.header.rate[0]).toFixed(1);
      this.problem = `packet ${number}: ${error.message}; the first ${frames} frames (${seconds} s) play`;
    }
  }
}

/** The frames of a packet; the size of each in a bundle is its share. */
function unitsOf({ kind, payload, bytes }, unbundler) {
  if (!unbundler) return [{ key: kind === KEY, payload, size: bytes.length }];
  const payloads = unbundler.send(payload, kind === KEY);
  const whole = payloads.reduce((sum, part) => sum + part.length, 0);
  return payloads.map((part, n) => ({ key: kind === KEY && !n, payload: part, size: (bytes.length * part.length) / whole }));
}

function readPacket(cursor) {
  const begin = cursor.at;
  try {
    const head = cursor.var(MOST_PAYLOAD * 4 + 3);
    const size = Math.floor(head / 4);
    let kind = head % 4;
    if (kind === 3) kind = EXTENDED + cursor.uint(1);
    if ((kind === GOP || kind === FIT || kind === TIMING) && size > MOST_SIDE) throw new Damaged("packet is too large");
    const payload = cursor.take(size);
    const checksum = crc16(cursor.data.subarray(begin, cursor.at));
    if (cursor.uint(2) !== checksum) throw new Damaged("checksum differs");
    return { kind, payload, bytes: cursor.data.subarray(begin, cursor.at) };
  } catch (error) {
    error.early = error.message.endsWith("ends early");
    if (error.early) error.message = "file ends early";
    throw error;
  }
}

function closes(payload, crc, frames) {
  const cursor = new Cursor(payload, "gop");
  return cursor.uint(4) === crc && (!cursor.left || (cursor.var() === frames && !cursor.left));
}

export function parseHeader(data) {
  if (hex(data.subarray(0, 4)) !== "89475643") throw new Damaged("not a gvcodec file (wrong first bytes)");
  const whole = new Cursor(data, "header");
  const written = whole.take(6).subarray(4);
  const body = new Cursor(whole.take(whole.var(MOST_FIELDS)), "header");
  const crc = crc32(data.subarray(0, whole.at));
  if (whole.uint(4) !== crc) throw new Damaged("header: checksum differs (nothing can be shown)");
  if (!written[0]) throw new Damaged(`format ${written.join(".")} is of an earlier release; this player reads ${VERSION.join(".")}`);
  const needed = body.take(2);
  if (needed[0] * 256 + needed[1] > VERSION[0] * 256 + VERSION[1]) throw newer(`format ${needed.join(".")}`);
  return { ...parseFields(body), needs: needed.join("."), size: whole.at };
}

function parseFields(cursor) {
  const ratio = () => {
    const pair = [cursor.var(2 ** 31), cursor.var(2 ** 31)];
    if (!pair[0] || !pair[1]) throw new Damaged("header: ratio with a zero");
    return pair;
  };
  const [profile, level] = cursor.take(2);
  const flags = cursor.var();
  if (flags > 31) throw newer(`flags ${flags}`);
  cursor.var();
  const width = cursor.var(16384), height = cursor.var(16384);
  const rate = ratio(), tick = ratio();
  const startPts = cursor.svar();
  const [primaries, transfer, matrix, bits] = cursor.take(4);
  const sar = ratio();
  const [base, scale, q] = cursor.take(3);
  const baseModelId = flags & 1 ? hex(cursor.take(8)) : "";
  const painterId = flags & 2 ? hex(cursor.take(8)) : "";
  const gvc1dId = flags & 4 ? hex(cursor.take(8)) : "";
  if (base === 6) throw new Damaged("GVC1D's learned transform is read by release 1.0 alone");
  if (!BASES[base]) throw newer(`base ${base}`);
  if (scale > 2 || bits >= 32) throw newer(`scale ${scale}, bits ${bits}`);
  if (flags & 16) throw new Damaged("GVC1D's reduced form is read by release 1.0 alone");
  const tokens = base === 7; // base gvc1d, whose hash counts tokens too
  if ((flags & 8 && base !== 1) || (flags & 4 && base >= 6) || (tokens && flags & 2) || q > 63 || !width || !height) {
    throw new Damaged("header: field out of range");
  }
  return {
    profile, level, width, height, rate, tick, startPts, sar, q, baseModelId, painterId, gvc1dId,
    bundled: (flags & 8) !== 0, tokens, base: BASES[base], scale: [1, 3 / 4, 1 / 2][scale],
    colour: { primaries, transfer, matrix, full: (bits & 1) !== 0, location: bits >> 2 }, bitDepth: bits & 2 ? 10 : 8,
  };
}
