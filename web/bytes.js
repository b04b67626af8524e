// Fields, checksums and errors of the file format, as in gvcodec/bitstream.

/** The file is damaged; the message is for the user. */
export class Damaged extends Error {}

/** The format that the player reads. */
export const VERSION = [1, 1];
/** The file is whole, and of a later version. */
export const newer = (what) => new Damaged(`the file needs ${what}; this player reads format ${VERSION.join(".")}`);

const MOST = Number.MAX_SAFE_INTEGER;

/** Read position in bytes; `what` names them in errors. */
export class Cursor {
  constructor(data, what) {
    this.data = data;
    this.what = what;
    this.at = 0;
  }

  get left() {
    return this.data.length - this.at;
  }

  take(size) {
    if (size > this.left) throw new Damaged(`${this.what} ends early`);
    this.at += size;
    return this.data.subarray(this.at - size, this.at);
  }

  /** Little-endian, of one to four bytes. */
  uint(size) {
    return this.take(size).reduceRight((value, byte) => value * 256 + byte, 0);
  }

  /** LEB128 of nine bytes at most. */
  var(most = MOST) {
    let value = 0;
    for (let index = 0; index < 9; ++index) {
      const byte = this.uint(1);
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte >= 0x80) continue;
      if (byte === 0 && index) throw new Damaged(`${this.what}: number in non-minimal form`);
      if (value > most) throw new Damaged(`${this.what}: a number is above ${most}`);
      return value;
    }
    throw new Damaged(`${this.what}: number of more than 9 bytes`);
  }

  /** That of AV1, where superfluous zeros are allowed. */
  leb128() {
    for (let value = 0, index = 0; index < 8; ++index) {
      const byte = this.uint(1);
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) return value;
    }
    throw new Damaged(`${this.what}: number of more than 8 bytes`);
  }

  svar() {
    const value = this.var();
    return value % 2 ? -(value + 1) / 2 : value / 2;
  }
}

/** A number as `Cursor.var` reads it. */
export function leb128(value) {
  const bytes = [];
  for (; value >= 0x80; value = Math.floor(value / 128)) bytes.push((value & 0x7f) | 0x80);
  return Uint8Array.from([...bytes, value]);
}

export function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function tableOf(width, polynomial, reflected) {
  const top = 2 ** (width - 1);
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = reflected ? byte : byte * 2 ** (width - 8);
    for (let bit = 0; bit < 8; ++bit) {
      if (reflected) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
      else value = value & top ? ((value << 1) ^ polynomial) & (2 * top - 1) : value << 1;
    }
    return value;
  });
}

const CRC16 = tableOf(16, 0x1021, false);
const CRC32 = tableOf(32, 0xedb88320, true);

export function crc16(data) {
  let value = 0xffff;
  for (let n = 0; n < data.length; ++n) value = ((value << 8) & 0xffff) ^ CRC16[(value >>> 8) ^ data[n]];
  return value;
}

/** That of zlib; `before`: of the bytes before these. */
export function crc32(data, before = 0) {
  let value = ~before;
  for (let n = 0; n < data.length; ++n) value = (value >>> 8) ^ CRC32[(value ^ data[n]) & 0xff];
  return ~value >>> 0;
}

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
