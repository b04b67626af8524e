// Integers coded by rANS and Laplace tables: csrc/entropy/rans.hpp and cdf.hpp.

const PROB_ONE = 65536, RANS_LOW = 2 ** 23, LONGEST_PREFIX = 33, ONE = 1n << 32n, INTEGERS = 2 ** 31;
/** 2^32 · exp(-1 / (8 b)) of the six widest scales b; six steps down b is halved, so the value is squared. */
const DECAY = [4280046474n, 4281671832n, 4283120382n, 4284411306n, 4285561716n, 4286586875n];
const distance = (index) => (index % 2 ? (index + 1) / 2 : -index / 2);
const tables = new Map();

/** { edges, golomb }: edges of the symbols 0, 1, -1, 2 …, escape in 2^16, and the order of the code after an escape. `late`: the mean
 * less that of symbol 0, in eighths, -4…3. */
function tableOf(scale, late) {
  const key = 8 * scale + late;
  if (!tables.has(key)) tables.set(key, makeTable(scale, late));
  return tables.get(key);
}

function makeTable(scale, late) {
  let decay = DECAY[(scale + 2) % 6];
  for (let s = scale; s < 58; s += 6) decay = (decay * decay + ONE / 2n) >> 32n;
  const tail = [ONE];  // 2^32 · exp(-n / (8 b))
  const grow = () => tail.push((tail.at(-1) * decay + ONE / 2n) >> 32n);
  while (tail.length <= 16 || tail.at(-1) > ONE >> 9n || tail.length % 8 !== 1) grow();
  const radius = Math.floor(tail.length / 8), symbols = 2 * radius + 2;
  for (let n = 0; n < 8; ++n) grow();
  const below = (n) => (n < 0 ? tail[-n] : 2n * ONE - tail[n]);
  const masses = Array.from({ length: symbols - 1 }, (_, s) => below(8 * distance(s) - late + 4) - below(8 * distance(s) - late - 4));
  masses.push(tail[8 * radius + 4 + late] + tail[8 * radius + 4 - late]);
  const frequencies = masses.map((mass) => 1 + Number((mass * BigInt(PROB_ONE - symbols)) >> 33n));
  frequencies[0] += PROB_ONE - frequencies.reduce((a, b) => a + b);
  const edges = [0];
  for (const frequency of frequencies) edges.push(edges.at(-1) + frequency);
  return { edges, golomb: Math.max(0, Math.floor((scale - 21) / 6)) };
}

/** Edges of a table after zero inflation, which moves probability from other values to zero. */
function inflated(edges, centre, inflation) {
  const last = edges.length - 2, kept = ((16 - (inflation & 7)) << 12) >> (inflation >> 3);
  const zero = Math.min(centre < 0 ? -2 * centre - 1 : 2 * centre, last);
  const share = (count) => Math.floor((count * kept) / PROB_ONE);
  const free = PROB_ONE - last - 1, moved = free - share(free);
  return (index) => index + share(edges[index] - index) + (index > zero ? moved : 0);
}

export class IntegerDecoder {
  constructor(data) {
    this.data = data;
    this.at = 0;
    this.state = 0;
    this.refill();
  }

  refill() {
    while (this.state < RANS_LOW && this.at < this.data.length) this.state = this.state * 256 + this.data[this.at++];
  }

  advance(start, frequency) {
    this.state = frequency * Math.floor(this.state / PROB_ONE) + (this.state % PROB_ONE) - start;
    this.refill();
  }

  /** Equiprobable bits, in groups of eight at most. */
  raw(bits) {
    let value = 0;
    for (let left = bits; left > 0; ) {
      const n = Math.min(left, 8), part = (this.state % PROB_ONE) >> (16 - n);
      this.advance(part << (16 - n), PROB_ONE >> n);
      value = value * 2 ** n + part;
      left -= n;
    }
    return value;
  }

  /** The next integer, by the table of this scale index around `mean` eighths; of its probabilities about 2^(-inflation / 8) stay, the
   * rest goes to zero. Any bytes give some integer. */
  get(scale, mean = 0, inflation = 0) {
    const centre = (mean + 4) >> 3;
    const { edges, golomb } = tableOf(scale, mean - 8 * centre), point = this.state % PROB_ONE;
    const edge = inflation ? inflated(edges, centre, inflation) : (index) => edges[index];
    let index = 0;
    while (edge(index + 1) <= point) ++index;
    this.advance(edge(index), edge(index + 1) - edge(index));
    if (index === edges.length - 2) {
      let bits = golomb;
      while (bits < golomb + LONGEST_PREFIX && this.raw(1)) ++bits;
      index += 2 ** bits + this.raw(bits) - 2 ** golomb;
    }
    return Math.max(-INTEGERS, Math.min(INTEGERS - 1, centre + distance(index)));
  }

  /** Whether all bytes are read and the state is where the encoder began. */
  finished() {
    return this.state === 0 && this.at === this.data.length;
  }
}
