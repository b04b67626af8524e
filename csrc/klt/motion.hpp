// Motion: quarter-sample compensation with integer filters, and the encoder's search.
//
// Vectors are in quarter luma samples. Luma uses the 8-tap and chroma the 4-tap interpolation
// filters of H.265 (ITU-T H.265, tables 8-11 and 8-12), always as two passes with 14-bit
// intermediates. A block's whole-sample position is clamped to at most kReach samples outside the
// picture.
#pragma once

#include "common/basics.hpp"

namespace gv {

constexpr int kReach = 64;
constexpr int kMargin =
    kReach + 24;  // a plane used as reference has this margin (luma); chroma has half + 8
constexpr int kMvLimit = 4095;

struct Mv {
  int16_t x = 0, y = 0;
  bool operator==(const Mv& o) const { return x == o.x && y == o.y; }
  bool operator!=(const Mv& o) const { return !(*this == o); }
};

// How a region is predicted: from the last frame, from the golden frame (tokens.hpp), or from the
// mean of both. The vector of a frame that is not used is zero.
enum : uint8_t { kFromLast = 1, kFromGolden = 2, kFromBoth = 3 };
struct Motion {
  Mv last, golden;
  uint8_t from = kFromLast;
  bool operator==(const Motion& o) const {
    return last == o.last && golden == o.golden && from == o.from;
  }
  bool operator!=(const Motion& o) const { return !(*this == o); }
};

// out[row * stride + column], 16×16 luma samples for the block whose top left sample is (x, y).
void compensate_luma(const Plane& ref, int x, int y, Mv mv, uint16_t* out, int stride);

// out: 8×8 chroma samples for the block whose top left chroma sample is (x, y); mv is the luma
// vector.
void compensate_chroma(const Plane& ref, int x, int y, Mv mv, uint16_t* out, int stride);

// A block of luma (16×16 samples) or chroma (8×8) predicted from either frame or, rounded up, from
// the mean of both.
void compensate(const Plane& last, const Plane& golden, int x, int y, const Motion& motion,
                bool chroma, uint16_t* out, int stride);

// Two neighbours are predicted from different frames, or a sample or more apart.
bool moved_apart(const Motion& a, const Motion& b);

// Sum of absolute differences of 16×16 samples.
uint32_t sad16(const uint16_t* a, int stride_a, const uint16_t* b, int stride_b);

// Sum of absolute coefficients of the four 8×8 Hadamard transforms of the differences, in the scale
// of SAD: what is left to code is better told by it.
uint32_t satd16(const uint16_t* a, int stride_a, const uint16_t* b, int stride_b);

// SATD of 16×16 luma samples against what compensate_luma() makes for the block at (x, y).
uint32_t satd_moved(const uint16_t* block, int stride, const Plane& ref, int x, int y, Mv mv);
// The same for what compensate() makes.
uint32_t satd_moved(const uint16_t* block, int stride, const Plane& last, const Plane& golden,
                    int x, int y, const Motion& motion);

struct MotionField {
  int width = 0, height = 0;  // in 16×16 blocks
  std::vector<Mv> mv;
  std::vector<uint32_t> satd;  // of the vector found
};

// Searches a vector for every 16×16 block of `cur` in `ref` (both padded to 16, with margins): a
// coarse full search at quarter size, then refinement to whole samples by SAD and to `finest`
// quarters of a sample (4, 2 or 1) by SATD. `previous` gives seeds (may be empty); `near`: the
// coarse search is left out. `lambda` weighs each block's vector bits against either, in 1/16.
MotionField search_motion(const Plane& cur, const Plane& ref, const std::vector<Mv>& previous,
                          const std::vector<int>& lambda, int finest, int threads,
                          bool near = false);

// Bits that a vector difference costs, roughly.
inline int mv_bits(int dx, int dy) {
  auto length = [](int v) {
    unsigned a = static_cast<unsigned>(std::abs(v));
    int n = 1;
    while (a) {
      n += 2;
      a >>= 1;
    }
    return n;
  };
  return length(dx) + length(dy);
}

}  // namespace gv
