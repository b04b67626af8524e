// Code lengths for the encoder's decisions: estimates read off the adaptive state at the start of a
// frame. Lengths are in bits.
#pragma once

#include <cmath>

#include "klt/codec.hpp"

namespace gv {

inline float code_length(const Slot& s, int bit) {
  const float p = clamp(static_cast<float>(bit ? s.p : 65536 - s.p) / 65536.f, 0.001f, 0.999f);
  return -std::log2(p);
}

// Bits of a non-zero magnitude without its sign; `big` holds the code lengths of "is 1" and "is
// more".
inline float magnitude_bits(const float* big, int m) {
  if (m == 1) return big[0];
  return big[1] + 0.5f + 1.5f * static_cast<float>(std::min(m - 2, 14));
}

// By one context of each decision: for subtree flags, and tokens above the finest level.
struct Costs {
  float any[kLevels][2], self[kLevels][2];
  float last[kLevels][kBlockSamples];
  float sig[kLevels][slots::kIndex][2], big[kLevels][slots::kIndex][2];

  Costs(const MixState& mix, int q, bool key) {
    for (int l = 0; l < kLevels; ++l) {
      const uint32_t k = static_cast<uint32_t>(l) * 2 + (key ? 0 : 1);
      auto at = [&](slots::Family f, uint32_t offset) -> const Slot& {
        return mix.slots[slots::first(f) + offset];
      };
      const uint32_t q4 = static_cast<uint32_t>(q) / 4;
      for (int b = 0; b < 2; ++b) {
        any[l][b] = code_length(at(slots::kAny2, k * 16 + q4), b);
        self[l][b] = l ? code_length(at(slots::kSelf2, k * 16 + q4), b) : 0.f;
        for (uint32_t i = 0; i < slots::kIndex; ++i) {
          sig[l][i][b] = code_length(at(slots::kSig0, k * slots::kIndex + i), b);
          big[l][i][b] = code_length(at(slots::kBig0, k * slots::kIndex + i), b);
        }
      }
      float unary = 0;
      const int count = coefficient_count(l), top = last_group(count - 1);
      for (int g = 0; g <= top; ++g) {
        const Slot& s = at(slots::kLast2, (k * slots::kGroups + static_cast<uint32_t>(g)) * 8 +
                                              static_cast<uint32_t>(q) / 8);
        const float here =
            unary + (g < top ? code_length(s, 0) : 0.f) + static_cast<float>(kGroupBits[g]);
        for (int i = kGroupFirst[g]; i < std::min(count, kGroupFirst[g] + (1 << kGroupBits[g]));
             ++i)
          last[l][i] = here;
        unary += code_length(s, 1);
      }
    }
  }

  // Of a token's values, without the flags of its subtree.
  float token(int l, const int16_t* v, int end) const {
    float bits = self[l][1] + last[l][end];
    for (int i = 0; i <= end; ++i) {
      const uint32_t i72 = index72(i);
      if (i < end) bits += sig[l][i72][v[i] != 0];
      if (v[i] != 0) bits += magnitude_bits(big[l][i72], std::abs(v[i])) + 1.f;
    }
    return bits;
  }
};

// What the contexts of a finest token's decisions go by; values of regions that are not known yet
// are left out.
struct Surroundings {
  const int16_t* left = nullptr;  // values of the neighbours, null = none there
  const int16_t* above = nullptr;
  const FrameTokens* before = nullptr;
  int past = 0;                        // the token of the frame before that the motion points at
  uint32_t near_group = 0;             // bucket of the larger last index of the neighbours
  const int32_t* predicted = nullptr;  // coefficients of the prediction, null = there are none
};

// Of a finest token, by mixing the contexts of its decisions as the entropy model does, but for
// those that depend on what is not decided yet and for the network.
class FineCosts {
 public:
  FineCosts(const MixState& mix, const RefinerModel& refiner, int q, bool key);

  // Log odds, in 1/256, of the decisions about one coefficient.
  struct Odds {
    float significant, big, negative;
  };
  // `relatives`: bucket of the earlier values at the nearest frequencies; `run`: of the two values
  // before.
  Odds odds(const Surroundings& s, int i, uint32_t relatives, uint32_t run) const {
    const int16_t vl = s.left ? s.left[i] : int16_t{0}, va = s.above ? s.above[i] : int16_t{0};
    const int vp = s.before->value_at(0, s.past, i);
    const uint32_t near = static_cast<uint32_t>(small(vl) + small(va) + 2 * small(vp)),
                   i72 = index72(i), i16 = i16_[i72], i8 = i8_[i72];
    const int p = s.predicted ? s.predicted[i] : 0;
    const uint32_t around = (i16 * 8 + ratio8(p, step_)) * 3;
    return {sig_[i72] + sig_near_[i8 * 9 + near] + sig_around_[around + relatives],
            big_[i72] + big_near_[i8 * 9 + near] + big_run_[i8 * 9 + run] +
                big_around_[around + relatives],
            (i < 16 ? sign_near_[i * 9 + static_cast<int>(sign3(vl) * 3 + sign3(va))] +
                          sign_past_[i * 3 + static_cast<int>(sign3(vp))]
                    : sign_) +
                sign_around_[around + sign3(p)]};
  }
  uint32_t relatives3(int i, const int16_t* v) const {
    if (relatives_ == nullptr) return 0;
    uint32_t sum = 0;
    for (int r = 0; r < refine::kRelatives; ++r) {
      const int j = relatives_[static_cast<size_t>(i) * refine::kRelatives + r];
      if (j >= 0) sum += static_cast<uint32_t>(std::abs(v[j]));
    }
    return std::min(2u, sum);
  }
  // Of each group of last indices, extra bits included.
  std::array<float, kGroupCount> last(const Surroundings& s) const;
  // Bits of a 1 or a 0 that has these log odds.
  static float bits(float odds, bool one) {
    return lengths()[static_cast<size_t>(clamp(one ? odds : -odds, -2047.f, 2047.f) + 2048.f)];
  }

 private:
  static const std::array<float, 4096>& lengths();

  int step_;
  const int16_t* relatives_ = nullptr;
  std::array<uint8_t, slots::kIndex> i16_, i8_;
  std::array<float, slots::kIndex> sig_, big_;
  std::array<float, 8 * 9> sig_near_, big_near_, big_run_;
  std::array<float, 16 * 8 * 3> sig_around_{}, big_around_{}, sign_around_{};
  std::array<float, 16 * 9> sign_near_;
  std::array<float, 16 * 3> sign_past_;
  float sign_;
  std::array<float, kGroupCount> last_;
  std::array<float, kGroupCount * 6> last_near_, last_past_;
};

}  // namespace gv
