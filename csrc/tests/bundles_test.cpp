// Model of frame headers in bundles: round trips, arbitrary bytes, symbols that are no frames.
#include "entropy/bundles.hpp"
#include "check.hpp"

using namespace gvtest;

namespace {

using Bytes = std::vector<uint8_t>;

Bytes random_bytes(Random& random, int count) {
  Bytes bytes(static_cast<size_t>(count));
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(uniform(random, 0, 255));
  return bytes;
}

void append(Bytes& bytes, const Bytes& more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

// Symbols of one OBU: of few kinds, as those of a stream are.
Bytes random_obu(Random& random, bool last) {
  if (last && uniform(random, 0, 9) == 0) return {255, 7};
  const bool is_long = uniform(random, 0, 9) == 0;
  const int size = is_long ? 255 : uniform(random, 0, 40);
  Bytes obu = {static_cast<uint8_t>((last ? 16 : 0) | uniform(random, 3, 6)),
               static_cast<uint8_t>(size)};
  if (is_long) append(obu, {static_cast<uint8_t>(uniform(random, 0, 255)), 0, 0});
  const int head = std::min(is_long ? obu[2] : size, gv::kHead);
  for (int i = 0; i < head; ++i) obu.push_back(static_cast<uint8_t>(i * 9 + uniform(random, 0, 1)));
  return obu;
}

Bytes random_frames(Random& random, int frames) {
  Bytes symbols;
  for (int f = 0; f < frames; ++f)
    for (int left = uniform(random, 0, 2); left >= 0; --left)
      append(symbols, random_obu(random, left == 0));
  return symbols;
}

Bytes random_sample(Random& random) {
  Bytes sample;
  for (int i = 0; i < 40; ++i) {
    if (i == 25) append(sample, {255, 0});
    const Bytes obu = random_obu(random, i % 2);
    append(sample, {static_cast<uint8_t>(i % 2), static_cast<uint8_t>(obu.size())});
    append(sample, obu);
  }
  return sample;
}

template <class Error, class Fn>
bool throws(const Fn& fn) {
  try {
    fn();
  } catch (const Error&) {
    return true;
  }
  return false;
}

void round_trips(Random& random) {
  const Bytes sample = random_sample(random);
  const gv::BundleModel primed(sample.data(), sample.size()), blank(nullptr, 0);
  size_t with_sample = 0, without = 0;
  for (int turn = 0; turn < 20; ++turn) {
    gv::BundleModel here = primed, there = primed, other = blank;
    for (int bundle = 0; bundle < 4; ++bundle) {
      const int frames = uniform(random, 1, 32);
      const Bytes symbols = random_frames(random, frames);
      const Bytes coded = here.encode(symbols.data(), symbols.size());
      EXPECT(coded.size() < symbols.size());
      EXPECT(there.decode(coded.data(), coded.size(), frames) == symbols);
      with_sample += coded.size();
      without += other.encode(symbols.data(), symbols.size()).size();
    }
  }
  EXPECT(with_sample < without);
}

// Any bytes are some symbols, bounded in number; these, coded, decode to the same.
void arbitrary_bytes(Random& random) {
  const gv::BundleModel blank(nullptr, 0);
  int refused = 0;
  for (int turn = 0; turn < 200; ++turn) {
    gv::BundleModel here = blank, there = blank, back = blank;
    const int frames = uniform(random, 1, 32);
    Bytes data = random_bytes(random, uniform(random, 0, 300)), symbols;
    if (turn % 5 == 0) std::fill(data.begin(), data.end(), static_cast<uint8_t>(turn));
    if (throws<gv::DamagedStream>(
            [&] { symbols = here.decode(data.data(), data.size(), frames); })) {
      ++refused;
      // It continues from its last state.
      throws<gv::DamagedStream>([&] { here.decode(data.data(), data.size(), frames); });
      continue;
    }
    EXPECT(symbols.size() <= static_cast<size_t>(gv::kMostObus * (5 + gv::kHead)));
    const Bytes coded = there.encode(symbols.data(), symbols.size());
    EXPECT(back.decode(coded.data(), coded.size(), frames) == symbols);
  }
  EXPECT(refused > 0 && refused < 200);
}

void no_frames(Random& random) {
  const auto refuses = [](const Bytes& symbols) {
    gv::BundleModel model(nullptr, 0);
    return throws<std::invalid_argument>([&] { model.encode(symbols.data(), symbols.size()); });
  };
  const Bytes obus = random_frames(random, 1);
  for (size_t cut = 1; cut < obus.size(); ++cut) EXPECT(refuses({obus.begin(), obus.end() - cut}));
  Bytes most(2 * gv::kMostObus, 0);
  most[most.size() - 2] = 16;
  EXPECT(!refuses(most));
  append(most, {16, 0});
  EXPECT(refuses(most));
}

void no_samples(Random& random) {
  const auto refuses = [](const Bytes& sample) {
    return throws<std::invalid_argument>([&] { gv::BundleModel(sample.data(), sample.size()); });
  };
  EXPECT(refuses({0}) && refuses({0, 1}) && refuses({0, 1, 3}) && refuses({0, 3, 3, 2, 1}));
  EXPECT(!refuses({gv::kMostObus - 1, 2, 3, 0}) && refuses({gv::kMostObus, 2, 3, 0}));
  for (int turn = 0; turn < 40; ++turn) refuses(random_bytes(random, uniform(random, 0, 100)));
}

}  // namespace

int main() {
  Random random(1);
  round_trips(random);
  arbitrary_bytes(random);
  no_frames(random);
  no_samples(random);
  return verdict("bundles");
}
