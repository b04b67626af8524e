#include "entropy/intnet.hpp"

namespace gv {
namespace {

constexpr int kRows = 4;  // that share one reading of the weights

// sums[r * outputs + o] = bias[o] + weight[o] · in[r] for kRows rows.
GV_SIMD(void, multiply, (const DenseLayer& layer, const int16_t* in, int32_t* sums),
        (layer, in, sums)) {
  const int n = layer.inputs;
  const int16_t *a = in, *b = in + n, *c = in + 2 * n, *d = in + 3 * n;
  for (int o = 0; o < layer.outputs; ++o) {
    const int16_t* w = layer.weight.data() + static_cast<size_t>(o) * n;
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (int i = 0; i < n; ++i) {
      s0 += static_cast<int32_t>(w[i]) * a[i];
      s1 += static_cast<int32_t>(w[i]) * b[i];
      s2 += static_cast<int32_t>(w[i]) * c[i];
      s3 += static_cast<int32_t>(w[i]) * d[i];
    }
    sums[o] = s0 + layer.bias[o];
    sums[layer.outputs + o] = s1 + layer.bias[o];
    sums[2 * layer.outputs + o] = s2 + layer.bias[o];
    sums[3 * layer.outputs + o] = s3 + layer.bias[o];
  }
}

}  // namespace

IntegerNetwork::IntegerNetwork(std::vector<DenseLayer> layers) : layers_(std::move(layers)) {
  check(!layers_.empty(), "a network has at least one layer");
  for (size_t l = 0; l < layers_.size(); ++l) {
    const DenseLayer& layer = layers_[l];
    const size_t in = static_cast<size_t>(layer.inputs), out = static_cast<size_t>(layer.outputs);
    check(layer.inputs >= 1 && layer.outputs >= 1 && layer.inputs <= kMaxInputsOfLayer,
          "layer of impossible size");
    check(layer.weight.size() == in * out && layer.bias.size() == out &&
              layer.multiplier.size() == out,
          "layer of another shape");
    check(l == 0 || layers_[l - 1].outputs == layer.inputs, "layers do not fit together");
    check(layer.shift >= 1 && layer.shift <= 62, "shift is 1…62");
    check(layer.low <= layer.high, "empty range");
    check(l + 1 == layers_.size() || (layer.low >= 0 && layer.high <= kMaxActivation),
          "activations are 0…127");
    for (const int16_t w : layer.weight) check(w >= -128 && w <= 127, "weights are -128…127");
    for (const int32_t b : layer.bias) check(b >= -kMaxBias && b <= kMaxBias, "bias beyond 2^30");
    widest_ = std::max({widest_, layer.inputs, layer.outputs});
  }
}

void IntegerNetwork::forward(const uint8_t* in, int rows, int32_t* out) const {
  std::vector<int16_t> activations(static_cast<size_t>(kRows) * widest_);
  std::vector<int32_t> sums(activations.size());
  for (int first = 0; first < rows; first += kRows) {
    const int count = std::min(kRows, rows - first);
    const size_t given = static_cast<size_t>(count) * inputs();
    for (size_t i = 0; i < given; ++i)
      activations[i] =
          std::min<int16_t>(in[static_cast<size_t>(first) * inputs() + i], kMaxActivation);
    for (const DenseLayer& layer : layers_) {
      multiply(layer, activations.data(), sums.data());
      const bool final = &layer == &layers_.back();
      for (int r = 0; r < count; ++r)
        for (int o = 0; o < layer.outputs; ++o) {
          const size_t at = static_cast<size_t>(r) * layer.outputs + o;
          const int32_t value =
              requantise(sums[at], layer.multiplier[o], layer.shift, layer.low, layer.high);
          if (final) out[static_cast<size_t>(first) * layer.outputs + at] = value;
          else activations[at] = static_cast<int16_t>(value);
        }
    }
  }
}

}  // namespace gv
