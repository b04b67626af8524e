#include "motion_tree/candidates.hpp"

#include <cmath>

namespace gv::motion_tree {
namespace {

constexpr int kBlock = 16, kSide = kWindow / kBlock;
constexpr int kQuarterSide = 32, kQuartersOfWindow = 64;

// Sums of both halves of a quarter's rows.
template <bool kMean>
GV_INLINE void patch_rows(const uint8_t* now, int now_stride, const uint8_t* a, const uint8_t* b,
                          int stride, int32_t* sum) {
  int32_t total = 0;
  for (int y = 0; y < kQuarterSide; y += 2, now += 2 * now_stride, a += 2 * stride, b += 2 * stride)
    for (int x = 0; x < kQuarterSide; ++x) {
      const int fetched = kMean ? (a[x] + b[x] + 1) >> 1 : a[x];
      total += std::abs(now[x] - fetched);
    }
  *sum = 2 * total;
}

GV_SIMD(void, one_patch,
        (const uint8_t* now, int now_stride, const uint8_t* a, int stride, int32_t* sum),
        (now, now_stride, a, stride, sum)) {
  patch_rows<false>(now, now_stride, a, a, stride, sum);
}
GV_SIMD(void, mean_patch,
        (const uint8_t* now, int now_stride, const uint8_t* a, const uint8_t* b, int stride,
         int32_t* sum),
        (now, now_stride, a, b, stride, sum)) {
  patch_rows<true>(now, now_stride, a, b, stride, sum);
}

GV_SIMD(void, between,
        (const uint8_t* a, const uint8_t* b, int right, int fx, int fy, int count, uint8_t* out),
        (a, b, right, fx, fy, count, out)) {
  const int nx = 4 - fx, ny = 4 - fy;
  for (int x = 0; x < count; ++x)
    out[x] = static_cast<uint8_t>(
        ((a[x] * nx + a[x + right] * fx) * ny + (b[x] * nx + b[x + right] * fx) * fy + 8) >> 4);
}

}  // namespace

Luma8::Luma8(const Plane& plane, int w, int h)
    : width(ceil_div(w, kWindow) * kWindow), height(ceil_div(h, kWindow) * kWindow) {
  samples.resize(static_cast<size_t>(width) * height);
  for (int y = 0; y < height; ++y) {
    const uint16_t* from = plane.row(std::min(y, h - 1));
    uint8_t* to = samples.data() + static_cast<size_t>(y) * width;
    for (int x = 0; x < w; ++x) to[x] = static_cast<uint8_t>(std::min((from[x] + 2) >> 2, 255));
    std::fill(to + w, to + width, to[w - 1]);
  }
}

Phases::Phases(const Luma8& luma) : stride_(luma.width + 2 * kMargin) {
  const int rows = luma.height + 2 * kMargin;
  std::vector<uint8_t>& whole = plane_[0];
  whole.resize(static_cast<size_t>(stride_) * rows);
  for (int y = 0; y < rows; ++y) {
    const uint8_t* from = luma.samples.data() +
                          static_cast<size_t>(clamp(y - kMargin, 0, luma.height - 1)) * luma.width;
    uint8_t* to = whole.data() + static_cast<size_t>(y) * stride_;
    std::fill(to, to + kMargin, from[0]);
    std::copy_n(from, luma.width, to + kMargin);
    std::fill(to + kMargin + luma.width, to + stride_, from[luma.width - 1]);
  }
  for (int phase = 1; phase < kPhases * kPhases; ++phase) {
    const int fx = phase % kPhases * kUnit, fy = phase / kPhases * kUnit;
    plane_[phase] = whole;
    for (int y = 0; y + 1 < rows; ++y) {
      const uint8_t* a = whole.data() + static_cast<size_t>(y) * stride_;
      between(a, a + stride_, 1, fx, fy, stride_ - 1,
              plane_[phase].data() + static_cast<size_t>(y) * stride_);
    }
  }
}

std::vector<Step> choose_candidates(const MotionField& field, int window_row, int window_column,
                                    const std::vector<int32_t>& detail, int detail_columns,
                                    int count) {
  // Vectors closer than about 0.8 half samples stand for each other.
  static const std::vector<int64_t> alike = [] {
    std::vector<int64_t> table(64);
    const double spread = 0.8 * 2 / kUnit;
    for (size_t d = 0; d < table.size(); ++d)
      table[d] = std::llround(256 * std::exp(-static_cast<double>(d) / (2 * spread * spread)));
    return table;
  }();
  auto likeness = [&](Step a, Step b) -> int64_t {
    const int64_t d = static_cast<int64_t>(a.x - b.x) * (a.x - b.x) +
                      static_cast<int64_t>(a.y - b.y) * (a.y - b.y);
    return d < static_cast<int64_t>(alike.size()) ? alike[static_cast<size_t>(d)] : 0;
  };
  std::vector<Step> vectors;
  std::vector<int64_t> left;
  for (int row = window_row * kSide; row < std::min((window_row + 1) * kSide, field.height); ++row)
    for (int column = window_column * kSide;
         column < std::min((window_column + 1) * kSide, field.width); ++column) {
      const size_t at = static_cast<size_t>(row) * field.width + column;
      auto steps = [](int v) { return clamp((v + (kUnit >> 1)) >> (kUnit >> 1), -kReach, kReach); };
      const Step v{steps(field.mv[at].x), steps(field.mv[at].y)};
      const auto same = [&](Step o) { return o.x == v.x && o.y == v.y; };
      const auto known = std::find_if(vectors.begin(), vectors.end(), same);
      const int64_t weight = int64_t{detail[static_cast<size_t>(row) * detail_columns + column]}
                             << 12;
      if (known != vectors.end()) left[static_cast<size_t>(known - vectors.begin())] += weight;
      else vectors.push_back(v), left.push_back(weight);
    }
  const size_t n = vectors.size();
  std::vector<int64_t> like(n * n);
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j) like[i * n + j] = likeness(vectors[i], vectors[j]);
  std::vector<Step> chosen{{}};
  for (size_t i = 0; i < n; ++i) left[i] = left[i] * (256 - likeness(vectors[i], {})) >> 8;
  // For each vector the weight that it stands for.
  std::vector<int64_t> stands(n);
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j) stands[i] += like[i * n + j] * left[j];
  while (n > 0 && static_cast<int>(chosen.size()) < count) {
    const size_t best =
        static_cast<size_t>(std::max_element(stands.begin(), stands.end()) - stands.begin());
    if (stands[best] < 256) break;
    chosen.push_back(vectors[best]);
    for (size_t j = 0; j < n; ++j) {
      if (like[best * n + j] == 0) continue;
      const int64_t less = left[j] - (left[j] * (256 - like[best * n + j]) >> 8);
      left[j] -= less;
      for (size_t i = 0; i < n; ++i) stands[i] -= like[i * n + j] * less;
    }
  }
  return chosen;
}

