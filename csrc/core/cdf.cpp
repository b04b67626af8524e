#include "core/cdf.hpp"

namespace gv {
namespace {

constexpr uint64_t kOne = uint64_t{1} << 32;
constexpr int kLongestPrefix = 33;  // of an exp-Golomb code

// 2^32 · exp(-1 / (8 b)) of the six widest scales b; six steps down b is halved, so the value is squared.
constexpr uint64_t kDecay[6] = {4280046474, 4281671832, 4283120382, 4284411306, 4285561716, 4286586875};

ScaleTables make_tables(int scale) {
  uint64_t decay = kDecay[(scale + 2) % 6];  // 58…63 are the last six scales
  for (int i = scale; i < kScales - 6; i += 6) decay = (decay * decay + kOne / 2) >> 32;

  ScaleTables t;
  std::vector<uint64_t> tail{kOne};  // 2^32 · exp(-n / (8 b))
  auto extend_to = [&](int n) {
    while (static_cast<int>(tail.size()) <= n) tail.push_back((tail.back() * decay + kOne / 2) >> 32);
  };
  t.radius = 2;
  for (extend_to(8 * t.radius); tail[8 * t.radius] > kOne >> 9; extend_to(8 * t.radius)) ++t.radius;
  extend_to(8 * t.radius + 8);
  t.golomb = std::max(0, (scale - 21) / 6);
  t.symbols = 2 * t.radius + 2;

  // 2^33 times the probability of less than the mean plus n eighths.
  auto below = [&](int n) { return n < 0 ? tail[-n] : 2 * kOne - tail[n]; };
  for (int f = 0; f < kMeanSteps; ++f) {
    std::vector<uint32_t>& edge = t.edge[f];
    edge.assign(static_cast<size_t>(t.symbols) + 1, 0);
    const uint64_t spread = kProbOne - static_cast<uint64_t>(t.symbols);  // each symbol has at least 1
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
    edge[1] += kProbOne - sum;  // what rounding left over goes to the first symbol
    for (int s = 1; s <= t.symbols; ++s) edge[s] += edge[s - 1];
  }
  return t;
}

struct Place {
  int64_t centre;  // the integer nearest to the mean
  const std::vector<uint32_t>& edge;
};

Place place(const ScaleTables& t, int mean) {
  const int centre = (mean + 4) >> 3;
  return {centre, t.edge[static_cast<size_t>(mean - 8 * centre + 4)]};
}

void put_raw(RansEncoder& coder, int bits, uint64_t value) {
  for (; bits > 0; bits -= 8) {
    const int n = std::min(bits, 8);
    coder.put(static_cast<uint32_t>(value >> (bits - n) & ((1u << n) - 1)) << (kProbBits - n), kProbOne >> n);
  }
}

uint64_t get_raw(RansDecoder& coder, int bits) {
  uint64_t value = 0;
  for (; bits > 0; bits -= 8) {
    const int n = std::min(bits, 8);
    const uint32_t part = coder.peek() >> (kProbBits - n);
    coder.advance(part << (kProbBits - n), kProbOne >> n);
    value = value << n | part;
  }
  return value;
}

}  // namespace

const ScaleTables& scale_tables(int scale) {
  static const std::vector<ScaleTables> all = [] {
    std::vector<ScaleTables> tables;
    for (int i = 0; i < kScales; ++i) tables.push_back(make_tables(i));
    return tables;
  }();
  return all[static_cast<size_t>(scale)];
}

void encode_integer(RansEncoder& coder, int scale, int mean, int32_t value) {
  const ScaleTables& t = scale_tables(scale);
  const Place at = place(t, mean);
  const int64_t distance = value - at.centre;
  const uint64_t index = static_cast<uint64_t>(distance > 0 ? 2 * distance - 1 : -2 * distance);
  const uint64_t escape = static_cast<uint64_t>(t.symbols) - 1;
  const size_t s = static_cast<size_t>(std::min(index, escape));
  coder.put(at.edge[s], at.edge[s + 1] - at.edge[s]);
  if (index < escape) return;
  const uint64_t rest = index - escape + (uint64_t{1} << t.golomb);
  int bits = t.golomb;
  for (; rest >> (bits + 1) != 0; ++bits) put_raw(coder, 1, 1);
  if (bits < t.golomb + kLongestPrefix) put_raw(coder, 1, 0);
  put_raw(coder, bits, rest & ((uint64_t{1} << bits) - 1));
}

int32_t decode_integer(RansDecoder& coder, int scale, int mean) {
  const ScaleTables& t = scale_tables(scale);
  const Place at = place(t, mean);
  const auto after = std::upper_bound(at.edge.begin(), at.edge.end(), coder.peek());
  const size_t s = static_cast<size_t>(after - at.edge.begin()) - 1;
  coder.advance(at.edge[s], at.edge[s + 1] - at.edge[s]);
  uint64_t index = s;
  if (s + 1 == static_cast<size_t>(t.symbols)) {
    int bits = t.golomb;
    while (bits < t.golomb + kLongestPrefix && get_raw(coder, 1)) ++bits;
    index += (uint64_t{1} << bits | get_raw(coder, bits)) - (uint64_t{1} << t.golomb);
  }
  const int64_t distance = index & 1 ? static_cast<int64_t>(index / 2) + 1 : -static_cast<int64_t>(index / 2);
  return static_cast<int32_t>(clamp<int64_t>(at.centre + distance, INT32_MIN, INT32_MAX));
}

}  // namespace gv
