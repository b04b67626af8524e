#include "motion/motion_search.hpp"

#include <cstring>
#include <optional>

#include "common/pool.hpp"

namespace gv {
namespace {

constexpr int16_t kLumaTaps[4][8] = {{0, 0, 0, 64, 0, 0, 0, 0},
                                     {-1, 4, -10, 58, 17, -5, 1, 0},
                                     {-1, 4, -11, 40, 40, -11, 4, -1},
                                     {0, 1, -5, 17, 58, -10, 4, -1}};

// Both passes skip the filter where the fraction is zero: (64 x) >> 2 = x << 4 and (64 t + 512) >>
// 10 = (t + 8) >> 4.

// First pass: rows of `size` samples, 14-bit signed. `src` points at the first tap.
template <int kTaps, int kSize>
GV_INLINE void horizontal(const uint16_t* src, int stride, const int16_t* taps, bool filter,
                          int rows, int16_t* mid) {
  for (int y = 0; y < rows; ++y, src += stride, mid += kSize) {
    if (!filter) {
      for (int x = 0; x < kSize; ++x) mid[x] = static_cast<int16_t>(src[x + kTaps / 2 - 1] << 4);
      continue;
    }
    for (int x = 0; x < kSize; ++x) {
      int32_t sum = 0;
      for (int t = 0; t < kTaps; ++t) sum += taps[t] * static_cast<int16_t>(src[x + t]);
      mid[x] = static_cast<int16_t>(sum >> 2);
    }
  }
}

template <int kTaps, int kSize>
GV_INLINE void vertical(const int16_t* mid, const int16_t* taps, bool filter, uint16_t* out,
                        int stride) {
  for (int y = 0; y < kSize; ++y, mid += kSize, out += stride) {
    if (!filter) {
      for (int x = 0; x < kSize; ++x)
        out[x] = static_cast<uint16_t>(clamp((mid[x] + 8) >> 4, 0, kMaxSample));
      continue;
    }
    for (int x = 0; x < kSize; ++x) {
      int32_t sum = 512;
      for (int t = 0; t < kTaps; ++t) sum += taps[t] * mid[t * kSize + x];
      out[x] = static_cast<uint16_t>(clamp(sum >> 10, 0, kMaxSample));
    }
  }
}

template <int kSize>
inline void copy_block(const uint16_t* src, int src_stride, uint16_t* out, int stride) {
  for (int y = 0; y < kSize; ++y) std::copy_n(src + y * src_stride, kSize, out + y * stride);
}

GV_SIMD(void, interpolate_luma,
        (const uint16_t* src, int src_stride, int fx, int fy, uint16_t* out, int stride),
        (src, src_stride, fx, fy, out, stride)) {
  int16_t mid[(16 + 7) * 16];
  const int more = fy ? 7 : 0;  // rows
  horizontal<8, 16>(src - more / 2 * src_stride - 3, src_stride, kLumaTaps[fx], fx != 0, 16 + more,
                    mid);
  vertical<8, 16>(mid, kLumaTaps[fy], fy != 0, out, stride);
}

// Where a moved 16×16 block begins, without the fraction.
const uint16_t* luma_source(const Plane& ref, int x, int y, Mv mv) {
  const int px = clamp(x + (mv.x >> 2), -kReach, ref.width + kReach - 16);
  const int py = clamp(y + (mv.y >> 2), -kReach, ref.height + kReach - 16);
  return ref.row(py) + px;
}

// Vectors that a search has tried for one block, with their residuals.
class Tried {
 public:
  void clear() { count_ = 0; }
  template <class Measure>
  uint32_t cost(Mv mv, Measure measure) {
    for (int i = 0; i < count_; ++i)
      if (mv_[i] == mv) return cost_[i];
    const uint32_t cost = measure(mv);
    if (count_ < kRoom) mv_[count_] = mv, cost_[count_++] = cost;
    return cost;
  }

