// From 10-bit Y'CbCr samples to RGB, by the tags of a stream.

/** Weights of red and blue in luma, by CICP matrix. */
const WEIGHTS = { 1: [0.2126, 0.0722], 4: [0.3, 0.11], 7: [0.212, 0.087], 9: [0.2627, 0.0593], 10: [0.2627, 0.0593] };

/** { offset, gain, matrix }: RGB in 0…1 is matrix · ((samples − offset) · gain); `matrix` has nine numbers, column by column. */
export function toRgb({ height, colour: { matrix, full } }) {
  const known = matrix === 2 ? (height >= 720 ? 1 : 6) : matrix;
  const [r, b] = WEIGHTS[known] ?? [0.299, 0.114];
  const g = 1 - r - b, red = 2 * (1 - r), blue = 2 * (1 - b);
  return {
    offset: full ? [0, 512, 512] : [64, 512, 512],
    gain: full ? [1 / 1023, 1 / 1023, 1 / 1023] : [1 / 876, 1 / 896, 1 / 896],
    matrix: [1, 1, 1, 0, (-blue * b) / g, blue, red, (-red * r) / g, 0],
  };
}
