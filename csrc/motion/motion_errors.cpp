#include "motion/motion_errors.hpp"

#include "common/pool.hpp"
#include "motion/block_motion.hpp"

namespace gv {
namespace {

constexpr int kPenalty = 64;  // of a vector bit in the half-size search, in 1/16

GV_SIMD(uint32_t, squares16, (const uint16_t* a, int stride_a, const uint16_t* b, int stride_b),
        (a, stride_a, b, stride_b)) {
  uint32_t sum = 0;
  for (int y = 0; y < 16; ++y, a += stride_a, b += stride_b)
    for (int x = 0; x < 16; ++x) {
      const int32_t d = a[x] - b[x];
      sum += static_cast<uint32_t>(d * d);
    }
  return sum;
}

}  // namespace

MotionErrors::MotionErrors(int width, int height, int threads)
    : wide_(ceil_div(width, kBlock)), high_(ceil_div(height, kBlock)), threads_(threads) {}

std::vector<float> MotionErrors::push(const Plane& luma) {
  Plane half = half_size(luma.row(0), luma.width, luma.height, luma.stride, threads_);
  std::vector<float> error(static_cast<size_t>(wide_) * high_, 0.f);
  if (!half_.data.empty()) {
    const MotionField field = search_motion(half, half_, half_mv_, kPenalty, 1, threads_);
    parallel_for(high_, threads_, [&](int by) {
      alignas(64) uint16_t moved[256];
      for (int bx = 0; bx < wide_; ++bx) {
        const Mv found = field.mv[static_cast<size_t>(by / 2) * field.width + bx / 2];
        const Mv mv{static_cast<int16_t>(clamp(2 * found.x, -kMvLimit, kMvLimit)),
                    static_cast<int16_t>(clamp(2 * found.y, -kMvLimit, kMvLimit))};
        compensate_luma(luma_, bx * 16, by * 16, mv, moved, 16);
        error[static_cast<size_t>(by) * wide_ + bx] =
            static_cast<float>(squares16(luma.row(by * 16) + bx * 16, luma.stride, moved, 16)) /
            256.f;
      }
    });
    half_mv_ = field.mv;
  }
  luma_ = luma;
  half_ = std::move(half);
  return error;
}

}  // namespace gv
