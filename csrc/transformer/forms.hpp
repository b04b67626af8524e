// Inner loops of the transformer in each set of instructions, all with the same bits.
//
// All arrays are float32. `rows` of an array lie `stride` floats apart. A panel is a block of
// `panel_width` neighbouring columns of a matrix. Nothing overlaps unless it says so.
#pragma once

#include <cstddef>
#include <cstdint>

#include "transformer/constants.hpp"

namespace gv::exact {

constexpr int kMostPanelWidth = 64;

// out[row][column] = limited(sum over k of a[row][k] * b[k][column], then * factor + bias), then
// residual + that. Null pointers leave their operation out.
struct Product {
  const float* a = nullptr;  // [rows, depth]
  ptrdiff_t a_stride = 0;
  int rows = 0, depth = 0, columns = 0;
  const float* b = nullptr;  // panels of [depth, panel_width], readable in full
  ptrdiff_t b_stride = 0, panel_stride = 0;
  const float* factor = nullptr;  // [rows]
  const float* bias = nullptr;    // [columns]
  const float* residual = nullptr;
  ptrdiff_t residual_stride = 0;
  float* out = nullptr;  // [rows, columns], may be `residual`
  ptrdiff_t out_stride = 0;
};

enum class Function { kExp, kLog, kSigmoid, kGelu, kSoftplus, kLimited };

struct Loops {
  int panel_width;
  void (*multiply)(const Product& p);
  // out: may be `x`.
  void (*apply)(Function function, const float* x, ptrdiff_t count, float* out);
  // rows of `width` values, side by side.
  void (*layer_norm)(const float* x, ptrdiff_t rows, int width, const float* gain,
                     const float* bias, float epsilon, float* out);
  // Replaces the first `visible` scores of a row by exp(score - largest) and the following ones up
  // to `end` by 0. Rows have room for whole groups of kSumLanes. Returns 1 / (sum of exponentials).
  float (*softmax)(float* scores, int visible, int end);
};

// Those of the form in use (`cpu`).
const Loops& loops();

}  // namespace gv::exact
