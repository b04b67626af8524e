// Convolutions 3×3 of the perceptual metric by Winograd's F(2×2, 3×3) [Lavin and Gray,
// arXiv:1509.09308, section 4.1], in integers and in every form of instructions, all with the same
// result.
//
// A map is held as four phases: samples of even rows and even columns, even and odd, odd and even,
// odd and odd, (rows, columns) int16 each, one after another as one line with a zero column between
// rows. Place f of the line is a tile: its 2×2 outputs are at f of the four phases, and its 4×4
// inputs around them. Loops run over places, `kTiles` at a time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gv {

constexpr int kTiles = 64;
constexpr int kPoints = 16;  // of a transformed tile
// Values of a point, and sums of a channel, are so many integers apart at least: powers of two
// would fall into the same lines of caches.
constexpr int kApart = 16;
constexpr int kSumsStride = kPoints * kTiles + kApart;

struct ConvolutionForms {
  // Transforms the inputs of a pair of channels. `phases`: four of each channel, at the first
  // place; `row`: places from a row to the next; `out` (points, `stride`): pairs of the channels'
  // values of all tiles, in an order of this form's own.
  void (*transform)(const int16_t* const* phases, ptrdiff_t row, int32_t* out, size_t stride);
  // Sums of a point over pairs of channels, modulo 2^32: `values` (pairs, kTiles), `weight`
  // (outputs / 4, pairs, 4) pairs, `sums` (outputs, kTiles), kSumsStride apart; outputs a multiple
  // of four.
  void (*multiply)(const int32_t* values, const int32_t* weight, int pairs, int outputs,
                   int32_t* sums);
  // The outputs of a channel: its sums (points, kTiles), transformed back, plus `start`, shifted
  // right and cut to 0…`most`, at the first place of four phases.
  void (*finish)(const int32_t* sums, int32_t start, int shift, int most, int16_t* const* phases);
};

// Those of the form in use (`cpu`).
const ConvolutionForms& convolution_forms();

}  // namespace gv
