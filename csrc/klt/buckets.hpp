// Buckets that values fall into, as coordinates of contexts.
#pragma once

#include "common/basics.hpp"

namespace gv {

inline uint32_t index72(int i) { return static_cast<uint32_t>(i < 48 ? i : 48 + (i - 48) / 16); }
inline uint32_t index16(int i) {
  static constexpr int kEdge[15] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 40, 64, 128, 256};
  uint32_t b = 0;
  while (b < 15 && i >= kEdge[b]) ++b;
  return b;
}
inline uint32_t index8(int i) {
  static constexpr int kEdge[7] = {1, 2, 3, 5, 9, 21, 64};
  uint32_t b = 0;
  while (b < 7 && i >= kEdge[b]) ++b;
  return b;
}
inline uint32_t energy6(int e) { return e < 2 ? e : e < 4 ? 2 : e < 8 ? 3 : e < 16 ? 4 : 5; }
inline uint32_t sign3(int v) { return v > 0 ? 2 : v < 0 ? 1 : 0; }
inline int small(int v) { return std::min(2, std::abs(v)); }

constexpr int kGroupCount = 17;
// Groups of the last index: first index and number of extra bits.
constexpr int kGroupFirst[kGroupCount] = {0,  1,  2,  3,  4,  6,   8,   12, 16,
                                          24, 32, 48, 64, 96, 128, 192, 256};
constexpr int kGroupBits[kGroupCount] = {0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7};
inline int last_group(int last) {
  int g = kGroupCount - 1;
  while (last < kGroupFirst[g]) --g;
  return g;
}
// Bucket of a token's last index as a context, -1 = no token.
inline uint32_t group6(int last) {
  return last < 0 ? 0 : std::min(5u, 1 + static_cast<uint32_t>(last_group(last)) / 3);
}
// Bucket of a predicted coefficient, by eighths of the step.
inline uint32_t ratio8(int predicted, int step) {
  const int ratio = static_cast<int>(std::min<uint64_t>(
      1 << 20, 8 * static_cast<uint64_t>(std::abs(predicted)) / static_cast<uint64_t>(step)));
  static constexpr int kEdge[7] = {1, 2, 4, 7, 12, 20, 40};
  uint32_t b = 0;
  while (b < 7 && ratio >= kEdge[b]) ++b;
  return b;
}

}  // namespace gv