 private:
  static constexpr int kRoom = 32;
  Mv mv_[kRoom];
  uint32_t cost_[kRoom];
  int count_ = 0;
};

constexpr int kRange = kReach / 4;  // of the coarse search, to each side
constexpr int kPositions = 2 * kRange + 1;
constexpr int kLanes = 48;  // kPositions, rounded up to whole vectors

// SAD of an 8×8 block at kLanes neighbouring positions; at most 64 · 1023, which fits 16 bits.
GV_SIMD(void, sad8_lanes,
        (const uint16_t* block, int block_stride, const uint16_t* ref, int ref_stride,
         uint16_t* sums),
        (block, block_stride, ref, ref_stride, sums)) {
  uint16_t sum[kLanes] = {};
  for (int y = 0; y < 8; ++y, block += block_stride, ref += ref_stride)
    for (int x = 0; x < 8; ++x) {
      const uint16_t v = block[x];
      for (int d = 0; d < kLanes; ++d) {
        const uint16_t r = ref[x + d];
        sum[d] = static_cast<uint16_t>(sum[d] + (r > v ? r - v : v - r));
      }
    }
  std::copy_n(sum, kLanes, sums);
}

// Least that any of these neighbouring positions can cost without the rows' distance: four 4×4
// blocks leave at least the differences of their sums. `four`: sums of 4×4 samples from each
// position on.
GV_SIMD(uint32_t, least_cost,
        (const uint16_t* block, int block_stride, const uint16_t* four, int stride),
        (block, block_stride, four, stride)) {
  const uint16_t a = block[0], b = block[4], c = block[4 * block_stride],
                 d = block[4 * block_stride + 4];
  const auto apart = [](uint16_t v, uint16_t r) {
    return static_cast<uint16_t>(r > v ? r - v : v - r);
  };
  uint16_t cost[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    const uint16_t sum = static_cast<uint16_t>(apart(a, four[i]) + apart(b, four[i + 4]) +
                                               apart(c, four[4 * stride + i]) +
                                               apart(d, four[4 * stride + i + 4]));
    const uint16_t far = static_cast<uint16_t>(4 * (i > kRange ? i - kRange : kRange - i));
    cost[i] = static_cast<uint16_t>(std::min<uint16_t>(sum, UINT16_MAX - 4 * kLanes) + far);
  }
  uint16_t least = UINT16_MAX;
  for (int i = 0; i < kLanes; ++i) least = std::min(least, cost[i]);
  return least;
}

GV_SIMD(void, sums_of_four, (const uint16_t* from, int stride, int width, uint16_t* out),
        (from, stride, width, out)) {
  for (int x = 0; x < width; ++x) {
    int sum = 0;
    for (int j = 0; j < 4; ++j)
      for (int i = 0; i < 4; ++i) sum += from[j * stride + x + i];
    out[x] = static_cast<uint16_t>(sum);
  }
}

// A picture at quarter size, with a margin that all lanes of the search stay in.
struct Quarter {
  Plane mean, four;  // of 4×4 samples; sums of 4×4 means from each on

