// Tokens of a `fit`: integers by window, quadrant and region that steer the painter (docs/spec/fit.md).

import { Cursor, Damaged } from "./bytes.js";
import { IntegerDecoder } from "./rans.js";

/** Luma samples of a window's, a quadrant's and a region's side. */
export const SIDES = [256, 128, 64];
const MOST = 7, STEP = 8, MOST_LEVEL = 63, ON = 127, MIDDLE = 64;
const EXACT = 2 ** 53;
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const padded = (side) => Math.ceil(side / 16) * 16;

/** Fully connected layers of integers, `tokens.0` and so on among the tensors of a painter. */
class Network {
  constructor(tensors) {
    this.layers = [];
    while (`tokens.${this.layers.length}.weight` in tensors) {
      const [weight, bias, multiplier, bounds] = ["weight", "bias", "multiplier", "bounds"].map((part) => tensors[`tokens.${this.layers.length}.${part}`].values);
      const [shift, low, high] = bounds, inputs = weight.length / bias.length;
      const most = Array.from(bias, (value, o) => {
        const sum = weight.subarray(o * inputs, (o + 1) * inputs).reduce((total, each) => total + ON * Math.abs(each), Math.abs(value));
        return sum * Math.abs(multiplier[o]) + 2 ** shift;
      });
      this.layers.push({ weight, bias, multiplier, shift, low, high, inputs, exact: Math.max(...most) < EXACT });
    }
  }

  /** Scale, mean and inflation for activations of 0…127. */
  outputs(activations) {
    let x = activations;
    for (const { weight, bias, multiplier, shift, low, high, inputs, exact } of this.layers) {
      x = Array.from(bias, (sum, o) => {
        for (let i = 0; i < inputs; ++i) sum += weight[o * inputs + i] * x[i];
        const scaled = exact
          ? Math.floor((sum * multiplier[o] + 2 ** (shift - 1)) / 2 ** shift)
          : Number((BigInt(sum) * BigInt(multiplier[o]) + (1n << BigInt(shift - 1))) >> BigInt(shift));
        return clamp(scaled, low, high);
      });
    }
    return [clamp(x[0], 0, 63), clamp(x[1], -32768, 32767), clamp(x[2], 0, 127)];
  }
}

/** Integers that a token has in a painter with these tensors; 0: none can steer it. */
export const dimensionsOf = (tensors) => tensors["tokens.weight"]?.shape[1] ?? 0;

/**
 * Style offsets of regions from bytes of tokens: { dimensions, rows, columns, levels }, int8 by (dimension, row, column). Beside them what is
 * coded: `count` tokens in `bytes`, `kinds` (0…3) of each window, in rows. Throws `Damaged`.
 */
export function readTokens(data, tensors, { width, height, q }) {
  const dimensions = dimensionsOf(tensors);
  if (!dimensions) throw new Damaged("fitted weights: tokens for a painter that none can steer");
  const grids = SIDES.map((side) => [height, width].map((length) => Math.ceil(padded(length) / side)));
  const [rows, columns] = grids[0], windows = rows * columns;
  const read = new Cursor(data, "tokens of the painter");
  const kinds = Array.from(read.take(Math.ceil(windows / 4)), (byte) => [0, 2, 4, 6].map((bit) => (byte >> bit) & 3)).flat();
  if (kinds.slice(windows).some(Boolean)) throw new Damaged("tokens of the painter: more windows than the picture has");
  const coder = new IntegerDecoder(read.take(read.left)), network = new Network(tensors);
  // By kind and place; undefined where nothing is coded.
  const coded = grids.map(([high, wide]) => new Array(high * wide));
  const at = (kind, y, x) => (kind < 0 || y < 0 || x < 0 ? undefined : coded[kind][y * grids[kind][1] + x]);
  let count = 0;
  for (let window = 0; window < windows; ++window) {
    const top = Math.floor(window / columns), left = window % columns;
    for (let kind = 0; kind < kinds[window]; ++kind) {
      const side = 1 << kind, [high, wide] = grids[kind];
      for (let y = top * side; y < Math.min((top + 1) * side, high); ++y) {
        for (let x = left * side; x < Math.min((left + 1) * side, wide); ++x, ++count) {
          const around = [at(kind - 1, y >> 1, x >> 1), at(kind, y, x - 1), at(kind, y - 1, x)];
          coded[kind][y * wide + x] = token(coder, network, around, kind, dimensions, q);
        }
      }
    }
  }
  if (!coder.finished() || (!count && data.length > Math.ceil(windows / 4))) throw new Damaged("tokens of the painter: integers are missing or followed by other bytes");
  return { ...levelsOf(coded, grids, dimensions), kinds: kinds.slice(0, windows), count, bytes: data.length };
}

