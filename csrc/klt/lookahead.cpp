#include "klt/lookahead.hpp"

#include <cmath>

#include "common/pool.hpp"

namespace gv {
namespace {

constexpr int kPenalty = 64;  // of a vector bit in the half-size search, 1/16 of SAD

// Mean of 2×2 samples, sides rounded up to whole blocks by repeating the edge.
Plane half_size(const Plane& p, int threads) {
  Plane out(ceil_div(p.width / 2, kBlock) * kBlock, ceil_div(p.height / 2, kBlock) * kBlock,
            kMargin);
  parallel_for(out.height, threads, [&](int y) {
    const int from = 2 * std::min(y, p.height / 2 - 1);
    const uint16_t *a = p.row(from), *b = p.row(from + 1);
    uint16_t* o = out.row(y);
    for (int x = 0; x < p.width / 2; ++x)
      o[x] = static_cast<uint16_t>((a[2 * x] + a[2 * x + 1] + b[2 * x] + b[2 * x + 1] + 2) >> 2);
    std::fill(o + p.width / 2, o + out.width, o[p.width / 2 - 1]);
  });
  out.extend();
  return out;
}

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

Lookahead::Lookahead(int width, int height, int threads)
    : wide_(ceil_div(width, kBlock)), high_(ceil_div(height, kBlock)), threads_(threads) {}

void Lookahead::push(const Plane& luma) {
  Plane half = half_size(luma, threads_);
  Step step;
  step.error.assign(static_cast<size_t>(wide_) * high_, 0.f);
  if (!half_.data.empty()) {
    const size_t blocks = static_cast<size_t>(half.width / kBlock) * (half.height / kBlock);
    const MotionField field =
        search_motion(half, half_, half_mv_, std::vector<int>(blocks, kPenalty), 1, threads_);
    step.mv.resize(step.error.size());
    parallel_for(high_, threads_, [&](int by) {
      alignas(64) uint16_t moved[256];
      for (int bx = 0; bx < wide_; ++bx) {
        const size_t at = static_cast<size_t>(by) * wide_ + bx;
        const Mv found = field.mv[static_cast<size_t>(by / 2) * field.width + bx / 2];
        step.mv[at] = {static_cast<int16_t>(clamp(2 * found.x, -kMvLimit, kMvLimit)),
                       static_cast<int16_t>(clamp(2 * found.y, -kMvLimit, kMvLimit))};
        compensate_luma(luma_, bx * 16, by * 16, step.mv[at], moved, 16);
        step.error[at] =
            static_cast<float>(squares16(luma.row(by * 16) + bx * 16, luma.stride, moved, 16)) /
            256.f;
      }
    });
    half_mv_ = field.mv;
  }
  luma_ = luma;
  half_ = std::move(half);
  frames_.push_back(std::move(step));
}

std::vector<float> Lookahead::importance(double noise, size_t frames) const {
  const size_t blocks = static_cast<size_t>(wide_) * high_;
  std::vector<float> sum(blocks, 1.f), before(blocks);
  const float left = static_cast<float>(noise);
  for (size_t t = std::min(frames, frames_.size()); t-- > 1;) {
    const Step& step = frames_[t];
    std::fill(before.begin(), before.end(), 1.f);
    for (size_t at = 0; at < blocks; ++at) {
      const float share = sum[at] * left / (step.error[at] + left);
      // The moved block lies over up to four blocks of the frame before it.
      const float x = static_cast<float>(at % wide_) + static_cast<float>(step.mv[at].x) / 64.f;
      const float y = static_cast<float>(at / wide_) + static_cast<float>(step.mv[at].y) / 64.f;
      const int ix = static_cast<int>(std::floor(x)), iy = static_cast<int>(std::floor(y));
      const float fx = x - static_cast<float>(ix), fy = y - static_cast<float>(iy);
      for (int i = 0; i < 4; ++i) {
        const int px = clamp(ix + (i & 1), 0, wide_ - 1), py = clamp(iy + (i >> 1), 0, high_ - 1);
        before[static_cast<size_t>(py) * wide_ + px] +=
            share * (i & 1 ? fx : 1 - fx) * (i >> 1 ? fy : 1 - fy);
      }
    }
    sum.swap(before);
  }
  return sum;
}

}  // namespace gv
