// Integers coded by 16-bit CDF tables: 64 discretised Laplace distributions, chosen by (scale index, mean in 1/8 step).
//
// Scale i stands for a mean absolute deviation of 64 · 2^((i - 63) / 6), that is 0.044…64. A table's symbols are the
// distances of the value from the mean, nearest first (0, 1, -1, 2, -2 …), up to a radius beyond which a scale's tail
// is lighter than 1/512; the last symbol is an escape, followed by an exp-Golomb code of what is left. Tables are made
// by integer arithmetic alone, so they are the same on every machine. Every int32 can be coded with every table.
#pragma once

#include <array>

#include "core/rans.hpp"

namespace gv {

constexpr int kScales = 64;
constexpr int kMeanSteps = 8;

struct ScaleTables {
  int radius = 0;       // distances -radius…radius have symbols of their own
  int golomb = 0;       // order of the exp-Golomb code after an escape
  int symbols = 0;      // 2 · radius + 1, and the escape
  // edge[f][s]…edge[f][s + 1]: what symbol s occupies of 2^16 when the mean lies f - 4 eighths above the centre.
  std::array<std::vector<uint32_t>, kMeanSteps> edge;
};

// scale < kScales. Tables are made at the first call.
const ScaleTables& scale_tables(int scale);

void encode_integer(RansEncoder& coder, int scale, int mean, int32_t value);

// Any bytes decode to some value; what lies beyond int32 is clamped.
int32_t decode_integer(RansDecoder& coder, int scale, int mean);

}  // namespace gv
