// Vectors that a search offers to a window, and how well they fit.
#pragma once

#include "motion/motion_search.hpp"
#include "motion_tree/tree.hpp"

namespace gv::motion_tree {

// Luma of whole windows, 8 bits, edges repeated.
struct Luma8 {
  int width = 0, height = 0;
  std::vector<uint8_t> samples;
  Luma8(const Plane& plane, int width, int height);
};

// Longest vector offered, in steps either way: 48 samples.
constexpr int kReach = 192 / kUnit;

// A plane at all phases of a step, with margins, interpolated between two samples.
class Phases {
 public:
  explicit Phases(const Luma8& luma);
  // Where the sample at (x, y) is fetched from by a vector of steps.
  const uint8_t* at(int x, int y, int dx, int dy) const {
    return plane_[(dy & kMask) * kPhases + (dx & kMask)].data() +
           static_cast<size_t>(y + kMargin + (dy >> kShift)) * stride_ + x + kMargin +
           (dx >> kShift);
  }
  int stride() const { return stride_; }

 private:
  static constexpr int kPhases = 4 / kUnit, kMask = kPhases - 1, kShift = kUnit == 1 ? 2 : 1;
  static constexpr int kMargin = 50;
  int stride_;
  std::vector<uint8_t> plane_[kPhases * kPhases];
};

// In whole steps.
struct Step {
  int x = 0, y = 0;
};

// Of the vectors that a block search found in a window those that stand for most blocks, together,
// `count` at most; the first rests. `detail`: the weight of each 16×16 block, `detail_columns` a
// row.
std::vector<Step> choose_candidates(const MotionField& field, int window_row, int window_column,
                                    const std::vector<int32_t>& detail, int detail_columns,
                                    int count);

// Sums of absolute differences of the 64 quarters of a window for each vector, as
// [quarter][vector]: every second row, counted twice. With `other` against the mean of what both
// vectors fetch.
std::vector<int32_t> quarter_errors(const Luma8& now, int window_row, int window_column,
                                    const Phases& one, const std::vector<Step>& vectors,
                                    const Phases* other, const std::vector<Step>* others);

// Mean absolute gradient of 16×16 blocks, at least 1, in 1/16.
std::vector<int32_t> block_detail(const Luma8& luma);

}  // namespace gv::motion_tree
