// Inference of a small fully connected network by integers alone: the same result on every machine
// and instruction set.
//
// Activations are u8 in 0…127, weights s8, sums int32. An output is requantised by a
// multiplication, a shift that rounds halves up, and a clamp: clamp((sum · multiplier +
// 2^(shift-1)) >> shift, low, high), computed in 64 bits. Since activations stay below 128, no
// product pair exceeds 16 bits: units that multiply u8 by s8 with 16-bit saturation (AVX2's
// maddubs) agree with those that do not (VNNI, CUDA's dp4a, plain C).
#pragma once

#include "common/basics.hpp"

namespace gv {

constexpr int kMaxActivation = 127;
constexpr int kMaxInputsOfLayer = 1 << 15;  // with |bias| <= 2^30 a sum stays inside int32
constexpr int32_t kMaxBias = 1 << 30;

struct DenseLayer {
  int inputs = 0, outputs = 0;
  std::vector<int16_t>
      weight;  // outputs × inputs, -128…127; 16 bit because compilers multiply those pairwise
  std::vector<int32_t> bias;               // outputs
  std::vector<int32_t> multiplier;         // outputs
  int shift = 1;                           // 1…62
  int32_t low = 0, high = kMaxActivation;  // all but the last layer: inside 0…127
};

// Requantization of the sum of an output: multiplied, shifted with halves up, clamped.
GV_BOTH inline int32_t requantise(int32_t sum, int32_t multiplier, int shift, int32_t low,
                                  int32_t high) {
  const int64_t product = static_cast<int64_t>(sum) * multiplier;
  return static_cast<int32_t>(
      clamp<int64_t>((product + (int64_t{1} << (shift - 1))) >> shift, low, high));
}

class IntegerNetwork {
 public:
  // Raises std::invalid_argument when the layers do not fit together or a value is out of its
  // range.
  explicit IntegerNetwork(std::vector<DenseLayer> layers);
  int inputs() const { return layers_.front().inputs; }
  int outputs() const { return layers_.back().outputs; }
  // Inputs or outputs of the widest layer.
  int widest() const { return widest_; }
  const std::vector<DenseLayer>& layers() const { return layers_; }
  // in: rows × inputs, 0…127 (larger values count as 127); out: rows × outputs.
  void forward(const uint8_t* in, int rows, int32_t* out) const;

 private:
  std::vector<DenseLayer> layers_;
  int widest_ = 0;
};

}  // namespace gv
