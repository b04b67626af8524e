// Loops over rows of samples that the renderer is made of, and what its parts share. Outputs
// overlap no input.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "common/basics.hpp"
#include "painter/painter.hpp"

namespace gv {

constexpr int kFine = 3, kCoarse = 6, kBands = 9, kSignals = 12, kGrainSeen = 6, kGrain = 10;
constexpr int kTint = 2 * kBands, kKeep = kTint + 2, kHeads = kKeep + 1;
constexpr int kMeasures = 16, kBase = 11, kMismatch = 14, kKnown = 15;
constexpr int kResidual = 6;
constexpr float kTrustScale = 6.f / 255;  // these two as in renderer.py
constexpr float kKeepLimit = 0.8f;
constexpr float kScale = 1.f / kMaxSample;
// Where coarse band i lies in `grain_`.
constexpr int kGrainPlace[kCoarse] = {4, 6, 7, 5, 8, 9};

inline void repeat_edges(float* row, int width, int count) {
  std::fill(row - count, row, row[0]);
  std::fill(row + width, row + width + count, row[width - 1]);
}

inline void zero_edges(float* row, int width) {
  row[-1] = row[-2] = 0.f;
  row[width] = row[width + 1] = 0.f;
}

// Rows of a picture's own width with room at both sides.
struct Rows {
  int stride;
  std::vector<float> data;
  Rows(int count, int width)
      : stride(whole_blocks(width) + 2 * Field::kMargin),
        data(static_cast<size_t>(count) * stride) {}
  float* operator[](int i) {
    return data.data() + static_cast<size_t>(i) * stride + Field::kMargin;
  }
};

void split_codes(const uint16_t* codes, int pairs, float* even, float* odd);

void from_codes(const uint16_t* codes, int width, float* out);

void to_codes(const float* a, const float* b, int width, uint16_t* out);

void join_codes(const uint16_t* even, const uint16_t* odd, int pairs, uint16_t* out);

void split_row(const float* row, int pairs, float* even, float* odd);

// [1 4 6 4 1] / 16 over five rows.
void low_rows(const float* const* r, int width, float* out);

// The same along two phases of a row.
void low_phases(const float* even, const float* odd, int width, float* low_even, float* low_odd);

// Bands of a row from the row itself, the row low-passed across rows, and both low-passed along the
// row.
void bands_of(const float* row, const float* down, const float* along, const float* both, int width,
              float* b0, float* b1, float* b2);

// [1 4 6 4 1] / 16 along a row, taps `step` apart.
void low_along(const float* row, int step, int width, float* out);

void sum_of_bands(const float* a, const float* b, const float* c, int width, float* out);

void add_size(const float* row, int width, float* sum);

void add_row(const float* row, int width, float* sum);

// [1 3 3 1] / 8 over the phases of four rows (even, odd columns each), then along them, decimated
// by two.
void decimate(const float* const* even, const float* const* odd, int width, float* down_even,
              float* down_odd, float* out);

// Mean of 3×3 samples.
void blur(const float* above, const float* row, const float* below, int width, float* column,
          float* out);

void subtract(const float* a, const float* b, int width, float* out);

void multiply(float* a, const float* b, int width);

void weigh(const float* a, const float* b, float share, int width, float* out);

// Four samples of linear interpolation from each one of a row whose edges are repeated.
void widen(const float* row, int width, float* out);

void add_products(const float* a, const float* b, const float* c, const float* d, int width,
                  float* sum);

// Linear interpolation of the coarse detail between rows (near: the row itself), then along both
// phases of columns.
void raise(const float* near, const float* far, int width, float* row, float* even, float* odd);

// [1 2 1] / 4 over three rows (even and odd columns each) and along them, added to both phases.
void soften(const float* const* even, const float* const* odd, int width, float* row_even,
            float* row_odd, float* out_even, float* out_odd);

void blend(float* a, const float* before, const float* keep, int width);

void colour_row(const float* tint, const float* colour, const float* residual, int width,
                float* out);

void scale_row(float* a, const float* b, float factor, int width);

// Sums of four neighbours, times `factor`.
void pool(const float* sum, int width, float factor, float* out);

}  // namespace gv
