// Adaptive mixing: encoder and decoder walk through the same states; extremes stay inside their
// limits.
#include "check.hpp"

using namespace gvtest;

namespace {

constexpr uint32_t kSlotCount = 50, kSets = 4;

gv::Contexts contexts(Random& random) {
  gv::Contexts c;
  const int count = uniform(random, 1, gv::kMaxInputs);
  for (int i = 0; i < count; ++i) c.add(static_cast<uint32_t>(uniform(random, 0, kSlotCount - 1)));
  c.set = static_cast<uint32_t>(uniform(random, 0, kSets - 1));
  return c;
}

bool equal_states(const gv::MixState& a, const gv::MixState& b) {
  for (size_t i = 0; i < a.slots.size(); ++i)
    if (a.slots[i].p != b.slots[i].p || a.slots[i].n != b.slots[i].n) return false;
  return a.weights == b.weights;
}

void round_trip(uint32_t seed, int count, int ones) {
  gv::MixState writing(kSlotCount, kSets), reading(kSlotCount, kSets);
  Random random(seed);
  gv::BitEncoder encoder(writing);
  for (int i = 0; i < count; ++i) {
    const gv::Contexts c = contexts(random);
    encoder.bit(c, uniform(random, 0, 99) < ones);
    if (i % 7 == 0) encoder.raw(5, static_cast<uint32_t>(uniform(random, 0, 31)));
  }
  const std::vector<uint8_t> bytes = encoder.finish();
  random.seed(seed);
  gv::BitDecoder decoder(reading, bytes.data(), bytes.size());
  for (int i = 0; i < count; ++i) {
    const gv::Contexts c = contexts(random);
    const int expected = uniform(random, 0, 99) < ones;
    EXPECT(decoder.bit(c, 0) == expected);
    if (i % 7 == 0) EXPECT(decoder.raw(5, 0) == static_cast<uint32_t>(uniform(random, 0, 31)));
  }
  EXPECT(decoder.finished());
  EXPECT(equal_states(writing, reading));
}

// Slots and weights at their limits.
void extreme_states() {
  for (int32_t weight : {-(1 << 20), -1, 0, 1 << 20})
    for (int p : {0, 1, 32768, 65535})
      for (int bit : {0, 1}) {
        gv::MixState state(1, 1);
        state.slots[0] = {static_cast<uint16_t>(p), gv::kCountLimit};
        std::fill(state.weights.begin(), state.weights.end(), weight);
        gv::Mixer mixer(state);
        gv::Contexts c;
        for (int i = 0; i < gv::kMaxInputs; ++i) c.add(0);
        for (int turn = 0; turn < 300; ++turn) {
          const uint32_t probability = mixer.predict(c);
          EXPECT(probability >= 32 && probability <= 65504);
          mixer.update(c, bit);
        }
      }
}

}  // namespace

int main() {
  for (int ones : {0, 3, 50, 97, 100}) round_trip(static_cast<uint32_t>(ones), 4000, ones);
  extreme_states();
  return verdict("mixer");
}
