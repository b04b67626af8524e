// Frames of a stream, as far as known: display times and bits.

export class Timeline {
  constructor({ frames, gops, header }) {
    this.frames = frames;
    this.gops = gops;
    this.rate = header.rate[0] / header.rate[1];
    /** By GOP that has been read: bytes of its frames; seconds of its frames and, last, of its end. */
    this.sizes = new Map();
    this.times = new Map();
    /** Changes with everything that is learnt. */
    this.version = 0;
  }

  learn(gop, sizes, times) {
    this.sizes.set(gop, sizes);
    this.times.set(gop, times);
    ++this.version;
  }

  /** The GOP of a frame, by halves: there may be a million. */
  gopOf(frame) {
    let low = 0, high = this.gops.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.gops[middle].first <= frame) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Of a GOP that has not been read, the mean. */
  bits(frame) {
    const number = this.gopOf(frame), { first, size, count } = this.gops[number];
    return 8 * (this.sizes.get(number)?.[frame - first] ?? size / count);
  }

  /** Bits a second, over the second around a frame. */
  rateAt(frame) {
    const first = Math.max(0, Math.floor(frame - this.rate / 2)), last = Math.min(this.frames, Math.ceil(first + this.rate));
    let sum = 0;
    for (let n = first; n < last; ++n) sum += this.bits(n);
    return (sum * this.rate) / Math.max(1, last - first);
  }

  /** Display time of a frame in seconds: its timestamp if its GOP has been read, else by the frame rate from the last known one. */
  timeOf(frame) {
    const number = this.gopOf(frame), known = this.times.get(number);
    if (known) return known[frame - this.gops[number].first];
    const before = Math.max(-1, ...[...this.times.keys()].filter((each) => each < number));
    if (before < 0) return frame / this.rate;
    const { first, count } = this.gops[before];
    return this.times.get(before)[count] + (frame - first - count) / this.rate;
  }

  get duration() {
    const last = this.gops.length - 1, known = this.times.get(last);
    return known ? known[this.gops[last].count] : this.timeOf(this.frames - 1) + 1 / this.rate;
  }

  /** Bits a second of the whole file. */
  get meanRate() {
    return (8 * this.gops.reduce((sum, { size }) => sum + size, 0)) / this.duration;
  }
}
