#include "painter/rows.hpp"

#include <cmath>

namespace gv {

GV_SIMD(void, split_codes,
        (const uint16_t* codes, int pairs, float* __restrict even, float* __restrict odd),
        (codes, pairs, even, odd)) {
  for (int x = 0; x < pairs; ++x) {
    even[x] = codes[2 * x] * kScale;
    odd[x] = codes[2 * x + 1] * kScale;
  }
}

GV_SIMD(void, from_codes, (const uint16_t* codes, int width, float* __restrict out),
        (codes, width, out)) {
  for (int x = 0; x < width; ++x) out[x] = codes[x] * kScale;
}

namespace {
// Rounds to the nearest code, ties to even.
GV_INLINE uint16_t to_code(float v) {
  constexpr float kRound = 12582912.f;
  const float code = (v * kMaxSample + kRound) - kRound;
  return static_cast<uint16_t>(
      static_cast<int32_t>(code > 0.f ? (code < kMaxSample ? code : kMaxSample) : 0.f));
}
}  // namespace

GV_SIMD(void, to_codes, (const float* a, const float* b, int width, uint16_t* __restrict out),
        (a, b, width, out)) {
  for (int x = 0; x < width; ++x) out[x] = to_code(a[x] + b[x]);
}

GV_SIMD(void, join_codes,
        (const uint16_t* even, const uint16_t* odd, int pairs, uint16_t* __restrict out),
        (even, odd, pairs, out)) {
  for (int x = 0; x < pairs; ++x) {
    out[2 * x] = even[x];
    out[2 * x + 1] = odd[x];
  }
}

GV_SIMD(void, split_row,
        (const float* row, int pairs, float* __restrict even, float* __restrict odd),
        (row, pairs, even, odd)) {
  for (int x = 0; x < pairs; ++x) {
    even[x] = row[2 * x];
    odd[x] = row[2 * x + 1];
  }
}

GV_SIMD(void, low_rows, (const float* const* r, int width, float* __restrict out),
        (r, width, out)) {
  const float *a = r[0], *b = r[1], *c = r[2], *d = r[3], *e = r[4];
  for (int x = 0; x < width; ++x)
    out[x] = ((a[x] + e[x]) + 4.f * (b[x] + d[x]) + 6.f * c[x]) * (1.f / 16);
}

GV_SIMD(void, low_phases,
        (const float* even, const float* odd, int width, float* __restrict low_even,
         float* __restrict low_odd),
        (even, odd, width, low_even, low_odd)) {
  for (int x = 0; x < width; ++x) {
    low_even[x] =
        ((even[x - 1] + even[x + 1]) + 4.f * (odd[x - 1] + odd[x]) + 6.f * even[x]) * (1.f / 16);
    low_odd[x] =
        ((odd[x - 1] + odd[x + 1]) + 4.f * (even[x] + even[x + 1]) + 6.f * odd[x]) * (1.f / 16);
  }
}

GV_SIMD(void, bands_of,
        (const float* row, const float* down, const float* along, const float* both, int width,
         float* __restrict b0, float* __restrict b1, float* __restrict b2),
        (row, down, along, both, width, b0, b1, b2)) {
  for (int x = 0; x < width; ++x) {
    b0[x] = down[x] - both[x];
    b1[x] = along[x] - both[x];
    b2[x] = (row[x] - down[x]) - b1[x];
  }
}

GV_SIMD(void, low_along, (const float* row, int step, int width, float* __restrict out),
        (row, step, width, out)) {
  for (int x = 0; x < width; ++x)
    out[x] = ((row[x - 2 * step] + row[x + 2 * step]) + 4.f * (row[x - step] + row[x + step]) +
              6.f * row[x]) *
             (1.f / 16);
}

GV_SIMD(void, sum_of_bands,
        (const float* a, const float* b, const float* c, int width, float* __restrict out),
        (a, b, c, width, out)) {
  for (int x = 0; x < width; ++x) out[x] = a[x] + b[x] + c[x];
}

GV_SIMD(void, add_size, (const float* row, int width, float* __restrict sum), (row, width, sum)) {
  for (int x = 0; x < width; ++x) sum[x] += std::fabs(row[x]);
}

GV_SIMD(void, add_row, (const float* row, int width, float* __restrict sum), (row, width, sum)) {
  for (int x = 0; x < width; ++x) sum[x] += row[x];
}

GV_SIMD(void, decimate,
        (const float* const* even, const float* const* odd, int width, float* __restrict down_even,
         float* __restrict down_odd, float* __restrict out),
        (even, odd, width, down_even, down_odd, out)) {
  for (int x = -1; x <= width; ++x) {
    down_even[x] = (even[0][x] + even[3][x]) + 3.f * (even[1][x] + even[2][x]);
    down_odd[x] = (odd[0][x] + odd[3][x]) + 3.f * (odd[1][x] + odd[2][x]);
  }
  for (int x = 0; x < width; ++x)
    out[x] =
        ((down_odd[x - 1] + down_even[x + 1]) + 3.f * (down_even[x] + down_odd[x])) * (1.f / 64);
}

GV_SIMD(void, blur,
        (const float* above, const float* row, const float* below, int width,
         float* __restrict column, float* __restrict out),
        (above, row, below, width, column, out)) {
  for (int x = -1; x <= width; ++x) column[x] = above[x] + row[x] + below[x];
  for (int x = 0; x < width; ++x) out[x] = (column[x - 1] + column[x] + column[x + 1]) * (1.f / 9);
}

GV_SIMD(void, subtract, (const float* a, const float* b, int width, float* __restrict out),
        (a, b, width, out)) {
  for (int x = 0; x < width; ++x) out[x] = a[x] - b[x];
}

GV_SIMD(void, multiply, (float* __restrict a, const float* b, int width), (a, b, width)) {
  for (int x = 0; x < width; ++x) a[x] *= b[x];
}

GV_SIMD(void, weigh,
        (const float* a, const float* b, float share, int width, float* __restrict out),
        (a, b, share, width, out)) {
  for (int x = 0; x < width; ++x) out[x] = a[x] + share * (b[x] - a[x]);
}

GV_SIMD(void, widen, (const float* row, int width, float* __restrict out), (row, width, out)) {
  for (int x = 0; x < width; ++x) {
    const float a = row[x - 1], b = row[x], c = row[x + 1];
    out[4 * x] = 0.375f * a + 0.625f * b;
    out[4 * x + 1] = 0.125f * a + 0.875f * b;
    out[4 * x + 2] = 0.875f * b + 0.125f * c;
    out[4 * x + 3] = 0.625f * b + 0.375f * c;
  }
}

GV_SIMD(void, add_products,
        (const float* a, const float* b, const float* c, const float* d, int width,
         float* __restrict sum),
        (a, b, c, d, width, sum)) {
  for (int x = 0; x < width; ++x) sum[x] += a[x] * b[x] + c[x] * d[x];
}

GV_SIMD(void, raise,
        (const float* near, const float* far, int width, float* __restrict row,
         float* __restrict even, float* __restrict odd),
        (near, far, width, row, even, odd)) {
  for (int x = -1; x <= width; ++x) row[x] = 0.75f * near[x] + 0.25f * far[x];
  for (int x = 0; x < width; ++x) {
    even[x] = 0.75f * row[x] + 0.25f * row[x - 1];
    odd[x] = 0.75f * row[x] + 0.25f * row[x + 1];
  }
}

GV_SIMD(void, soften,
        (const float* const* even, const float* const* odd, int width, float* __restrict row_even,
         float* __restrict row_odd, float* __restrict out_even, float* __restrict out_odd),
        (even, odd, width, row_even, row_odd, out_even, out_odd)) {
  for (int x = -1; x <= width; ++x) {
    row_even[x] = (even[0][x] + 2.f * even[1][x] + even[2][x]) * (1.f / 4);
    row_odd[x] = (odd[0][x] + 2.f * odd[1][x] + odd[2][x]) * (1.f / 4);
  }
  for (int x = 0; x < width; ++x) {
    out_even[x] += (row_odd[x - 1] + 2.f * row_even[x] + row_odd[x]) * (1.f / 4);
    out_odd[x] += (row_even[x] + 2.f * row_odd[x] + row_even[x + 1]) * (1.f / 4);
  }
}

GV_SIMD(void, blend, (float* __restrict a, const float* before, const float* keep, int width),
        (a, before, keep, width)) {
  for (int x = 0; x < width; ++x) a[x] += keep[x] * (before[x] - a[x]);
}

GV_SIMD(void, colour_row,
        (const float* tint, const float* colour, const float* residual, int width,
         float* __restrict out),
        (tint, colour, residual, width, out)) {
  for (int x = 0; x < width; ++x) out[x] = tint[x] * colour[x] + residual[x];
}

GV_SIMD(void, scale_row, (float* __restrict a, const float* b, float factor, int width),
        (a, b, factor, width)) {
  for (int x = 0; x < width; ++x) a[x] *= factor * b[x];
}

void pool(const float* sum, int width, float factor, float* out) {
  for (int x = 0; x < width; ++x)
    out[x] = (sum[4 * x] + sum[4 * x + 1] + sum[4 * x + 2] + sum[4 * x + 3]) * factor;
}

}  // namespace gv
