#include "klt/window_tokens.hpp"

namespace gv {
namespace {

constexpr int kSide = 1 << kTop;                                   // of a window in 16×16 regions
constexpr float kUnit = static_cast<float>(1 << (2 * kCoefBits));  // of a squared sample difference

GV_SIMD(uint32_t, energy_of, (const int16_t* v, int n), (v, n)) {
  uint32_t sum = 0;
  for (int i = 0; i < n; ++i) sum += static_cast<uint32_t>(static_cast<int32_t>(v[i]) * v[i]);
  return sum;
}

// Mean over 2^level × 2^level samples of a region whose corner is the 16×16 region (x, y).
void average_region(const Residual& r, int x, int y, int level, int16_t* out) {
  for (int c = 0; c < 3; ++c) {
    const int n = c == 0 ? 16 : 8, f = 1 << level;
    for (int j = 0; j < n; ++j)
      for (int i = 0; i < n; ++i) {
        int sum = 0;
        for (int b = 0; b < f; ++b) {
          const int16_t* row = r.data[c].data() +
                               static_cast<size_t>(y * n + j * f + b) * r.width[c] + x * n + i * f;
          for (int a = 0; a < f; ++a) sum += row[a];
        }
        *out++ = static_cast<int16_t>((sum + (1 << (2 * level - 1))) >> (2 * level));
      }
  }
}

// Subtracts the 16×16 region (x, y) of an expanded token.
void take_off(const Expanded& token, int level, int x, int y, int16_t* samples) {
  for (int c = 0; c < 3; ++c) {
    const int n = c == 0 ? 16 : 8, side = n << level;
    for (int j = 0; j < n; ++j, samples += n) {
      const int16_t* row = token.data[c].data() + static_cast<size_t>(y * n + j) * side + x * n;
      for (int i = 0; i < n; ++i)
        samples[i] = static_cast<int16_t>(clamp(samples[i] - row[i], -kMaxSample, kMaxSample));
    }
  }
}

// No tokens in a square of nodes at (x, y) of a window that starts at (x0, y0).
void forget(TokenLevel& t, int x0, int y0, int x, int y, int side) {
  for (int j = y0 + y; j < std::min(y0 + y + side, t.grid.height); ++j)
    for (int i = x0 + x; i < std::min(x0 + x + side, t.grid.width); ++i) {
      t.last[static_cast<size_t>(j) * t.grid.width + i] = -1;
      t.energy[static_cast<size_t>(j) * t.grid.width + i] = 0;
    }
}

// Bits of one coefficient's decisions: significant or not, more than 1 or not, its sign.
struct Lengths {
  std::array<float, 2> sig, big;
  float sign;
  float of(int magnitude) const { return magnitude_bits(big.data(), magnitude) + sign; }
};

// Quantises the coefficients of a token by rate and distortion.
struct Quantiser {
  int step;
  float weight;  // of squared errors
  const EncoderTools& tools;
  float bit =
      static_cast<float>(tools.lambda) * static_cast<float>(step) * static_cast<float>(step);

