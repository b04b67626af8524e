#include "entropy/mixer.hpp"

#include <array>

namespace gv {
namespace {

// 65536 / (1 + exp(-i/2)) for i = -16…16: the logistic function at every 128th of its argument in
// 1/256.
constexpr int kLogistic[33] = {22,    36,    60,    98,    162,   267,   439,   720,   1179,
                               1921,  3108,  4971,  7812,  11955, 17625, 24743, 32768, 40793,
                               47911, 53581, 57724, 60565, 62428, 63615, 64357, 64816, 65097,
                               65269, 65374, 65438, 65476, 65500, 65514};

struct Tables {
  std::array<uint16_t, 4096> squash;                // index x + 2048
  std::array<int16_t, 4096> stretch;                // index p >> 4
  std::array<uint16_t, kCountLimit + 1> rate;       // 65536 / (n + 1.6), index n
  std::array<int16_t, kCountLimit + 1> confidence;  // 256 n / (n + 2)

  Tables() {
    for (int i = 0; i < 4096; ++i) {
      const int k = i >> 7, f = i & 127;
      const int v = (kLogistic[k] * (128 - f) + kLogistic[k + 1] * f + 64) >> 7;
      squash[i] = static_cast<uint16_t>(clamp(v, 32, 65504));
    }
    int x = 0;  // stretch is the largest x whose squash does not exceed p
    for (int i = 0; i < 4096; ++i) {
      while (x < 4095 && squash[x + 1] <= i * 16 + 8) ++x;
      stretch[i] = static_cast<int16_t>(clamp(x - 2048, -2047, 2047));
    }
    for (int n = 0; n <= kCountLimit; ++n) {
      rate[n] = static_cast<uint16_t>(655360 / (10 * n + 16));
      confidence[n] = static_cast<int16_t>(256 * n / (n + 2));
    }
  }
};

const Tables kTables;

}  // namespace

int stretch(uint32_t p) { return kTables.stretch[p >> 4]; }
uint32_t squash(int x) { return kTables.squash[clamp(x, -2047, 2047) + 2048]; }

MixState::MixState(size_t slot_count, size_t set_count) : slots(slot_count) {
  weights.assign(set_count * kWeights, 20000);
  for (size_t s = 0; s < set_count; ++s) weights[s * kWeights + kMaxInputs] = 0;
}

uint32_t Mixer::predict(const Contexts& c, bool refines) {
  const int32_t* w = state_.weights.data() + static_cast<size_t>(c.set) * kWeights;
  int64_t sum = static_cast<int64_t>(w[kMaxInputs]) * 256;
  for (int i = 0; i < c.count; ++i) {
    const Slot& s = state_.slots[c.slot[i]];
    // A slot that has seen little speaks softly: its log odds count n / (n + 2).
    x_[i] = stretch(s.p) * kTables.confidence[s.n] >> 8;
    sum += static_cast<int64_t>(w[i]) * x_[i];
  }
  stretched_ = static_cast<int>(clamp<int64_t>(sum >> 16, -2047, 2047));
  mixed_ = squash(stretched_);
  return refines && c.refinement ? squash(stretched_ + c.refinement->delta(stretched_)) : mixed_;
}

void Mixer::update(const Contexts& c, int bit) {
  int32_t* w = state_.weights.data() + static_cast<size_t>(c.set) * kWeights;
  const int32_t error = (bit ? 65535 : 0) - static_cast<int32_t>(mixed_);
  auto learn = [&](int32_t& weight, int32_t x) {
    weight = clamp(weight + ((x * (error >> 4) + (1 << 13)) >> 14), -kWeightLimit, kWeightLimit);
  };
  learn(w[kMaxInputs], 256);
  for (int i = 0; i < c.count; ++i) {
    learn(w[i], x_[i]);
    Slot& s = state_.slots[c.slot[i]];
    const int32_t target = bit ? 65535 : 0;
    s.p = static_cast<uint16_t>(s.p +
                                (((target - s.p) * static_cast<int64_t>(kTables.rate[s.n])) >> 16));
    if (s.n < kCountLimit) ++s.n;
  }
}

}  // namespace gv
