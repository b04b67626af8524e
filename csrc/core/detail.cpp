#include "core/detail.hpp"

#include <cmath>

namespace gv {
namespace {

constexpr int kRadius = 5;
constexpr int kStrip = 64;  // rows that are worked on together
constexpr float kSigma = 1.5f;
constexpr float kTolerance = 8.0f;  // in steps of 10 bits: mean difference of the low-passed pictures at which 1/e of the detail is lent

struct Taps {
  float at[kRadius + 1];
  Taps() {
    float sum = 0;
    for (int i = -kRadius; i <= kRadius; ++i) sum += std::exp(-0.5f * i * i / (kSigma * kSigma));
    for (int i = 0; i <= kRadius; ++i) at[i] = std::exp(-0.5f * i * i / (kSigma * kSigma)) / sum;
  }
};

// One row, low-passed; `row` has kRadius samples before and behind.
GV_SIMD void along(const float* row, float* out, int width, const float* taps) {
  for (int x = 0; x < width; ++x) {
    float sum = taps[0] * row[x];
    for (int i = 1; i <= kRadius; ++i) sum += taps[i] * (row[x - i] + row[x + i]);
    out[x] = sum;
  }
}

GV_SIMD void across(const float* const* rows, float* out, int width, const float* taps) {
  const float* middle = rows[kRadius];
  for (int x = 0; x < width; ++x) {
    float sum = taps[0] * middle[x];
    for (int i = 1; i <= kRadius; ++i) sum += taps[i] * (rows[kRadius - i][x] + rows[kRadius + i][x]);
    out[x] = sum;
  }
}

// Rows `first` to `last` of a picture that is low-passed, edges repeated. `sample(y, row)` gives row y, which may be up to kRadius
// rows above or below these.
template <class Row>
std::vector<float> low_pass(int width, int height, int first, int last, Row sample) {
  static const Taps taps;
  const int above = std::max(0, first - kRadius), below = std::min(height - 1, last + kRadius);
  std::vector<float> half(static_cast<size_t>(width) * (below - above + 1)), out(static_cast<size_t>(width) * (last - first + 1));
  std::vector<float> row(static_cast<size_t>(width) + 2 * kRadius);
  for (int y = above; y <= below; ++y) {
    sample(y, row.data() + kRadius);
    std::fill_n(row.begin(), kRadius, row[kRadius]);
    std::fill_n(row.end() - kRadius, kRadius, row[static_cast<size_t>(width) + kRadius - 1]);
    along(row.data() + kRadius, half.data() + static_cast<size_t>(y - above) * width, width, taps.at);
  }
  for (int y = first; y <= last; ++y) {
    const float* rows[2 * kRadius + 1];
    for (int i = -kRadius; i <= kRadius; ++i)
      rows[i + kRadius] = half.data() + static_cast<size_t>(clamp(y + i, 0, height - 1) - above) * width;
    across(rows, out.data() + static_cast<size_t>(y - first) * width, width, taps.at);
  }
  return out;
}

}  // namespace

std::vector<uint16_t> lend_detail(const uint16_t* luma, const uint16_t* moved, int width, int height, int threads) {
  const auto difference = [&](int y, int x) {
    const size_t place = static_cast<size_t>(y) * width + x;
    return static_cast<float>(moved[place]) - static_cast<float>(luma[place]);
  };
  std::vector<uint16_t> out(static_cast<size_t>(width) * height);
  parallel_for(ceil_div(height, kStrip), threads, [&](int strip) {
    const int first = strip * kStrip, last = std::min(height, first + kStrip) - 1;
    const int above = std::max(0, first - kRadius), below = std::min(height - 1, last + kRadius);
    const std::vector<float> low = low_pass(width, height, above, below, [&](int y, float* row) {
      for (int x = 0; x < width; ++x) row[x] = difference(y, x);
    });
    const auto low_at = [&](int y) { return low.data() + static_cast<size_t>(y - above) * width; };
    const std::vector<float> apart = low_pass(width, height, first, last, [&](int y, float* row) {
      for (int x = 0; x < width; ++x) row[x] = std::abs(low_at(y)[x]);
    });
    for (int y = first; y <= last; ++y)
      for (int x = 0; x < width; ++x) {
        const size_t place = static_cast<size_t>(y) * width + x;
        const float far = apart[static_cast<size_t>(y - first) * width + x] * (1 / kTolerance);
        const float lent = std::exp(-far * far) * (difference(y, x) - low_at(y)[x]);
        out[place] = static_cast<uint16_t>(clamp(static_cast<int>(std::lround(luma[place] + lent)), 0, kMaxSample));
      }
  });
  return out;
}

}  // namespace gv
