// Loops over rows that the painter is made of, in every form of instructions, all with the
// same result.
//
// A quad is four channels of one position, u8 each, in one uint32. Rows have room on both sides
// (`kRowMargin` samples): loops read and write whole vectors beyond the end of a row. Outputs
// overlap no input. Band, map, detail: int16; the definition is docs/spec/painter.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "common/basics.hpp"
#include "common/lines.hpp"

namespace gv {

constexpr int kRowMargin = 64;
constexpr int kDepthwiseRows = 4;  // that a depthwise convolution makes at once

// A layer as the loops read it: for each output, for each group of taps (see `Taps`), weights of
// the four inputs of each quad, and zeros up to a whole line. A sum begins with `start`, is cut to
// ±2^20 where it may be `large`, and becomes (sum · multiplier + offset) >> shift.
struct DotLayer {
  int outputs = 0;             // a multiple of four; added outputs are 0
  int group = 0, stride = 0;  // weights of a group, of an output
  bool large = false;
  Lines<int32_t> weight;  // of 16 outputs more
  std::vector<int32_t> start, multiplier, offset, shift, step;
};

// Where the taps of a layer begin: quads `stride` apart from each of one or three places.
struct Taps {
  const uint32_t* first[3];
  int groups, rows;
  ptrdiff_t stride;
};

struct PainterForms {
  // Activations of a layer as quads.
  void (*quads)(const DotLayer& d, const Taps& taps, int width, uint32_t* const* out);
  // Sums scaled, plus `more` (may be null), cut to ±limit.
  void (*rows)(const DotLayer& d, const Taps& taps, int width, const int16_t* const* more,
               int limit, int16_t* const* out);
  // kDepthwiseRows rows of four channels of a depthwise 5×5 convolution: `rows` four more for each
  // channel, `weight` 25 and the following ones one value a channel. `scratch`: a row with margins
  // for each channel and row.
  void (*depthwise)(const int16_t* const* rows, const int8_t* weight, const int32_t* bias,
                    const int32_t* multiplier, const int32_t* shift, int width, int16_t* scratch,
                    uint32_t* const* out);
  // Four rows scaled, as levels around 64.
  void (*view)(const int16_t* const* rows, const int32_t* multiplier, const int32_t* shift,
               int width, uint32_t* out);
  // Bands of a row from five rows, `step` samples apart: H, V, D, N, P, Q, low; null where not
  // wanted. N, P, Q; or, with `sums` (three rows, else null) to which |H|, |V|, |D| are added, low
  // with or N without H, V, D; or low or N alone.
  void (*bands)(const int16_t* const* rows, int step, bool fine, int width, int16_t* scratch,
                int16_t* const* out, int16_t* const* sums);
  void (*decimate)(const int16_t* const* rows, int width, int16_t* scratch, int16_t* out);
  // Signals as quads: of four rows, or of the four phases of two rows of double width.
  void (*squeeze)(const int16_t* const* rows, int width, uint32_t* out);
  void (*squeeze_phases)(const int16_t* even, const int16_t* odd, int width, uint32_t* out);
  // Products of the gradients of three rows, added up in pairs of columns: xx, yy, xy.
  void (*gradients)(const int16_t* const* rows, int width, int32_t* const* sums);
  // A map's row between two rows of blocks (share of the lower in eighths), four times as wide.
  void (*widen)(const int16_t* upper, const int16_t* lower, int share, int width8, int16_t* scratch,
                int16_t* out);
  // Every sample twice.
  void (*twice)(const int16_t* row, int width, int16_t* out);
  // Σ bands × maps of the coarse scales (12 each; picture ×8, noise ×4, in threes).
  void (*below)(const int16_t* const* bands, const int16_t* const* maps, int width, int16_t* out);
  // A row of twice the size between rows `near` and `far`.
  void (*raise)(const int16_t* near, const int16_t* far, int width, int16_t* scratch, int16_t* out);
  // A row of luma: `detail` has the raised coarse part, six bands × maps come in; blended with
  // `fetched` by `keep` (both null: not), and added to `loop`.
  void (*luma)(const int16_t* loop, const int16_t* const* bands, const int16_t* const* maps,
               const int16_t* fetched, const int16_t* keep, int width, int16_t* detail,
               int16_t* out);
  // A row of luma or chroma with its detail.
  void (*add_detail)(const int16_t* loop, const int16_t* detail, int width, int16_t* out);
  // Chroma less its blur, and the blur, in quarter codes; sizes and values are
  // added to `sums` (two rows).
  void (*colour)(const int16_t* const* rows, int width, int16_t* scratch, int16_t* high,
                 int16_t* const* sums);
  void (*chroma)(const int16_t* loop, const int16_t* high, const int16_t* tint,
                 const int16_t* fetched, const int16_t* keep, int width, int16_t* detail,
                 int16_t* out);
};

// Those of the form in use (`cpu`).
const PainterForms& painter_forms();

}  // namespace gv
