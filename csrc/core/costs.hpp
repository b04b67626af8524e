// Code lengths for the encoder's decisions: estimates read off the adaptive state at the start of a frame, by the first
// context of each decision. Lengths are in bits.
#pragma once

#include <cmath>

#include "core/syntax.hpp"

namespace gv {

inline float code_length(const Slot& s, int bit) {
  const float p = clamp(static_cast<float>(bit ? s.p : 65536 - s.p) / 65536.f, 0.001f, 0.999f);
  return -std::log2(p);
}

// Bits of a non-zero magnitude and its sign; `big` holds the code lengths of "is 1" and "is more".
inline float magnitude_bits(const float* big, int m) {
  if (m == 1) return big[0] + 1.f;
  return big[1] + 1.5f + 1.5f * static_cast<float>(std::min(m - 2, 14));
}

struct Costs {
  float any[kLevels][2], self[kLevels][2];
  float last[kLevels][kBlockSamples];
  float sig[kLevels][slots::kIndex][2], big[kLevels][slots::kIndex][2];

  Costs(const MixState& mix, int q, bool key) {
    for (int l = 0; l < kLevels; ++l) {
      const uint32_t k = static_cast<uint32_t>(l) * 2 + (key ? 0 : 1);
      auto at = [&](slots::Family f, uint32_t offset) -> const Slot& { return mix.slots[slots::first(f) + offset]; };
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
        const Slot& s = at(slots::kLast2, (k * slots::kGroups + static_cast<uint32_t>(g)) * 8 + static_cast<uint32_t>(q) / 8);
        const float here = unary + (g < top ? code_length(s, 0) : 0.f) + static_cast<float>(kGroupBits[g]);
        for (int i = kGroupFirst[g]; i < std::min(count, kGroupFirst[g] + (1 << kGroupBits[g])); ++i) last[l][i] = here;
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
      if (v[i] != 0) bits += magnitude_bits(big[l][i72], std::abs(v[i]));
    }
    return bits;
  }
};

}  // namespace gv
