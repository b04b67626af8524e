#include "klt/costs.hpp"

namespace gv {
namespace {

// A mixer's weights for some of its inputs, made larger for those that are left out.
struct Share {
  const int32_t* weight;
  float scale;
  Share(const MixState& mix, uint32_t set, int inputs, const std::vector<int>& used) {
    weight = mix.weights.data() + static_cast<size_t>(set) * kWeights;
    float all = 0, here = 0;
    for (int i = 0; i < inputs; ++i) all += static_cast<float>(weight[i]);
    for (const int i : used) here += static_cast<float>(weight[i]);
    scale = here > 0 ? clamp(all / here, 1.f, 2.f) : 1.f;
  }
  float bias() const { return static_cast<float>(weight[kMaxInputs]) / 256.f; }
  float operator()(int input, const Slot& s) const {
    return scale * static_cast<float>(weight[input]) / 65536.f * static_cast<float>(stretch(s.p)) *
           static_cast<float>(s.n) / static_cast<float>(s.n + 2);
  }
};

}  // namespace

FineCosts::FineCosts(const MixState& mix, const RefinerModel& refiner, int q, bool key)
    : step_(quantiser_step(q, 0)) {
  const uint32_t k = key ? 0 : 1, uq = static_cast<uint32_t>(q);
  const bool refines = !refiner.empty();
  if (refines) relatives_ = refiner.relatives[k].data();
  auto at = [&](slots::Family f, uint32_t offset) -> const Slot& {
    return mix.slots[slots::first(f) + offset];
  };
  // Of significance and "more than 1". Input 2 of significance, a run, knows how far the end is,
  // input 4 of both in which group that is: unknown here.
  const int inputs = refines ? 6 : 5;
  const std::vector<int> of_sig =
      refines ? std::vector<int>{0, 1, 3, 5} : std::vector<int>{0, 1, 3};
  const std::vector<int> of_big =
      refines ? std::vector<int>{0, 1, 2, 3, 5} : std::vector<int>{0, 1, 2, 3};
  for (uint32_t i72 = 0; i72 < slots::kIndex; ++i72) {
    const int i = static_cast<int>(i72 < 48 ? i72 : 48 + (i72 - 48) * 16);
    i16_[i72] = static_cast<uint8_t>(index16(i));
    i8_[i72] = static_cast<uint8_t>(index8(i));
    const Share sig(mix, slots::kSetSig + k * slots::kIndex8 + i8_[i72], inputs, of_sig);
    const Share big(mix, slots::kSetBig + k * slots::kIndex8 + i8_[i72], inputs, of_big);
    const uint32_t of_q = (k * 16 + uq / 4) * slots::kIndex16 + i16_[i72];
    sig_[i72] = sig.bias() + sig(0, at(slots::kSig0, k * slots::kIndex + i72)) +
                sig(3, at(slots::kSig3, of_q));
    big_[i72] = big.bias() + big(0, at(slots::kBig0, k * slots::kIndex + i72)) +
                big(3, at(slots::kBig3, of_q));
    for (uint32_t c = 0; c < 9; ++c) {
      const uint32_t n = i8_[i72] * 9u + c;
      sig_near_[n] = sig(1, at(slots::kSig1, k * 72 + n));
      big_near_[n] = big(1, at(slots::kBig1, k * 72 + n));
      big_run_[n] = big(2, at(slots::kBig2, (k * 9 + c) * slots::kIndex8 + i8_[i72]));
    }
    for (uint32_t c = 0; refines && c < 24; ++c) {
      const uint32_t n = i16_[i72] * 24u + c;
      sig_around_[n] = sig(5, at(slots::kSigR, k * 384 + n));
      big_around_[n] = big(5, at(slots::kBigR, k * 384 + n));
    }
  }
  const Share near(mix, slots::kSetSign, 2, {0, 1}), far(mix, slots::kSetSign + 1, 1, {0});
  for (uint32_t i = 0; i < 16; ++i) {
    for (uint32_t c = 0; c < 9; ++c)
      sign_near_[i * 9 + c] = near.bias() + near(0, at(slots::kSign0, (k * 16 + i) * 9 + c));
    for (uint32_t c = 0; c < 3; ++c)
      sign_past_[i * 3 + c] = near(1, at(slots::kSign1, (k * 16 + i) * 3 + c));
  }
  sign_ = far.bias() + far(0, at(slots::kSign2, k * 2));
  // Bucket 10 of the index is where the 16th coefficient begins, and with it the other set of
  // weights.
  for (uint32_t n = 0; refines && !key && n < 384; ++n)
    sign_around_[n] = n / 24 < 10 ? near(2, at(slots::kSignR, k * 384 + n))
                                  : far(1, at(slots::kSignR, k * 384 + n));
  const Share end(mix, slots::kSetLast + k, 4, {0, 1, 2, 3});
  for (uint32_t g = 0; g < slots::kGroups; ++g) {
    const uint32_t kg = k * slots::kGroups + g;
    last_[g] =
        end.bias() + end(0, at(slots::kLast0, kg)) + end(2, at(slots::kLast2, kg * 8 + uq / 8));
    for (uint32_t c = 0; c < 6; ++c) {
      last_near_[g * 6 + c] = end(1, at(slots::kLast1, kg * 6 + c));
      last_past_[g * 6 + c] = end(3, at(slots::kLast3, kg * 6 + c));
    }
  }
}

std::array<float, kGroupCount> FineCosts::last(const Surroundings& s) const {
  const int16_t end = s.before->level[0].last[static_cast<size_t>(s.past)];
  const size_t past_group = group6(end);
  std::array<float, kGroupCount> found;
  float unary = 0;
  for (size_t g = 0; g < kGroupCount; ++g) {
    const float odds = last_[g] + last_near_[g * 6 + s.near_group] + last_past_[g * 6 + past_group];
    found[g] =
        unary + (g + 1 < kGroupCount ? bits(odds, false) : 0.f) + static_cast<float>(kGroupBits[g]);
    unary += bits(odds, true);
  }
  return found;
}

const std::array<float, 4096>& FineCosts::lengths() {
  static const std::array<float, 4096> table = [] {
    std::array<float, 4096> t{};
    for (int i = 0; i < 4096; ++i)
      t[static_cast<size_t>(i)] = std::log2(1.f + std::exp(static_cast<float>(2048 - i) / 256.f));
    return t;
  }();
  return table;
}

}  // namespace gv