  explicit Quarter(const Plane& p) : mean(p.width / 4, p.height / 4, kLanes - kRange), four(mean) {
    for (int y = 0; y < mean.height; ++y) {
      uint16_t* o = mean.row(y);
      for (int x = 0; x < mean.width; ++x) {
        int sum = 8;
        for (int j = 0; j < 4; ++j) {
          const uint16_t* r = p.row(4 * y + j) + 4 * x;
          sum += r[0] + r[1] + r[2] + r[3];
        }
        o[x] = static_cast<uint16_t>(sum >> 4);
      }
    }
    mean.extend();
    for (int y = -kRange; y < mean.height + kRange - 3; ++y)
      sums_of_four(mean.row(y) - mean.margin, mean.stride, mean.stride - 3,
                   four.row(y) - mean.margin);
  }
};

// Full search of ±64 samples around zero at quarter size, 8×8 windows (32×32 luma around the
// block): the least cost, of equal ones that of the first row, then column. Rows that cannot have
// it are left out.
Mv coarse_search(const Quarter& cur, const Quarter& ref, int bx, int by) {
  const Plane& mean = cur.mean;
  const int x = clamp(bx * 4 - 2, 0, std::max(0, mean.width - 8)),
            y = clamp(by * 4 - 2, 0, std::max(0, mean.height - 8));
  const int end = std::min(kRange, mean.height + kRange - 8 - y) + 1;
  uint32_t best = UINT32_MAX;  // cost, row, column
  const auto try_row = [&](int dy) {
    uint16_t sums[kLanes];
    sad8_lanes(mean.row(y) + x, mean.stride, ref.mean.row(y + dy) + x - kRange, mean.stride, sums);
    const int last = std::min(kPositions - 1, mean.width + 2 * kRange - 8 - x);
    for (int i = 0; i <= last; ++i) {
      const uint32_t cost =
          sums[i] + 4u * static_cast<uint32_t>(std::abs(i - kRange) + std::abs(dy));
      best = std::min(best, cost << 12 | static_cast<uint32_t>((dy + kRange) << 6 | i));
    }
  };
  uint32_t least[kPositions];
  int hopeful = -kRange;
  for (int dy = -kRange; dy < end; ++dy) {
    least[dy + kRange] = least_cost(cur.four.row(y) + x, mean.stride,
                                    ref.four.row(y + dy) + x - kRange, mean.stride) +
                         4u * static_cast<uint32_t>(std::abs(dy));
    if (least[dy + kRange] < least[hopeful + kRange]) hopeful = dy;
  }
  try_row(hopeful);
  for (int dy = -kRange; dy < end; ++dy)
    if (dy != hopeful && least[dy + kRange] <= best >> 12) try_row(dy);
  return {static_cast<int16_t>((static_cast<int>(best & 63) - kRange) * 16),
          static_cast<int16_t>((static_cast<int>(best >> 6 & 63) - kRange) * 16)};
}

}  // namespace

void compensate_luma(const Plane& ref, int x, int y, Mv mv, uint16_t* out, int stride) {
  const uint16_t* src = luma_source(ref, x, y, mv);
  if (((mv.x | mv.y) & 3) == 0) copy_block<16>(src, ref.stride, out, stride);
  else interpolate_luma(src, ref.stride, mv.x & 3, mv.y & 3, out, stride);
}

GV_SIMD(uint32_t, sad16, (const uint16_t* a, int stride_a, const uint16_t* b, int stride_b),
        (a, stride_a, b, stride_b)) {
  uint16_t column[16] = {};  // at most 16 · 1023
  for (int y = 0; y < 16; ++y, a += stride_a, b += stride_b)
    for (int x = 0; x < 16; ++x)
      column[x] = static_cast<uint16_t>(column[x] + (a[x] > b[x] ? a[x] - b[x] : b[x] - a[x]));
  uint32_t sum = 0;
  for (int x = 0; x < 16; ++x) sum += column[x];
  return sum;
}

namespace {

#if defined(__GNUC__) && !defined(__clang__)
// 32 lanes are one row of four blocks.
typedef int16_t Lanes __attribute__((vector_size(64)));
constexpr Lanes kLane = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                         16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

// Sum of |coefficients| of the Hadamard transform of four 8×8 blocks side by side.
GV_INLINE uint32_t hadamard(const int16_t* difference) {
  Lanes v[8];
  for (int j = 0; j < 8; ++j) std::memcpy(&v[j], difference + j * 32, sizeof v[j]);
  for (int step = 4; step > 0; step /= 2)
    for (int j = 0; j < 8; ++j)
      if (!(j & step)) {
        const Lanes sum = v[j] + v[j + step];
        v[j + step] = v[j] - v[j + step];
        v[j] = sum;
      }
  int16_t most[256];
  for (int j = 0; j < 8; ++j) {
    for (const int16_t step : {int16_t{4}, int16_t{2}}) {
      const Lanes other = __builtin_shuffle(v[j], kLane ^ step);
      v[j] = (kLane & step) != 0 ? other - v[j] : other + v[j];
    }
    // |a + b| + |a − b| = 2 max(|a|, |b|), and both lanes of a pair hold that maximum: the sum
    // would not fit.
    const Lanes size = v[j] < 0 ? -v[j] : v[j], other = __builtin_shuffle(size, kLane ^ int16_t{1}),
                larger = size > other ? size : other;
    std::memcpy(most + j * 32, &larger, sizeof larger);
  }
  uint32_t sum = 0;
  for (int i = 0; i < 256; ++i) sum += static_cast<uint32_t>(most[i]);
  return sum;
}
#else
GV_INLINE uint32_t hadamard(const int16_t* difference) {
  int32_t v[256];
  for (int i = 0; i < 256; ++i) v[i] = difference[i];
  for (const int step : {1, 2, 4, 32, 64, 128})
    for (int i = 0; i < 256; ++i)
      if (!(i & step)) {
        const int32_t a = v[i], b = v[i + step];
        v[i] = a + b, v[i + step] = a - b;
      }
  uint32_t sum = 0;
  for (int i = 0; i < 256; ++i) sum += static_cast<uint32_t>(std::abs(v[i]));
  return sum;
}
#endif

}  // namespace

GV_SIMD(uint32_t, satd16, (const uint16_t* a, int stride_a, const uint16_t* b, int stride_b),
        (a, stride_a, b, stride_b)) {
  int16_t difference[256];  // rows 0…7 of both upper blocks next to those of both lower ones
  for (int y = 0; y < 16; ++y, a += stride_a, b += stride_b) {
    int16_t* row = difference + (y & 7) * 32 + (y >> 3) * 16;
    for (int x = 0; x < 16; ++x) row[x] = static_cast<int16_t>(a[x] - b[x]);
  }
  return (hadamard(difference) + 4) >> 3;
}

namespace {

// SATD of 16×16 luma samples against the prediction of compensate_luma() for the block at (x, y).
uint32_t satd_moved(const uint16_t* block, int stride, const Plane& ref, int x, int y, Mv mv) {
  const uint16_t* src = luma_source(ref, x, y, mv);
  if (((mv.x | mv.y) & 3) == 0) return satd16(block, stride, src, ref.stride);
  alignas(64) uint16_t moved[256];
  interpolate_luma(src, ref.stride, mv.x & 3, mv.y & 3, moved, 16);
  return satd16(block, stride, moved, 16);
}

// Bits that a vector difference costs, roughly.
int mv_bits(int dx, int dy) {
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

}  // namespace

MotionField search_motion(const Plane& cur, const Plane& ref, const std::vector<Mv>& previous,
                          int penalty, int finest, int threads) {
  MotionField field;
  field.width = cur.width / 16;
  field.height = cur.height / 16;
  field.mv.resize(static_cast<size_t>(field.width) * field.height);
  field.satd.resize(field.mv.size());
  std::optional<Quarter> quarters[2];
  parallel_for(2, threads, [&](int i) { quarters[i].emplace(i ? ref : cur); });
  const Quarter &cur4 = *quarters[0], &ref4 = *quarters[1];

  parallel_for(field.height, threads, [&](int by) {
    Tried tried;
    for (int bx = 0; bx < field.width; ++bx) {
      const size_t at = static_cast<size_t>(by) * field.width + bx;
      const int x = bx * 16, y = by * 16;
      const uint16_t* source = cur.row(y) + x;
      const Mv predicted = bx > 0 ? field.mv[at - 1] : (previous.empty() ? Mv{} : previous[at]);
      // Where nothing has changed no other vector can cost less: the difference is none, and a vector
      // as predicted has the fewest bits.
      if (predicted == Mv{} && sad16(source, cur.stride, ref.row(y) + x, ref.stride) == 0) {
        field.mv[at] = predicted;
        field.satd[at] = 0;
        continue;
      }
      uint32_t best = UINT32_MAX;
      Mv mv;
      tried.clear();
      bool whole = true;  // by SAD, then by SATD
      auto cost_of = [&](Mv m) {
        return tried.cost(m, [&](Mv v) {
          return whole ? sad16(source, cur.stride, luma_source(ref, x, y, v), ref.stride)
                       : satd_moved(source, cur.stride, ref, x, y, v);
        });
      };
      auto attempt = [&](int mx, int my) {
        if (std::abs(mx) > kMvLimit || std::abs(my) > kMvLimit) return;
        const Mv m{static_cast<int16_t>(mx), static_cast<int16_t>(my)};
        const uint32_t bits =
            static_cast<uint32_t>(penalty * mv_bits(mx - predicted.x, my - predicted.y)) >> 4;
        if (bits >= best) return;
        const uint32_t cost = cost_of(m) + bits;
        if (cost < best) best = cost, mv = m;
      };
      attempt(0, 0);
      attempt(predicted.x, predicted.y);
      if (!previous.empty()) attempt(previous[at].x, previous[at].y);
      const Mv coarse = coarse_search(cur4, ref4, bx, by);
      attempt(coarse.x, coarse.y);
      mv = {static_cast<int16_t>(mv.x & ~3), static_cast<int16_t>(mv.y & ~3)};
      best = UINT32_MAX;
      attempt(mv.x, mv.y);
      // Whole samples: a walking cross. Fractions: a cross, then the diagonal between its better
      // arms.
      for (int round = 0; round < 16; ++round) {
        const Mv centre = mv;
        const int step = round == 0 ? 8 : 4;
        attempt(centre.x - step, centre.y);
        attempt(centre.x + step, centre.y);
        attempt(centre.x, centre.y - step);
        attempt(centre.x, centre.y + step);
        if (round > 0 && mv == centre) break;
      }
      whole = false;
      tried.clear();
      best = UINT32_MAX;
      attempt(mv.x, mv.y);
      for (int step = 2; step >= finest; step /= 2) {
        const Mv centre = mv;
        uint32_t arm[4];
        const int cross[4][2] = {{-step, 0}, {step, 0}, {0, -step}, {0, step}};
        for (int i = 0; i < 4; ++i) {
          const Mv m{static_cast<int16_t>(centre.x + cross[i][0]),
                     static_cast<int16_t>(centre.y + cross[i][1])};
          arm[i] = UINT32_MAX / 2;
          if (std::abs(m.x) > kMvLimit || std::abs(m.y) > kMvLimit) continue;
          arm[i] = cost_of(m);
          const uint32_t cost =
              arm[i] +
              (static_cast<uint32_t>(penalty * mv_bits(m.x - predicted.x, m.y - predicted.y)) >> 4);
          if (cost < best) best = cost, mv = m;
        }
        attempt(centre.x + (arm[0] < arm[1] ? -step : step),
                centre.y + (arm[2] < arm[3] ? -step : step));
      }
      attempt(predicted.x, predicted.y);
      attempt(0, 0);
      field.mv[at] = mv;
      field.satd[at] = cost_of(mv);
    }
  });
  return field;
}

}  // namespace gv