  // Whether a token of this energy may be worth four bits.
  bool worth(uint32_t energy) const {
    return weight * kUnit * static_cast<float>(energy) >= 4.f * bit;
  }
  // Coefficients from this one on are nothing.
  int reach(const int32_t* coefficient, int count) const {
    while (count > 0 && 2 * std::abs(coefficient[count - 1]) < step) --count;
    return count;
  }
  // How much J falls against leaving the token out. `lengths(i, run)` may look at the values before
  // i, `run` is the context that the two last of them make; `last_bits(i)` for the token to end
  // there, `bits` whatever else it takes.
  template <class LengthsOf, class LastBits>
  float operator()(const int32_t* coefficient, int count, float bits, LengthsOf lengths,
                   LastBits last_bits, int16_t* v) const {
    std::fill_n(v, count, static_cast<int16_t>(0));
    const int end = reach(coefficient, count);
    float best = 0.f, walk = bit * bits;
    int last = -1;
    bool only_as_last = false;  // its value is worth its bits only if nothing follows
    uint32_t before1 = 0, before2 = 0;
    for (int i = 0; i < end; ++i) {
      const Lengths length = lengths(i, before1 * 3 + before2);
      const int magnitude = std::abs(coefficient[i]);
      int level = std::min((tools.rdoq ? magnitude + step / 2 : magnitude + step / 3) / step,
                           kMaxLevel - 1);
      before2 = before1;
      before1 = 0;
      if (level == 0) {
        walk += bit * length.sig[0];
        continue;
      }
      // J of a level against zero.
      auto price = [&](int m) {
        const float error = static_cast<float>(magnitude - dequantise(m, step)),
                    whole = static_cast<float>(magnitude);
        return weight * (error * error - whole * whole) + bit * length.of(m);
      };
      float cost = price(level);
      if (tools.rdoq && level > 1) {
        const float lower = price(level - 1);
        if (lower < cost) cost = lower, --level;
      }
      // As the last one it needs no significance flag.
      const float as_last = walk + cost + bit * last_bits(i),
                  with_flag = cost + bit * length.sig[1];
      const bool ends = as_last < best || !tools.rdoq,
                 keep = with_flag < bit * length.sig[0] || !tools.rdoq;
      if (ends) {
        if (only_as_last) v[last] = 0;
        best = as_last, last = i, only_as_last = !keep;
      }
      if (ends || keep) v[i] = static_cast<int16_t>(coefficient[i] < 0 ? -level : level);
      walk += keep ? with_flag : bit * length.sig[0];
      if (keep) before1 = static_cast<uint32_t>(std::min(2, level));
    }
    std::fill(v + last + 1, v + end, static_cast<int16_t>(0));
    return -best;
  }
};

}  // namespace

WindowTokens::Finest::Finest()
    : values(kSide * kSide * kBlockSamples), coded(kSide * kSide), j(kSide * kSide) {}

WindowTokens::WindowTokens(LoopState& state, const Residual& target,
                           const std::vector<float>& weight, const EncoderTools& tools,
                           const Costs& costs, const FineCosts& fine, int q, bool key)
    : state_(state),
      target_(target),
      weight_(weight),
      tools_(tools),
      costs_(costs),
      fine_(fine),
      q_(q),
      key_(key),
      nothing_(kSide * kSide) {
  const float step = static_cast<float>(quantiser_step(q, 0));
  lambda_ = static_cast<float>(tools.lambda) * step * step;
}

void WindowTokens::choose(int wx, int wy) {
  FrameTokens& now = state_.now;
  x0_ = wx * kSide;
  y0_ = wy * kSide;
  wide_ = std::min(kSide, now.blocks_wide - x0_);
  high_ = std::min(kSide, now.blocks_high - y0_);
  for (int y = 0; y < high_; ++y)
    for (int x = 0; x < wide_; ++x) {
      int16_t samples[kBlockSamples];
      target_.gather(x0_ + x, y0_ + y, samples);
      nothing_[static_cast<size_t>(y) * kSide + x] = set_finest(best_, x, y, samples);
    }

  // J of the regions of the level below, and whether anything in them is coded.
  std::vector<float> cost(best_.j), next(kSide * kSide);
  std::vector<uint8_t> any(best_.coded), next_any(kSide * kSide);
  for (int l = 1; l < kLevels; ++l) {
    const int n = kSide >> l, size = 1 << l, grid = now.level[l].grid.width;
    for (int y = 0; y * size < high_; ++y)
      for (int x = 0; x * size < wide_; ++x) {
        const Region r{l,
                       x * size,
                       y * size,
                       std::min((x + 1) * size, wide_),
                       std::min((y + 1) * size, high_),
                       (wy * n + y) * grid + wx * n + x};
        float parts = 0.f;
        bool some = false;
        for (int i = 0; i < 4; ++i) {
          const int cx = 2 * x + (i & 1), cy = 2 * y + (i >> 1);
          if (cx * size / 2 >= wide_ || cy * size / 2 >= high_) continue;
          parts += cost[static_cast<size_t>(cy) * 2 * n + cx];
          some = some || any[static_cast<size_t>(cy) * 2 * n + cx];
        }
        float choice = parts + lambda_ * (costs_.any[l][1] + costs_.self[l][0]);
        const float empty = empty_cost(r);
        if (!some || empty < choice) {
          choice = empty;
          if (some) drop(r, l);
          some = false;
        }
        const bool whole = r.x + size <= wide_ && r.y + size <= high_;
        if (some && whole && tools_.coarse_tokens) choice = try_coarse(r, choice);
        next[static_cast<size_t>(y) * n + x] = choice;
        next_any[static_cast<size_t>(y) * n + x] = some;
      }
    cost.swap(next);
    any.swap(next_any);
  }
  write();
}

float WindowTokens::set_finest(Finest& out, int x, int y, const int16_t* samples) const {
  const size_t n = static_cast<size_t>(y) * kSide + x;
  const uint32_t energy = energy_of(samples, kBlockSamples);
  const float gain =
      quantise_finest(out, x, y, samples, energy, out.values.data() + n * kBlockSamples);
  const float nothing = weight(x, y) * kUnit * static_cast<float>(energy);
  out.coded[n] = gain > 0.f;
  out.j[n] = nothing - gain + lambda_ * costs_.any[0][0];
  return nothing;
}

float WindowTokens::empty_cost(const Region& r) const {
  float sum = lambda_ * costs_.any[r.level][0];
  for (int y = r.y; y < r.low; ++y)
    for (int x = r.x; x < r.right; ++x) sum += nothing_[static_cast<size_t>(y) * kSide + x];
  return sum;
}

float WindowTokens::try_coarse(const Region& r, float limit) {
  const int l = r.level;
  TokenLevel& t = state_.now.level[l];
  int16_t samples[kBlockSamples], block[kBlockSamples];
  average_region(target_, x0_ + r.x, y0_ + r.y, l, samples);
  int16_t* v = state_.now.values(l, r.node);
  float sum = 0.f;
  for (int y = r.y; y < r.low; ++y)
    for (int x = r.x; x < r.right; ++x) sum += weight(x, y);
  if (quantise(l, samples, energy_of(samples, kBlockSamples),
               sum / static_cast<float>((r.low - r.y) * (r.right - r.x)), v) <= 0.f)
    return limit;
  state_.now.measure(l, r.node);
  state_.inverse_token(l, r.node, q_, key_, block);
  const Expanded token(block, l);
  float with = lambda_ * (costs_.any[l][1] + costs_.token(l, v, t.last[r.node]));
  for (int y = r.y; y < r.low && with < limit; ++y)
    for (int x = r.x; x < r.right; ++x) {
      target_.gather(x0_ + x, y0_ + y, samples);
      take_off(token, l, x - r.x, y - r.y, samples);
      set_finest(trial_, x, y, samples);
      with += trial_.j[static_cast<size_t>(y) * kSide + x];
    }
  if (with >= limit) {
    forget(t, x0_ >> l, y0_ >> l, r.x >> l, r.y >> l, 1);
    return limit;
  }
  drop(r, l - 1);
  for (int y = r.y; y < r.low; ++y)
    for (int x = r.x; x < r.right; ++x) {
      const size_t b = static_cast<size_t>(y) * kSide + x;
      best_.coded[b] = trial_.coded[b];
      std::copy_n(trial_.values.data() + b * kBlockSamples, kBlockSamples,
                  best_.values.data() + b * kBlockSamples);
    }
  return with;
}

// No tokens in the region, at `from_level` and below.
void WindowTokens::drop(const Region& r, int from_level) {
  for (int y = r.y; y < r.low; ++y)
    for (int x = r.x; x < r.right; ++x) best_.coded[static_cast<size_t>(y) * kSide + x] = 0;
  for (int k = 1; k <= from_level; ++k)
    forget(state_.now.level[k], x0_ >> k, y0_ >> k, r.x >> k, r.y >> k, 1 << (r.level - k));
}

// Finest tokens and the subtree flags of all levels.
void WindowTokens::write() {
  FrameTokens& now = state_.now;
  for (int y = 0; y < high_; ++y)
    for (int x = 0; x < wide_; ++x) {
      const size_t b = static_cast<size_t>(y) * kSide + x;
      if (!best_.coded[b]) continue;
      const int node = (y0_ + y) * now.blocks_wide + x0_ + x;
      std::copy_n(best_.values.data() + b * kBlockSamples, kBlockSamples, now.values(0, node));
      now.measure(0, node);
    }
  for (int l = 0; l < kLevels; ++l) {
    TokenLevel& t = now.level[l];
    const int left = x0_ >> l, top = y0_ >> l, n = kSide >> l;
    for (int y = top; y < std::min(top + n, t.grid.height); ++y)
      for (int x = left; x < std::min(left + n, t.grid.width); ++x) {
        const size_t at = static_cast<size_t>(y) * t.grid.width + x;
        t.any[at] = t.last[at] >= 0;
        for (int i = 0; l > 0 && i < 4; ++i) {
          const TokenLevel& below = now.level[l - 1];
          const int cx = 2 * x + (i & 1), cy = 2 * y + (i >> 1);
          if (cx < below.grid.width && cy < below.grid.height)
            t.any[at] = t.any[at] || below.any[static_cast<size_t>(cy) * below.grid.width + cx];
        }
      }
  }
}

float WindowTokens::quantise(int l, const int16_t* samples, uint32_t energy, float weight,
                             int16_t* v) const {
  Quantiser to{quantiser_step(q_, l), weight, tools_};
  if (!to.worth(energy)) return 0.f;
  int32_t coefficient[kBlockSamples];
  const int count = coefficient_count(l);
  klt_forward(state_.model.basis[key_ ? 0 : 1][l], count, samples, coefficient);
  auto lengths = [&](int i, uint32_t) {
    const uint32_t i72 = index72(i);
    return Lengths{{costs_.sig[l][i72][0], costs_.sig[l][i72][1]},
                   {costs_.big[l][i72][0], costs_.big[l][i72][1]},
                   1.f};
  };
  return to(
      coefficient, count, costs_.any[l][1] - costs_.any[l][0] + costs_.self[l][1], lengths,
      [&](int i) { return costs_.last[l][i]; }, v);
}

float WindowTokens::quantise_finest(const Finest& out, int x, int y, const int16_t* samples,
                                    uint32_t energy, int16_t* v) const {
  Quantiser to{quantiser_step(q_, 0), weight(x, y), tools_};
  if (!to.worth(energy)) return 0.f;
  int32_t coefficient[kBlockSamples], predicted[kBlockSamples];
  klt_forward(state_.model.basis[key_ ? 0 : 1][0], kBlockSamples, samples, coefficient);
  const int count = to.reach(coefficient, kBlockSamples);
  const Surroundings around = surroundings(out, x, y, predicted, count);
  const std::array<float, kGroupCount> last_bits = fine_.last(around);
  auto lengths = [&](int i, uint32_t run) {
    const FineCosts::Odds odds = fine_.odds(around, i, fine_.relatives3(i, v), run);
    auto both = [](float o) {
      return std::array<float, 2>{FineCosts::bits(o, false), FineCosts::bits(o, true)};
    };
    return Lengths{both(odds.significant), both(odds.big),
                   FineCosts::bits(odds.negative, coefficient[i] < 0)};
  };
  return to(
      coefficient, count, costs_.any[0][1] - costs_.any[0][0], lengths,
      [&](int i) { return last_bits[static_cast<size_t>(last_group(i))]; }, v);
}

Surroundings WindowTokens::surroundings(const Finest& out, int x, int y, int32_t* predicted,
                                        int count) const {
  Surroundings s;
  const size_t n = static_cast<size_t>(y) * kSide + x;
  auto neighbour = [&](size_t at) {
    const int16_t* v = out.values.data() + at * kBlockSamples;
    int last = kBlockSamples - 1;
    while (v[last] == 0) --last;
    s.near_group = std::max(s.near_group, group6(last));
    return v;
  };
  if (x > 0 && out.coded[n - 1]) s.left = neighbour(n - 1);
  if (y > 0 && out.coded[n - kSide]) s.above = neighbour(n - kSide);
  s.before = &state_.before;
  const Grid g = state_.now.level[0].grid;
  const int bx = x0_ + x, by = y0_ + y;
  s.past = node_at(g, 0, bx, by, state_.now.motion[static_cast<size_t>(by) * g.width + bx].last);
  if (!key_ && !state_.model.refiner.empty()) {
    int16_t region[kBlockSamples];
    predicted_samples(state_.prediction, 0, bx, by, region);
    klt_forward(state_.model.basis[1][0], count, region, predicted);
    s.predicted = predicted;
  }
  return s;
}

}  // namespace gv
