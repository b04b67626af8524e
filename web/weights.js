// The range coder of fitted weights: gvcodec/painter/weight_coder.py.

import { Damaged } from "./bytes.js";

const BITS = 11, SHIFT = 4, UNARY = 14, TOP = 2 ** 24, LONGEST = 15;

export class WeightDecoder {
  constructor(data) {
    this.data = data;
    this.place = 0;
    this.range = 2 ** 32 - 1;
    this.code = 0;
    this.before = 0;
    this.contexts = [];
    for (let n = 0; n < 4; ++n) this.code = this.code * 256 + this.next();
  }

  next() {
    if (++this.place > this.data.length + 4) throw new Damaged("coded values end too early");
    return this.data[this.place - 1] ?? 0;
  }

  fill() {
    while (this.range < TOP) {
      this.range *= 256;
      this.code = (this.code * 256 + this.next()) % 2 ** 32;
    }
  }

  bit(table, slot) {
    const bound = Math.floor(this.range / 2 ** BITS) * table[slot];
    const bit = this.code >= bound;
    if (bit) {
      this.code -= bound;
      this.range -= bound;
      table[slot] -= table[slot] >> SHIFT;
    } else {
      this.range = bound;
      table[slot] += ((1 << BITS) - table[slot]) >> SHIFT;
    }
    this.fill();
    return bit;
  }

  raw(bits) {
    let value = 0;
    for (let n = 0; n < bits; ++n) {
      this.range = Math.floor(this.range / 2);
      const bit = this.code >= this.range;
      if (bit) this.code -= this.range;
      value = value * 2 + bit;
      this.fill();
    }
    return value;
  }

  /** The next signed integer of its class. Throws `Damaged`. */
  get(kind) {
    const table = (this.contexts[kind] ??= new Array(3 + UNARY).fill(1 << (BITS - 1)));
    if (!this.bit(table, Math.min(this.before, 2))) return (this.before = 0);
    const negative = this.raw(1);
    let size = 1;
    while (size - 1 < UNARY && this.bit(table, 3 + size - 1)) ++size;
    if (size - 1 === UNARY) {
      let length = 1;
      while (this.raw(1)) if (++length > LONGEST) throw new Damaged("a coded value is out of range");
      size = UNARY + 2 ** (length - 1) + this.raw(length - 1);
    }
    this.before = size;
    return negative ? -size : size;
  }

  finish() {
    if (this.place < this.data.length) throw new Damaged("coded values are followed by other bytes");
  }
}
