// The klt decoder as a page calls it: plain functions, pointers into the module's memory.
//
// A handle is a pointer; 0 means that something was refused, and `gv_error` says what. Only models whose hash was
// checked may come in here: their tensors are taken as they are.
#include <cstring>
#include <memory>
#include <string>

#include "klt/codec.hpp"

namespace {

std::string error;

struct Tensor {
  const void* data;
  uint32_t bytes;
};

// The order in which `klt.js` hands over the tensors of a model file.
enum Name { kKey, kInter, kCoarse, kProbabilities, kCounts, kWeights, kTokenWeight, kTokenBias, kTokenMultiplier, kTokenShift,
            kNetworks, kRelatives = kNetworks + 6 * gv::refine::kNetworks, kNames = kRelatives + 3 };

template <class T>
std::vector<T> values(const Tensor& t) {
  const T* from = static_cast<const T*>(t.data);
  return std::vector<T>(from, from + t.bytes / sizeof(T));
}

template <class Wide>
std::vector<Wide> widened(const Tensor& t) {
  const std::vector<int8_t> narrow = values<int8_t>(t);
  return std::vector<Wide>(narrow.begin(), narrow.end());
}

gv::Basis to_basis(const Tensor& t) {
  gv::Basis b;
  b.rows = values<int16_t>(t);
  b.count = static_cast<int>(b.rows.size()) / gv::kBlockSamples;
  return b;
}

gv::DecisionNetwork to_network(const Tensor* t) {
  constexpr size_t kHidden = gv::refine::kHidden, kFeatures = gv::refine::kDecisionFeatures;
  gv::DecisionNetwork n;
  n.token = widened<int16_t>(t[0]);
  n.row = values<int32_t>(t[2]);
  const std::vector<int8_t> decision = values<int8_t>(t[1]), out = values<int8_t>(t[5]);
  const std::vector<int32_t> multiplier = values<int32_t>(t[3]), scale = values<int32_t>(t[4]);
  for (size_t o = 0; o < kHidden; ++o) {
    n.multiplier[o] = multiplier.at(o);
    n.out[o] = out.at(o);
    for (size_t f = 0; f < kFeatures; ++f) n.decision[f * kHidden + o] = decision.at(o * kFeatures + f);
  }
  n.shift = scale.at(0);
  n.out_bias = scale.at(1);
  n.out_multiplier = scale.at(2);
  n.out_shift = scale.at(3);
  return n;
}

gv::RefinerModel to_refiner(const Tensor* t) {
  gv::RefinerModel model;
  if (!t[kTokenWeight].data) return model;
  gv::DenseLayer layer;
  layer.weight = widened<int16_t>(t[kTokenWeight]);
  layer.bias = values<int32_t>(t[kTokenBias]);
  layer.multiplier = values<int32_t>(t[kTokenMultiplier]);
  layer.shift = values<int32_t>(t[kTokenShift]).at(0);
  layer.outputs = static_cast<int>(layer.bias.size());
  layer.inputs = static_cast<int>(layer.weight.size()) / std::max(1, layer.outputs);
  model.token.push_back(layer);
  for (int i = 0; i < gv::refine::kNetworks; ++i) model.network[i] = to_network(t + kNetworks + 6 * i);
  for (int i = 0; i < 3; ++i) model.relatives[i] = values<int16_t>(t[kRelatives + i]);
  return model;
}

gv::Model to_model(const Tensor* t) {
  gv::Model m;
  m.basis[0][0] = to_basis(t[kKey]);
  m.basis[1][0] = to_basis(t[kInter]);
  for (int level = 1; level < gv::kLevels; ++level) m.basis[0][level] = m.basis[1][level] = to_basis(t[kCoarse]);
  const auto p = values<uint16_t>(t[kProbabilities]);
  const auto n = values<uint8_t>(t[kCounts]);
  const auto w = values<int32_t>(t[kWeights]);
  for (size_t i = 0; i < p.size(); ++i) m.initial.slots.at(i) = {p[i], std::min<uint8_t>(n.at(i), gv::kCountLimit)};
  for (size_t i = 0; i < w.size(); ++i) m.initial.weights.at(i) = gv::clamp(w[i], -gv::kWeightLimit, gv::kWeightLimit);
  m.refiner = to_refiner(t);
  return m;
}

struct Klt {
  gv::Model model;
  int width, height;
  gv::KltDecoder decoder;
  Klt(gv::Model m, int w, int h, int threads) : model(std::move(m)), width(w), height(h), decoder(model, w, h, threads) {}
};

}  // namespace

extern "C" {

const char* gv_error() { return error.c_str(); }

// `tensors`: as many as `Name` has; data 0: the model has none of that name.
Klt* klt_open(const Tensor* tensors, int width, int height, int threads) try {
  return new Klt(to_model(tensors), width, height, threads);
} catch (const std::exception& e) {
  error = e.what();
  return nullptr;
}

void klt_close(Klt* klt) { delete klt; }

// 1: the planes of the frame lie one behind the other in `planes`; 0: refused.
int klt_decode(Klt* klt, const uint8_t* data, uint32_t size, uint16_t* planes) try {
  klt->decoder.decode(data, size);
  for (int c = 0; c < 3; ++c) {
    const gv::Plane& p = klt->decoder.loop().plane[c];
    const int width = c ? (klt->width + 1) / 2 : klt->width, height = c ? (klt->height + 1) / 2 : klt->height;
    for (int y = 0; y < height; ++y, planes += width) std::copy_n(p.row(y), width, planes);
  }
  return 1;
} catch (const std::exception& e) {
  error = e.what();
  return 0;
}

}  // extern "C"
