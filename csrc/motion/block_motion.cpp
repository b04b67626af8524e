#include "motion/block_motion.hpp"

#include "common/pool.hpp"

namespace gv {
namespace {

constexpr int kPenalty = 64;  // of a vector bit, in 1/16

// Samples above the largest are cut.
GV_SIMD(void, cut_row, (const uint16_t* from, int width, uint16_t* out), (from, width, out)) {
  for (int x = 0; x < width; ++x) out[x] = std::min<uint16_t>(from[x], kMaxSample);
}

// Means of 2×2 samples.
GV_SIMD(void, halve_rows, (const uint16_t* a, const uint16_t* b, int width, uint16_t* out),
        (a, b, width, out)) {
  for (int x = 0; x < width; ++x) {
    const int sum = a[2 * x] + a[2 * x + 1] + b[2 * x] + b[2 * x + 1];
    out[x] = static_cast<uint16_t>(std::min((sum + 2) >> 2, kMaxSample));
  }
}

}  // namespace

namespace {

// A plane of whole blocks with margins, its edges repeated; `fill_row` makes row y up to `width`.
template <class F>
Plane padded(int width, int height, int threads, F fill_row) {
  Plane p(ceil_div(width, kBlock) * kBlock, ceil_div(height, kBlock) * kBlock, kMargin);
  parallel_for(p.height, threads, [&](int y) {
    uint16_t* row = p.row(y);
    fill_row(std::min(y, height - 1), row);
    std::fill(row + width, row + p.width, row[width - 1]);
  });
  p.extend();
  return p;
}

}  // namespace

Plane half_size(const uint16_t* luma, int width, int height, int stride, int threads) {
  return padded(width / 2, height / 2, threads, [&](int y, uint16_t* row) {
    const uint16_t* from = luma + 2 * static_cast<ptrdiff_t>(y) * stride;
    halve_rows(from, from + stride, width / 2, row);
  });
}

Plane BlockMotion::taken(const uint16_t* luma) const {
  if (half_) return half_size(luma, width_, height_, width_, threads_);
  return padded(width_, height_, threads_, [&](int y, uint16_t* row) {
    cut_row(luma + static_cast<ptrdiff_t>(y) * width_, width_, row);
  });
}

std::vector<int16_t> BlockMotion::push(const uint16_t* luma) {
  const Plane before = std::exchange(before_, taken(luma));
  std::vector<int16_t> out;
  if (before.data.empty()) return out;
  const MotionField field =
      search_motion(before_, before, {}, kPenalty, half_ ? 2 : 4, threads_);
  for (int y = 0; y < ceil_div(height_, kBlock); ++y)
    for (int x = 0; x < ceil_div(width_, kBlock); ++x) {
      // Half of a picture may have a row or column of blocks less.
      const int row = std::min(y >> half_, field.height - 1),
                column = std::min(x >> half_, field.width - 1);
      const Mv v = field.mv[static_cast<size_t>(row) * field.width + column];
      for (const int16_t part : {v.y, v.x})
        out.push_back(static_cast<int16_t>(part >> (2 - half_)));
    }
  return out;
}

}  // namespace gv
