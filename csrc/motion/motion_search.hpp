// Motion: compensation by quarter samples with integer filters, and the search of a vector for
// every 16×16 block.
//
// Vectors are in quarter luma samples. The interpolation filters are the 8-tap luma filters of
// H.265 (ITU-T H.265, table 8-11), as two passes with 14-bit intermediates. A block's whole-sample
// position is clamped to at most kReach samples outside the picture.
#pragma once

#include "common/basics.hpp"

namespace gv {

constexpr int kBlock = 16;
constexpr int kReach = 64;
constexpr int kMargin = kReach + 24;  // a plane used as reference has this margin
constexpr int kMvLimit = 4095;

struct Mv {
  int16_t x = 0, y = 0;
  bool operator==(const Mv& o) const { return x == o.x && y == o.y; }
  bool operator!=(const Mv& o) const { return !(*this == o); }
};

// out[row * stride + column], 16×16 luma samples for the block whose top left sample is (x, y).
void compensate_luma(const Plane& ref, int x, int y, Mv mv, uint16_t* out, int stride);

// Sum of absolute differences of 16×16 samples.
uint32_t sad16(const uint16_t* a, int stride_a, const uint16_t* b, int stride_b);

// Sum of absolute coefficients of the four 8×8 Hadamard transforms of the differences, in the scale
// of SAD: a better estimate of coding cost than SAD.
uint32_t satd16(const uint16_t* a, int stride_a, const uint16_t* b, int stride_b);

struct MotionField {
  int width = 0, height = 0;  // in 16×16 blocks
  std::vector<Mv> mv;
  std::vector<uint32_t> satd;  // of the vector found
};

// Searches a vector for every 16×16 block of `cur` in `ref` (both padded to 16, with margins): a
// coarse full search at quarter size, then refinement to whole samples by SAD and to `finest`
// quarters of a sample (4, 2 or 1) by SATD. `previous` gives seeds (may be empty). `penalty` weighs
// a vector's bits against either, in 1/16.
MotionField search_motion(const Plane& cur, const Plane& ref, const std::vector<Mv>& previous,
                          int penalty, int finest, int threads);

}  // namespace gv
