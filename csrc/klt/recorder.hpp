// The recording form of the binary coder (see mixer.hpp): what every decision costs, and what the
// refiner is asked. For fitting the refiner and for measuring.
#pragma once

#include <cmath>

#include "klt/refiner.hpp"

namespace gv {

class BitRecorder {
 public:
  // `refines`: costs are those of refined decisions. The refiner's questions are recorded with the
  // mixer's own log odds.
  BitRecorder(MixState& state, size_t sets, bool refines)
      : mixer_(state), refines_(refines), cost(sets) {}
  static constexpr bool kDecodes = false;
  int bit(const Contexts& c, int value) {
    const uint32_t p = mixer_.predict(c, refines_);
    cost[c.set] -=
        std::log2(static_cast<float>(value ? p : kProbOne - p) / static_cast<float>(kProbOne));
    if (c.refinement) record(*c.refinement, value != 0);
    mixer_.update(c, value);
    return value;
  }
  uint32_t raw(int bits, uint32_t value) {
    raw_bits += static_cast<uint32_t>(bits);
    return value;
  }

 private:
  Mixer mixer_;
  bool refines_;

  void record(const Refinement& r, bool value) {
    if (r.kind == refine::kAny) {  // each token's first
      token_features.insert(token_features.end(), r.refiner->features(),
                            r.refiner->features() + refine::kTokenFeatures);
      ++tokens;
    }
    token.push_back(tokens - 1);
    kind.push_back(static_cast<uint8_t>(r.kind));
    row.push_back(static_cast<int16_t>(r.row));
    features.insert(features.end(), r.feature, r.feature + refine::kDecisionFeatures);
    features.back() = stretched_feature(mixer_.stretched());
    log_odds.push_back(static_cast<int16_t>(mixer_.stretched()));
    ones.push_back(value);
  }

 public:
  std::vector<float> cost;  // bits by weight set
  uint32_t raw_bits = 0, tokens = 0;
  std::vector<uint8_t> token_features;  // tokens × kTokenFeatures
  // Of each decision with a refinement:
  std::vector<uint32_t> token;
  std::vector<uint8_t> kind, features, ones;  // features: × kDecisionFeatures
  std::vector<int16_t> row, log_odds;
};

}  // namespace gv
