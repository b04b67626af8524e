#include "motion_tree/search.hpp"

#include <algorithm>
#include <cmath>

#include "common/pool.hpp"
#include "motion_tree/candidates.hpp"

namespace gv::motion_tree {
namespace {

// Vectors offered to a window: of the near reference frame and of the far one.
constexpr int kNearVectors = 64, kFarVectors = 32;
// In 1/16 bit: what a source costs, and a value that is zero.
constexpr int kSourceBits[3] = {8, 40, 48};
constexpr int kZeroBits = 2;

// About what a step costs in 1/16 bit, as the entropy network came to code it.
int component_bits(int v) {
  static const std::vector<int> table = [] {
    std::vector<int> bits(4 * kReach + 2, kZeroBits);
    for (size_t size = 1; size < bits.size(); ++size)
      bits[size] = static_cast<int>(
          std::lround(16 * (5.3 + 0.75 * std::log2(static_cast<double>(size) * kUnit / 2 + 0.5))));
    return bits;
  }();
  return table[std::min<size_t>(static_cast<size_t>(std::abs(v)), table.size() - 1)];
}
int step_bits(Step from, Step to) {
  const int x = to.x - from.x, y = to.y - from.y;
  if (std::abs(x) > kLargest || std::abs(y) > kLargest) return 1 << 20;
  return component_bits(x) + component_bits(y);
}

Step scaled_step(Step v, Times t) {
  return {scaled(v.x * kUnit, t.near, t.far) / kUnit, scaled(v.y * kUnit, t.near, t.far) / kUnit};
}
Step within_reach(Step v) { return {clamp(v.x, -kReach, kReach), clamp(v.y, -kReach, kReach)}; }

// Rows of costs: least(r) = min over j of below[j] + cost[r][j].
GV_SIMD(void, least_sums,
        (const int32_t* below, const int32_t* cost, int rows, int count, int32_t* out),
        (below, cost, rows, count, out)) {
  for (int r = 0; r < rows; ++r, cost += count) {
    int32_t best = INT32_MAX;
    for (int j = 0; j < count; ++j) {
      const int32_t sum = below[j] + cost[j];
      best = sum < best ? sum : best;
    }
    out[r] = best;
  }
}

int least_at(const int32_t* below, const int32_t* cost, int count) {
  int at = 0;
  for (int j = 1; j < count; ++j)
    if (below[j] + cost[j] < below[at] + cost[at]) at = j;
  return at;
}

using Sums = std::vector<int32_t>;

// The search of one window. Sums are by node and by the vector of that node or of the one around.
class WindowSearch {
 public:
  WindowSearch(Times times, int price) : times_(times), price_(price) {}

  std::vector<Step> near, far;
  Sums near_errors, mean_errors, far_errors;

  void run(int most, int16_t* values, uint8_t& level, float& bits) {
    near_cost_ = costs(near, near);
    int64_t best = INT64_MAX;
    level = 0;
    for (int tried = 1; tried <= std::min(most, kLevels - 1); ++tried) {
      const int64_t total = upwards(tried, regions(tried));
      if (total < best) best = total, level = static_cast<uint8_t>(tried);
    }
    if (most == kLevels) {
      const Sums leaves = leaf_sums();
      const int64_t total = upwards(kLevels, leaves);
      if (total < best) best = total, level = kLevels;
    }
    std::fill_n(values, kValues, int16_t{0});
    if (level) write(level, values);
    bits = value_bits(level, values);
  }

 private:
  int count() const { return static_cast<int>(near.size()); }
  bool sources() const { return !far.empty(); }
  int32_t priced(int sixteenths) const {
    return static_cast<int32_t>(std::min<int64_t>(int64_t{sixteenths} * price_ >> 4, 1 << 26));
  }

  Sums costs(const std::vector<Step>& from, const std::vector<Step>& to) const {
    Sums sums;
    for (const Step a : from)
      for (const Step b : to) sums.push_back(priced(step_bits(a, b)));
    return sums;
  }

  // Distortion of the nodes of a level by their vector; the first node of level l is 2^(l - 1).
  Sums regions(int level) const {
    const int n = count(), first = 1 << (level - 1), quarters = 64 / first;
    Sums sums(static_cast<size_t>(first) * n);
    for (int k = 0; k < first; ++k)
      for (int q = k * quarters; q < (k + 1) * quarters; ++q)
        for (int j = 0; j < n; ++j) sums[k * n + j] += near_errors[q * n + j];
    return sums;
  }

