// An integer network as Python hands it over: layers (weight, bias, multiplier, shift, low, high).
#pragma once

#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bindings/arrays.hpp"
#include "entropy/intnet.hpp"

using Layer = std::tuple<In<int8_t, 2>, In<int32_t, 1>, In<int32_t, 1>, int, int32_t, int32_t>;

// Raises std::invalid_argument for layers that do not fit together.
inline gv::IntegerNetwork to_network(const std::vector<Layer>& layers) {
  std::vector<gv::DenseLayer> parts;
  for (const auto& [weight, bias, multiplier, shift, low, high] : layers) {
    gv::DenseLayer layer;
    layer.outputs = static_cast<int>(weight.shape(0));
    layer.inputs = static_cast<int>(weight.shape(1));
    layer.weight.assign(weight.data(), weight.data() + weight.size());
    layer.bias.assign(bias.data(), bias.data() + bias.size());
    layer.multiplier.assign(multiplier.data(), multiplier.data() + multiplier.size());
    layer.shift = shift;
    layer.low = low;
    layer.high = high;
    parts.push_back(std::move(layer));
  }
  return gv::IntegerNetwork(std::move(parts));
}