function token(coder, network, around, kind, dimensions, q) {
  const integers = [];
  for (let d = 0; d < dimensions; ++d) {
    const x = new Array(dimensions + SIDES.length).fill(0);
    x[d] = x[dimensions + kind] = ON;
    x.push(Math.min(2 * q, ON), ...around.map((other) => MIDDLE + (other?.[d] ?? 0)), MIDDLE + (integers[d - 1] ?? 0), MIDDLE + (integers[d - 2] ?? 0));
    const value = coder.get(...network.outputs(x));
    if (Math.abs(value) > MOST) throw new Damaged("tokens of the painter: an integer is out of range");
    integers.push(value);
  }
  return integers;
}

function levelsOf(coded, grids, dimensions) {
  const [rows, columns] = grids[2], levels = new Int8Array(dimensions * rows * columns);
  for (let y = 0; y < rows; ++y) {
    for (let x = 0; x < columns; ++x) {
      const tokens = SIDES.map((_, kind) => coded[kind][(y >> (2 - kind)) * grids[kind][1] + (x >> (2 - kind))]);
      for (let d = 0; d < dimensions; ++d) {
        const sum = tokens.reduce((total, integers) => total + (integers?.[d] ?? 0), 0);
        levels[(d * rows + y) * columns + x] = clamp(STEP * sum, -MOST_LEVEL, MOST_LEVEL);
      }
    }
  }
  return { dimensions, rows, columns, levels };
}

/** Regions of 64×64 luma samples that show base frames, { rows, columns, bits }, of a picture of this size. Throws `Damaged`. */
export function readUnpainted(data, { width, height }) {
  const [rows, columns] = [height, width].map((length) => Math.ceil(length / SIDES[2])), count = rows * columns;
  const bits = Array.from(data, (byte) => Array.from({ length: 8 }, (_, bit) => (byte >> bit) & 1)).flat();
  if (data.length !== Math.ceil(count / 8) || bits.slice(count).some(Boolean)) throw new Damaged("fitted weights: regions that are not painted do not fit");
  return { rows, columns, bits: bits.slice(0, count) };
}

/** Copies the samples of these regions (or null) from the base frame to `out`, planes one behind the other. */
export function showBase(regions, base, out, { width, height }) {
  if (!regions) return;
  let plane = 0;
  for (const half of [1, 2, 2]) {
    const wide = Math.ceil(width / half), high = Math.ceil(height / half), side = SIDES[2] / half;
    regions.bits.forEach((bit, place) => {
      if (!bit) return;
      const top = Math.floor(place / regions.columns) * side, left = (place % regions.columns) * side;
      for (let y = top; y < Math.min(top + side, high); ++y) {
        const row = plane + y * wide;
        out.set(base.subarray(row + left, row + Math.min(left + side, wide)), row + left);
      }
    });
    plane += wide * high;
  }
}

/** Levels at blocks of 8×8 samples, bilinear between centres of regions: int8 by (dimension, row, column) of `high` × `wide` blocks. */
export function levelsAtBlocks({ dimensions, rows, columns, levels }, high, wide) {
  const places = (blocks, regions) => Array.from({ length: blocks }, (_, block) => {
    const n = 2 * block - 7, before = n >> 4;
    return [clamp(before, 0, regions - 1), clamp(before + 1, 0, regions - 1), n & 15];
  });
  const down = places(high, rows), along = places(wide, columns), found = new Int8Array(dimensions * high * wide);
  let at = 0;
  for (let d = 0; d < dimensions; ++d) {
    for (const [top, bottom, lower] of down) {
      const [above, below] = [top, bottom].map((row) => levels.subarray((d * rows + row) * columns, (d * rows + row + 1) * columns));
      for (const [left, right, later] of along) {
        const upper = above[left] * (16 - later) + above[right] * later, under = below[left] * (16 - later) + below[right] * later;
        found[at++] = (upper * (16 - lower) + under * lower + 128) >> 8;
      }
    }
  }
  return found;
}
