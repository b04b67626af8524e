// Range coder: round trips, cost against the ideal code length, arbitrary bytes.
#include "check.hpp"
#include "entropy/cdf.hpp"

using namespace gvtest;

namespace {

struct Symbol {
  uint32_t start, freq;
};

void round_trip(Random& random, int count, int alphabet) {
  std::vector<uint32_t> edge{0};
  for (int i = 1; i < alphabet; ++i)
    edge.push_back(edge.back() + 1 +
                   static_cast<uint32_t>(uniform(random, 0, 65535 / alphabet - 1)));
  edge.push_back(gv::kProbOne);
  gv::RansEncoder encoder;
  std::vector<size_t> symbols;
  double ideal = 0;
  for (int i = 0; i < count; ++i) {
    const size_t s = static_cast<size_t>(uniform(random, 0, alphabet - 1));
    symbols.push_back(s);
    encoder.put(edge[s], edge[s + 1] - edge[s]);
    ideal -= std::log2((edge[s + 1] - edge[s]) / 65536.0) / 8;
  }
  const std::vector<uint8_t> bytes = encoder.finish();
  EXPECT(static_cast<double>(bytes.size()) <= ideal * 1.003 + 3);
  gv::RansDecoder decoder(bytes.data(), bytes.size());
  for (const size_t s : symbols) {
    const bool found = edge[s] <= decoder.peek() && decoder.peek() < edge[s + 1];
    EXPECT(found);
    if (!found) return;
    decoder.advance(edge[s], edge[s + 1] - edge[s]);
  }
  EXPECT(decoder.finished());
}

void integers(Random& random) {
  for (int scale = 0; scale < gv::kScales; ++scale) {
    gv::RansEncoder encoder;
    std::vector<std::pair<int, int32_t>> coded;
    for (int i = 0; i < 300; ++i) {
      const int mean = uniform(random, -32768, 32767), reach = i % 3 == 0   ? 3
                                                               : i % 3 == 1 ? 700
                                                                            : 1 << 30;
      int32_t value = mean / 8 + uniform(random, -reach, reach - 1);
      if (i == 0) value = INT32_MAX;
      if (i == 1) value = INT32_MIN;
      coded.push_back({mean, value});
      gv::encode_integer(encoder, {scale, mean}, value);
    }
    const std::vector<uint8_t> bytes = encoder.finish();
    gv::RansDecoder decoder(bytes.data(), bytes.size());
    for (const auto& [mean, value] : coded)
      EXPECT(gv::decode_integer(decoder, {scale, mean}) == value);
    EXPECT(decoder.finished());
  }
}

void arbitrary_bytes(Random& random) {
  for (int turn = 0; turn < 300; ++turn) {
    std::vector<uint8_t> bytes(static_cast<size_t>(uniform(random, 0, 40)));
    for (uint8_t& b : bytes)
      b = static_cast<uint8_t>(turn % 5 == 0 ? 255 : uniform(random, 0, 255));
    gv::RansDecoder decoder(bytes.data(), bytes.size());
    for (int i = 0; i < 200; ++i)
      gv::decode_integer(
          decoder, {turn % gv::kScales, uniform(random, -32768, 32767), turn % gv::kInflations});
  }
}

}  // namespace

int main() {
  Random random(1);
  for (int count : {0, 1, 2, 5, 30, 1000, 100000})
    for (int alphabet : {2, 3, 17, 250})
      for (int turn = 0; turn < (count < 100 ? 50 : 1); ++turn) round_trip(random, count, alphabet);
  integers(random);
  arbitrary_bytes(random);
  return verdict("rans");
}