  // From a level's nodes, by their own vectors (leaves: by the vectors of the nodes around them) up
  // to the whole window: the least cost. Keeps what `write` follows down.
  int64_t upwards(int level, Sums below) {
    const int n = count();
    if (level == kLevels) {
      Sums joined(below.size() / 2);
      for (int k = 0; k < kFirstLeaf / 2; ++k)
        for (int j = 0; j < n; ++j)
          joined[k * n + j] = below[2 * k * n + j] + below[(2 * k + 1) * n + j];
      below = std::move(joined);
    }
    std::vector<Sums>& kept = kept_[level];
    kept.assign(kLevels, {});
    Sums out(static_cast<size_t>(n));
    for (int l = std::min(level, kLevels - 1); l >= 1; --l) {
      const int nodes = 1 << (l - 1);
      kept[l] = below;
      if (l == 1) break;
      Sums next(static_cast<size_t>(nodes / 2) * n);
      for (int k = 0; k < nodes; ++k) {
        least_sums(&below[k * n], near_cost_.data(), n, n, out.data());
        for (int j = 0; j < n; ++j) next[k / 2 * n + j] += out[j];
      }
      below = std::move(next);
    }
    least_sums(below.data(), near_cost_.data(), 1, n, out.data());
    return int64_t{out[0]} +
           priced(kZeroBits *
                  (value_count(level, sources()) - 2 * ((1 << std::min(level, 4)) - 1)) / 4);
  }

  // The leaves by the vectors of the nodes around them.
  Sums leaf_sums() {
    const int n = count();
    near_leaf_ = near_quarters(near_errors);
    if (sources()) {
      mean_leaf_ = near_quarters(mean_errors);
      far_quarters();
    }
    Sums leaves(static_cast<size_t>(kLeaves) * n), tried(static_cast<size_t>(n));
    source_.assign(leaves.size(), kNear);
    for (int k = 0; k < kLeaves; ++k) {
      int32_t* out = &leaves[k * n];
      least_sums(&near_leaf_[k * n], near_cost_.data(), n, n, out);
      if (!sources()) continue;
      for (int j = 0; j < n; ++j) out[j] += priced(kSourceBits[kNear]);
      least_sums(&mean_leaf_[k * n], near_cost_.data(), n, n, tried.data());
      prefer(k, tried, kMean, out);
      const int m = static_cast<int>(far.size());
      least_sums(&far_leaf_[k * m], across_cost_.data(), n, m, tried.data());
      prefer(k, tried, kFar, out);
    }
    return leaves;
  }

  void prefer(int leaf, const Sums& tried, Source source, int32_t* out) {
    const int n = count();
    for (int j = 0; j < n; ++j) {
      const int32_t sum = tried[j] + priced(kSourceBits[source]);
      if (sum < out[j]) out[j] = sum, source_[leaf * n + j] = source;
    }
  }

  // Leaves by their own vector: their quarters with the best steps of their own.
  Sums near_quarters(const Sums& errors) const {
    return from_quarters(errors, near_cost_, count());
  }
  static Sums from_quarters(const Sums& errors, const Sums& cost, int n) {
    Sums leaves(static_cast<size_t>(kLeaves) * n), out(static_cast<size_t>(n));
    for (int q = 0; q < kLeaves * kQuarters; ++q) {
      least_sums(&errors[q * n], cost.data(), n, n, out.data());
      for (int j = 0; j < n; ++j) leaves[q / kQuarters * n + j] += out[j];
    }
    return leaves;
  }
  void far_quarters() {
    far_cost_ = costs(far, far);
    std::vector<Step> expected;
    for (const Step v : near) expected.push_back(scaled_step(v, times_));
    across_cost_ = costs(expected, far);
    far_leaf_ = from_quarters(far_errors, far_cost_, static_cast<int>(far.size()));
  }

