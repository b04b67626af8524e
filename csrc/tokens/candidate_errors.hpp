// How well vectors that are offered to a window fit each of its patches: the search of base tokens.
#pragma once

#include <cstdint>
#include <vector>

namespace gv {

constexpr int kTokenWindow = 256, kTokenPatch = 16;
constexpr int kTokenPatches = (kTokenWindow / kTokenPatch) * (kTokenWindow / kTokenPatch);
// Longest vector offered, in half samples either way.
constexpr int kTokenReach = 96;

// Sums of absolute differences of luma `now` against `before`, fetched by each of `count` vectors
// (dx, dy) a window, half samples of at most kTokenReach, as [window][patch][vector]. Every second
// row is looked at and counts twice. Planes have 8 bits and whole windows; edges are repeated.
std::vector<int32_t> candidate_errors(const uint8_t* now, const uint8_t* before, int width,
                                      int height, const int16_t* vectors, int count);

}  // namespace gv
