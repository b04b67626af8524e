// The encoder's code lengths of last indices and signs, whose contexts it all knows, are those of
// the entropy model.
#include "check.hpp"

#include "klt/costs.hpp"

using namespace gvtest;

namespace {

gv::MixState any_state(Random& random) {
  gv::MixState mix(gv::slots::kCount, gv::slots::kSetCount);
  for (gv::Slot& s : mix.slots) {
    s.p = static_cast<uint16_t>(uniform(random, 3000, 62000));
    s.n = static_cast<uint8_t>(uniform(random, 0, gv::kCountLimit));
  }
  for (int32_t& w : mix.weights) w = uniform(random, -3000, 15000);
  return mix;
}

void expect_length(gv::MixState& mix, const gv::Contexts& c, float zero, float one) {
  const float p = static_cast<float>(gv::Mixer(mix).predict(c)) / 65536.f;
  EXPECT(std::abs(-std::log2(1.f - p) - zero) < 0.1f && std::abs(-std::log2(p) - one) < 0.1f);
}

void compare(uint32_t seed, bool key) {
  namespace s = gv::slots;
  Random random(seed);
  gv::MixState mix = any_state(random);
  gv::RefinerModel refiner;  // what it adds does not matter, that it is there does
  refiner.token.emplace_back();
  for (auto& list : refiner.relatives) list.assign(gv::kBlockSamples * gv::refine::kRelatives, -1);
  const int q = uniform(random, 0, 63);
  const uint32_t k = key ? 0 : 1, uq = static_cast<uint32_t>(q);
  const gv::FineCosts costs(mix, refiner, q, key);

  gv::FrameTokens before(64, 64);
  int32_t predicted[gv::kBlockSamples] = {};
  int16_t left[gv::kBlockSamples];
  for (int i = 0; i < gv::kBlockSamples; ++i) {
    left[i] = static_cast<int16_t>(uniform(random, -1, 1));
    before.values(0, 5)[i] = static_cast<int16_t>(uniform(random, -2, 2));
    if (!key) predicted[i] = uniform(random, -200, 200);
  }
  before.measure(0, 5);
  gv::Surroundings around;
  around.left = left;
  around.before = &before;
  around.past = 5;
  around.near_group = static_cast<uint32_t>(uniform(random, 0, 5));
  around.predicted = predicted;

  const std::array<float, gv::kGroupCount> last = costs.last(around);
  float unary = 0;
  for (uint32_t g = 0; g + 1 < gv::kGroupCount; ++g) {
    const uint32_t kg = k * s::kGroups + g;
    gv::Contexts c;
    c.set = s::kSetLast + k;
    c.add(s::first(s::kLast0) + kg);
    c.add(s::first(s::kLast1) + kg * 6 + around.near_group);
    c.add(s::first(s::kLast2) + kg * 8 + uq / 8);
    c.add(s::first(s::kLast3) + kg * 6 + gv::group6(before.level[0].last[5]));
    const float more = -std::log2(static_cast<float>(gv::Mixer(mix).predict(c)) / 65536.f);
    expect_length(mix, c, last[g] - unary - static_cast<float>(gv::kGroupBits[g]), more);
    unary += more;
  }
  for (const int i : {0, 7, 15, 16, 300}) {
    const uint32_t ui = static_cast<uint32_t>(i);
    gv::Contexts c;
    c.set = i < 16 ? s::kSetSign : s::kSetSign + 1;
    if (i < 16) {
      c.add(s::first(s::kSign0) + (k * 16 + ui) * 9 + gv::sign3(left[i]) * 3 + gv::sign3(0));
      c.add(s::first(s::kSign1) + (k * 16 + ui) * 3 + gv::sign3(before.value_at(0, 5, i)));
    } else {
      c.add(s::first(s::kSign2) + k * 2);
    }
    const uint32_t bucket = gv::ratio8(predicted[i], gv::quantiser_step(q, 0));
    if (!key)
      c.add(s::first(s::kSignR) + ((k * s::kIndex16 + gv::index16(i)) * 8 + bucket) * 3 +
            gv::sign3(predicted[i]));
    const float odds = costs.odds(around, i, 0, 0).negative;
    expect_length(mix, c, gv::FineCosts::bits(odds, false), gv::FineCosts::bits(odds, true));
  }
}

}  // namespace

int main() {
  for (uint32_t seed = 0; seed < 20; ++seed) compare(seed, seed % 2);
  return verdict("costs");
}
