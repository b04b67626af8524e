// KLT of a block of 16×16 luma and 2 × 8×8 chroma samples (384 values: Y, U, V, each row by row).
//
// A basis is `count` rows of 384 int16 values in units of 2^-12, ordered by variance. Coefficients
// are integers in quarters of a sample step. The inverse is exact: 32-bit sums that wrap (only a
// made-up stream can make them wrap), then a rounded shift.
#pragma once

#include "common/basics.hpp"

namespace gv {

constexpr int kBlock = 16;
constexpr int kBlockSamples = 384;
constexpr int kBasisBits = 12;
constexpr int kCoefBits = 2;        // fraction bits of a dequantised coefficient
constexpr int kMaxLevel = 1 << 15;  // |quantised level| stays below

struct Basis {
  int count = 0;
  std::vector<int16_t> rows;  // count × 384
  const int16_t* row(int i) const { return rows.data() + static_cast<size_t>(i) * kBlockSamples; }
};

// coefficients[i] (quarter steps) for i < count; |residual| <= 1023.
void klt_forward(const Basis& basis, int count, const int16_t* residual, int32_t* coefficients);

// residual[k] = round(sum over i < count of basis[i][k] * coefficients[i]).
void klt_inverse(const Basis& basis, int count, const int32_t* coefficients, int16_t* residual);

// Quantiser step of quality index q (0…63) at a pyramid level, in quarter sample steps: 2^(q/9)
// growth.
int quantiser_step(int q, int level);

// Value of a quantised level: reconstruction points lie 1/16 of a step towards zero.
inline int32_t dequantise(int level, int step) {
  const int magnitude = std::abs(level) * step - (level != 0 ? step >> 4 : 0);
  return level < 0 ? -magnitude : magnitude;
}

}  // namespace gv