  // The steps of the best tree of a level.
  void write(int level, int16_t* values) const {
    const int n = count();
    int at[kFirstLeaf] = {};
    for (int l = 1; l <= std::min(level, kLevels - 1); ++l)
      for (int k = 1 << (l - 1); k < 1 << l; ++k) {
        const int around = k > 1 ? at[k / 2] : 0;
        const int32_t* below = &kept_[level][l][(k - (1 << (l - 1))) * n];
        at[k] = least_at(below, &near_cost_[around * n], n);
        put(values + step_value(k), near[at[k]], near[around]);
      }
    if (level < kLevels) return;
    for (int k = 0; k < kLeaves; ++k) {
      const int around = at[(k + kFirstLeaf) / 2];
      int16_t* value = values + first_value(k + kFirstLeaf);
      value[0] = source_[k * n + around];
      const bool is_far = value[0] == kFar;
      const std::vector<Step>& offered = is_far ? far : near;
      const int m = static_cast<int>(offered.size());
      const Sums& below = is_far ? far_leaf_ : value[0] == kMean ? mean_leaf_ : near_leaf_;
      const Sums &first = is_far ? across_cost_ : near_cost_,
                 &then = is_far ? far_cost_ : near_cost_;
      const Sums& errors = is_far ? far_errors : value[0] == kMean ? mean_errors : near_errors;
      const int own = least_at(&below[k * m], &first[around * m], m);
      put(value + 1, offered[own], is_far ? scaled_step(near[around], times_) : near[around]);
      for (int q = 0; q < kQuarters; ++q) {
        const int quarter = least_at(&errors[(k * kQuarters + q) * m], &then[own * m], m);
        put(value + 3 + 2 * q, offered[quarter], offered[own]);
      }
    }
  }
  static void put(int16_t* value, Step to, Step from) {
    value[0] = static_cast<int16_t>(to.x - from.x), value[1] = static_cast<int16_t>(to.y - from.y);
  }

  float value_bits(int level, const int16_t* values) const {
    int sum = 0;
    const bool leaves = level == kLevels;
    for (int i = 0; i < (leaves ? kValues : value_count(level, false)); ++i) {
      const bool source = i >= kInnerValues && (i - kInnerValues) % kLeafValues == 0;
      if (source && sources()) sum += kSourceBits[values[i]];
      else if (!source) sum += component_bits(values[i]);
    }
    return static_cast<float>(sum) / 16;
  }

  Times times_;
  int price_;
  Sums near_cost_, far_cost_, across_cost_, near_leaf_, mean_leaf_, far_leaf_;
  std::vector<int16_t> source_;
  std::vector<Sums> kept_[kLevels + 1];
};

MotionField block_search(const Plane& now, const Plane& reference, int threads) {
  return search_motion(now, reference, {}, 64, kUnit, threads);
}

}  // namespace

Found choose_motion(const Still& source, const Frame& near, const Frame* far, Times times,
                    int price, const uint8_t* most, int threads) {
  const int width = near.width(), height = near.height();
  const Luma8 now(source.plane[0], width, height);
  const Phases one(Luma8(near.shown().plane[0], width, height));
  const size_t windows = static_cast<size_t>(near.windows());
  Found found;
  found.values.resize(windows * kValues);
  found.levels.resize(windows), found.bits.resize(windows);
  const int deepest = *std::max_element(most, most + windows);
  if (deepest == 0) return found;
  const MotionField field = block_search(source.plane[0], near.shown().plane[0], threads);
  const std::vector<int32_t> detail = block_detail(now);
  std::unique_ptr<Phases> other;
  MotionField far_field;
  if (far && deepest == kLevels) {
    other = std::make_unique<Phases>(Luma8(far->shown().plane[0], width, height));
    far_field = block_search(source.plane[0], far->shown().plane[0], threads);
  }
  parallel_for(static_cast<int>(windows), threads, [&](int window) {
    if (most[window] == 0) return;  // a copy
    const int row = window / near.window_columns(), column = window % near.window_columns();
    WindowSearch search(times, price);
    const int columns = now.width / 16;
    search.near = choose_candidates(field, row, column, detail, columns, kNearVectors);
    search.near_errors = quarter_errors(now, row, column, one, search.near, nullptr, nullptr);
    if (other && most[window] == kLevels) {  // leaves alone take other sources
      search.far = choose_candidates(far_field, row, column, detail, columns, kFarVectors);
      search.far_errors = quarter_errors(now, row, column, *other, search.far, nullptr, nullptr);
      std::vector<Step> opposite;
      for (const Step v : search.near) opposite.push_back(within_reach(scaled_step(v, times)));
      search.mean_errors =
          quarter_errors(now, row, column, one, search.near, other.get(), &opposite);
    }
    search.run(most[window], &found.values[static_cast<size_t>(window) * kValues],
               found.levels[window], found.bits[window]);
  });
  return found;
}

}  // namespace gv::motion_tree
