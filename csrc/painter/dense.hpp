// Float arithmetic of the renderer on rows of pixels: weighted sums of rows, which are all of its
// convolutions, and SiLU. Pictures come of it, never bits: results may differ in the last place
// from one instruction set to another.
#pragma once

#include <cstddef>
#include <vector>

namespace gv {

// Rows are read and written in whole blocks of so many samples.
constexpr int kRowBlock = 48;

inline int whole_blocks(int width) { return (width + kRowBlock - 1) / kRowBlock * kRowBlock; }

// Weights of a sum, for kOutBlock outputs together; the last block is filled up with zeros.
struct Dense {
  static constexpr int kOutBlock = 8;
  int inputs = 0, outputs = 0;
  std::vector<float> weight;  // [output block][input][output in block]
  std::vector<float> bias;

  Dense() = default;
  Dense(int inputs_, int outputs_)
      : inputs(inputs_),
        outputs(outputs_),
        weight(static_cast<size_t>(inputs_) * blocks() * kOutBlock),
        bias(static_cast<size_t>(blocks()) * kOutBlock) {}
  int blocks() const { return (outputs + kOutBlock - 1) / kOutBlock; }
  const float* block(int b) const {
    return weight.data() + static_cast<size_t>(b) * inputs * kOutBlock;
  }
  float& at(int input, int output) {
    return weight[(static_cast<size_t>(output / kOutBlock) * inputs + input) * kOutBlock +
                  output % kOutBlock];
  }
};

// out[o][x] = bias[o] + Σ_k weight[k][o] · in[k][x] for x in [0, whole_blocks(width)). No output
// may be an input of another block.
void combine(const Dense& dense, const float* const* in, int width, float* const* out);

// The same without any special instructions, for tests.
void combine_plain(const Dense& dense, const float* const* in, int width, float* const* out);

// out[x] = bias + Σ_k weight[k] · in[k][x]: one channel by itself.
void combine_one(const float* weight, float bias, int inputs, const float* const* in, int width,
                 float* out);

// x / (1 + exp(−x)) in place, relative error at most 1e-6 + 2e-7·|x| for |x| < 80; 1 / (1 +
// exp(−x)) likewise.
void silu(float* x, int width);
void sigmoid(float* x, int width);

}  // namespace gv