std::vector<int32_t> quarter_errors(const Luma8& now, int window_row, int window_column,
                                    const Phases& one, const std::vector<Step>& vectors,
                                    const Phases* other, const std::vector<Step>* others) {
  const size_t count = vectors.size();
  std::vector<int32_t> errors(kQuartersOfWindow * count);
  for (int q = 0; q < kQuartersOfWindow; ++q) {
    const Rectangle r = rectangle(kFirstQuarter + q, kWindow);
    const int x = window_column * kWindow + r.left, y = window_row * kWindow + r.top;
    const uint8_t* here = now.samples.data() + static_cast<size_t>(y) * now.width + x;
    for (size_t j = 0; j < count; ++j) {
      const uint8_t* a = one.at(x, y, vectors[j].x, vectors[j].y);
      int32_t* sum = &errors[static_cast<size_t>(q) * count + j];
      if (!other) one_patch(here, now.width, a, one.stride(), sum);
      else
        mean_patch(here, now.width, a, other->at(x, y, (*others)[j].x, (*others)[j].y),
                   one.stride(), sum);
    }
  }
  return errors;
}

std::vector<int32_t> block_detail(const Luma8& luma) {
  const int columns = luma.width / kBlock;
  std::vector<int32_t> sums(static_cast<size_t>(columns) * (luma.height / kBlock));
  for (int y = 0; y + 1 < luma.height; ++y) {
    const uint8_t *a = luma.samples.data() + static_cast<size_t>(y) * luma.width,
                  *b = a + luma.width;
    int32_t* row = sums.data() + static_cast<size_t>(y / kBlock) * columns;
    for (int x = 0; x + 1 < luma.width; ++x)
      row[x / kBlock] += std::abs(a[x] - a[x + 1]) + std::abs(a[x] - b[x]);
  }
  for (int32_t& sum : sums) sum = (sum >> 4) + 1;
  return sums;
}

}  // namespace gv::motion_tree
