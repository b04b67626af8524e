#include "entropy/cdf.hpp"

namespace gv {
namespace {

constexpr uint64_t kOne = uint64_t{1} << 32;

// 2^32 · exp(-1 / (8 b)) of the six widest scales b; six steps down b is halved, so the value is
// squared.
constexpr uint64_t kDecay[6] = {4280046474, 4281671832, 4283120382,
                                4284411306, 4285561716, 4286586875};

// Appends the tables of a scale to `edges`.
ScaleTables make_tables(int scale, std::vector<uint32_t>& edges) {
  uint64_t decay = kDecay[(scale + 2) % 6];  // 58…63 are the last six scales
  for (int i = scale; i < kScales - 6; i += 6) decay = (decay * decay + kOne / 2) >> 32;

  ScaleTables t;
  t.first = static_cast<uint32_t>(edges.size());
  std::vector<uint64_t> tail{kOne};  // 2^32 · exp(-n / (8 b))
  auto extend_to = [&](int n) {
    while (static_cast<int>(tail.size()) <= n)
      tail.push_back((tail.back() * decay + kOne / 2) >> 32);
  };
  t.radius = 2;
  for (extend_to(8 * t.radius); tail[8 * t.radius] > kOne >> 9; extend_to(8 * t.radius)) ++t.radius;
  extend_to(8 * t.radius + 8);
  t.golomb = std::max(0, (scale - 21) / 6);
  t.symbols = 2 * t.radius + 2;

  // 2^33 times the probability of less than the mean plus n eighths.
  auto below = [&](int n) { return n < 0 ? tail[-n] : 2 * kOne - tail[n]; };
  for (int f = 0; f < kMeanSteps; ++f) {
    std::vector<uint32_t> edge(static_cast<size_t>(t.symbols) + 1);
    const uint64_t spread =
        kProbOne - static_cast<uint64_t>(t.symbols);  // each symbol has at least 1
    auto frequency = [&](uint64_t p) { return 1 + static_cast<uint32_t>(p * spread >> 33); };
    uint32_t sum = 0;
    for (int s = 0; s + 1 < t.symbols; ++s) {
      const int distance = s & 1 ? (s + 1) / 2 : -s / 2, centre = 8 * distance - (f - 4);
      edge[s + 1] = frequency(below(centre + 4) - below(centre - 4));
      sum += edge[s + 1];
    }
    const int outer = 8 * t.radius + 4;
    edge[t.symbols] = frequency(below(-outer - (f - 4)) + tail[outer - (f - 4)]);
    sum += edge[t.symbols];
    edge[1] += kProbOne - sum;  // the rounding remainder goes to the first symbol
    for (int s = 1; s <= t.symbols; ++s) edge[s] += edge[s - 1];
    edges.insert(edges.end(), edge.begin(), edge.end());
  }
  return t;
}

}  // namespace

const LaplaceTables& laplace_tables() {
  struct Owner {
    ScaleTables scale[kScales];
    std::vector<uint32_t> edges;
    LaplaceTables tables;
    Owner() {
      for (int i = 0; i < kScales; ++i) scale[i] = make_tables(i, edges);
      tables = {scale, edges.data(), static_cast<uint32_t>(edges.size())};
    }
  };
  static const Owner owner;
  return owner.tables;
}

}  // namespace gv
