// Measurements of pictures for finding and trying tokens: energies of detail,
// and change from frame to frame. Sums are of integers, so all machines measure the same.
#pragma once

#include <vector>

#include "common/basics.hpp"

namespace gv {

constexpr int kEnergyPatch = 16, kEnergyBands = 9;

// log2 of the energies of N, P and Q (docs/spec/painter.md, bands) in three scales, divided by
// eight: (bands, height / 16, width / 16), of a luma plane of 10 bits whose sides are multiples of
// 16; edges are repeated.
std::vector<float> band_energies(const uint16_t* luma, int width, int height);

// Sums of |now - before| of whole 16×16 blocks, (height / 16, width / 16), `before` at the block's
// vector (dy, dx) of `vectors`, whose rows have `vectors_width` blocks; edges are repeated.
std::vector<int32_t> block_changes(const uint16_t* now, const uint16_t* before, int width,
                                   int height, const int16_t* vectors, int vectors_width);

}  // namespace gv
