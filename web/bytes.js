// Bytes and errors, for reading sound (docs/spec/tracks.md). All else is read by libgvc (stream.js).

/** Codes of csrc/include/gvc.h. */
export const DAMAGED = -3, NEWER = -4;
/** The format that the player reads. */
const VERSION = "1.1";

/** The file cannot be shown, or a part of it; the message is for the user, `code` one of csrc/include/gvc.h. */
export class Damaged extends Error {
  constructor(message, code = DAMAGED) {
    super(message);
    this.code = code;
  }
}

/** The file is whole, and of a later version. */
export const newer = (what) => new Damaged(`the file needs ${what}; this player reads format ${VERSION}`, NEWER);

/** An error of libgvc, in the words of the page. */
export function failure(code, text) {
  const [, what, format] = (code === NEWER && text.match(/^(?:(.+) needs? a newer |needs (format [\d.]+))/)) || [];
  return what || format ? newer(what ?? format) : new Damaged(text.replace(/; --fidelity does without$/, ""), code);
}

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

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
