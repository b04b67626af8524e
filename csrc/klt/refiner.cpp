#include "klt/refiner.hpp"

#include "klt/buckets.hpp"
#include "klt/codec.hpp"

namespace gv {
namespace {

// Eight times the binary logarithm of v, the fraction by linear interpolation, at most 127.
uint8_t log8(uint64_t v) {
#if defined(__GNUC__)
  const int e = 63 - __builtin_clzll(v);
#else
  int e = 0;
  while (v >> (e + 1)) ++e;
#endif
  return static_cast<uint8_t>(
      std::min<uint64_t>(127, static_cast<uint64_t>(8 * e) + (((v << 3) >> e) & 7)));
}

uint8_t difference(Mv a, Mv b) {
  return log8(1 + static_cast<uint64_t>(std::abs(a.x - b.x) + std::abs(a.y - b.y)));
}

uint64_t magnitude(int v) { return static_cast<uint64_t>(std::abs(v)); }

int band_of(int i) {
  int b = 0;
  while (i >= kBandFirst[b + 1]) ++b;
  return b;
}

// sums[o] = weight[o] · in.
GV_SIMD(void, multiply,
        (const int16_t* weight, const int16_t* in, int inputs, int outputs, int32_t* sums),
        (weight, in, inputs, outputs, sums)) {
  for (int o = 0; o < outputs; ++o, weight += inputs) {
    int32_t sum = 0;
    for (int i = 0; i < inputs; ++i) sum += static_cast<int32_t>(weight[i]) * in[i];
    sums[o] = sum;
  }
}

// Means of squares of 2^level samples of a plane, `n` by `n` of them from square (x, y) on; outside
// the edge is repeated.
GV_SIMD(void, means, (const Plane& p, int x, int y, int level, int n, int16_t* out),
        (p, x, y, level, n, out)) {
  const int f = 1 << level, wide = n * f;
  std::array<int32_t, kBlock << kTop> column;
  for (int j = 0; j < n; ++j) {
    for (int i = 0; i < wide; ++i) column[i] = 0;
    const int known = std::min(wide, p.width - x * f);
    for (int b = 0; b < f; ++b) {
      const uint16_t* row = p.row(std::min((y + j) * f + b, p.height - 1)) + x * f;
      for (int i = 0; i < known; ++i) column[i] += row[i];
    }
    for (int i = known; i < wide; ++i) column[i] = column[known - 1];
    for (int i = 0; i < n; ++i) {
      int32_t sum = 0;
      for (int a = 0; a < f; ++a) sum += column[i * f + a];
      *out++ = static_cast<int16_t>((sum >> (2 * level)) - 512);
    }
  }
}

// Output of a second layer before its scale; `base` is the token's part of the sums.
GV_SIMD(int32_t, second_layer,
        (const int32_t* base, const int32_t* row, const int32_t* weight, const int32_t* in,
         const int32_t* multiplier, int shift, const int32_t* out),
        (base, row, weight, in, multiplier, shift, out)) {
  int32_t sum[refine::kHidden];
  for (int o = 0; o < refine::kHidden; ++o) sum[o] = base[o] + row[o];
  for (int f = 0; f < refine::kDecisionFeatures; ++f)
    for (int o = 0; o < refine::kHidden; ++o) sum[o] += weight[f * refine::kHidden + o] * in[f];
  int32_t total = 0;
  for (int o = 0; o < refine::kHidden; ++o) {
    const int32_t s = std::min(std::max(sum[o], -refine::kSumLimit), refine::kSumLimit);
    total += out[o] * std::min(std::max((s * multiplier[o] + (1 << (shift - 1))) >> shift, 0),
                               kMaxActivation);
  }
  return total;
}

}  // namespace

void predicted_samples(const Picture& prediction, int level, int x, int y, int16_t* out) {
  means(prediction.plane[0], x * kBlock, y * kBlock, level, kBlock, out);
  for (int c = 1; c < 3; ++c)
    means(prediction.plane[c], x * kBlock / 2, y * kBlock / 2, level, kBlock / 2,
          out + (c + 3) * 64);
}

int Refinement::delta(int stretched) const { return refiner->delta(*this, stretched); }

Refiner::Refiner(const Model& model, const Picture& prediction, FrameTokens& now,
                 const FrameTokens& before, int q, bool key)
    : model_(model),
      net_(model.refiner),
      prediction_(prediction),
      now_(now),
      before_(before),
      q_(q),
      key_(key),
      moved_(now.memory.size()) {
  refinement_.refiner = this;
}

void Refiner::begin() {
  now_.q = q_;
  for (TokenLevel& t : now_.level) std::fill(t.band.begin(), t.band.end(), 0u);
  const int w = now_.blocks_wide, h = now_.blocks_high;
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      const size_t at = static_cast<size_t>(y) * w + x;
      const size_t from = static_cast<size_t>(node_at({w, h}, 0, x, y, now_.motion[at].last));
      std::copy_n(before_.memory.data() + from * kBands, kBands, moved_.data() + at * kBands);
    }
}

void Refiner::remember() {
  const uint32_t step = static_cast<uint32_t>(quantiser_step(q_, 0));
  const std::vector<uint32_t>& band = now_.level[0].band;
  for (size_t i = 0; i < band.size(); ++i)
    now_.memory[i] = (3 * moved_[i] + std::min(band[i], 1u << 14) * step + 2) >> 2;
}

uint8_t Refiner::loud(uint64_t amplitude) const { return log8(1 + (amplitude * inverse_ >> 16)); }
uint8_t Refiner::loud_before(uint64_t levels) const {
  return loud(levels * static_cast<uint64_t>(step_before_));
}

// Coefficients of the prediction in the region, averaged as a token of its level is; samples
// outside repeat the edge.
void Refiner::predict(int x, int y) {
  known_ = std::min(coefficient_count(l_), refine::kEarly);
  std::fill(predicted_, predicted_ + kBlockSamples, 0);
  if (key_) {
    known_ = coefficient_count(l_);
    return;
  }
  predicted_samples(prediction_, l_, x, y, region_);
  klt_forward(model_.basis[1][l_], known_, region_, predicted_);
}

void Refiner::look_further() {
  if (known_ == coefficient_count(l_)) return;
  known_ = coefficient_count(l_);
  klt_forward(model_.basis[1][l_], known_, region_, predicted_);
}

void Refiner::visit(int l, int x, int y, int past, uint32_t siblings) {
  TokenLevel& t = now_.level[l];
  const TokenLevel& old = before_.level[l];
  const int w = t.grid.width, side = 1 << (kTop - l);
  l_ = l, at_ = y * w + x, past_ = past;
  left_ = x > 0 ? at_ - 1 : -1;
  above_ = y > 0 ? at_ - w : -1;
  diagonal_[0] = x > 0 && y > 0 ? at_ - w - 1 : -1;
  // The token above to the right is known unless it lies in the next window of the same row.
  diagonal_[1] = y > 0 && x + 1 < w && (y % side == 0 || (x + 1) % side != 0) ? at_ - w + 1 : -1;
  step_ = quantiser_step(q_, l);
  inverse_ = (uint64_t{1} << 20) / static_cast<uint64_t>(step_);
  step_before_ = quantiser_step(key_ ? q_ : before_.q, l);
  predict(x, y);

  auto put = [&, n = 0](int v) mutable {
    feature_[n++] = static_cast<int16_t>(clamp(v, 0, kMaxActivation));
  };
  put(2 * q_);
  put(key_ ? kMaxActivation : 0);
  for (int k = 0; k < kLevels; ++k) put(k == l ? kMaxActivation : 0);
  put(key_ ? 64 : 64 + 2 * (q_ - before_.q));
  auto bands = [&](const TokenLevel& level, int n) {
    return level.band.data() + static_cast<size_t>(n) * kBands;
  };
  for (const int n : {left_, above_})
    for (int b = 0; b < kBands; ++b) put(n < 0 ? 0 : log8(1 + uint64_t{16} * bands(t, n)[b]));
  for (int b = 0; b < kBands; ++b) put(loud_before(bands(old, past)[b]));
  for (int b = 0; b < kBands; ++b) {
    uint64_t sum = 0;
    for (const int n : diagonal_) sum += n < 0 ? 0 : bands(t, n)[b];
    put(log8(1 + 16 * sum));
  }
  for (int b = 0; b < kBands; ++b)
    put(l == kTop ? 0
                  : log8(1 + uint64_t{16} *
                                 bands(now_.level[l + 1],
                                       (y >> 1) * now_.level[l + 1].grid.width + (x >> 1))[b]));
  for (int b = 0; b < kBands; ++b) {
    uint64_t sum = 0;
    for (int i = kBandFirst[b]; i < std::min(kBandFirst[b + 1], known_); ++i)
      sum += magnitude(predicted_[i]);
    put(loud(sum));
  }
  const int x0 = x << l, y0 = y << l, x1 = std::min(x0 + (1 << l), now_.blocks_wide),
            y1 = std::min(y0 + (1 << l), now_.blocks_high);
  uint64_t memory[kBands] = {};
  for (int j = y0; j < y1; ++j)
    for (int i = x0; i < x1; ++i)
      for (int b = 0; b < kBands; ++b)
        memory[b] += moved_[(static_cast<size_t>(j) * now_.blocks_wide + i) * kBands + b];
  for (const uint64_t m : memory) put(loud(m / static_cast<uint64_t>((x1 - x0) * (y1 - y0))));
  put(left_ >= 0 && t.any[left_] ? kMaxActivation : 0);
  put(above_ >= 0 && t.any[above_] ? kMaxActivation : 0);
  put(old.any[past] ? kMaxActivation : 0);
  put(static_cast<int>(42 * siblings));
  put(x & 1 ? kMaxActivation : 0);
  put(y & 1 ? kMaxActivation : 0);
  const size_t block = static_cast<size_t>(y0) * now_.blocks_wide + x0;
  const Mv mv = now_.motion[block].last;
  put(31 * now_.depth[block]);
  put(now_.merged[block] ? kMaxActivation : 0);
  put(difference(mv, Mv{}));
  put(mv.x & 3 ? kMaxActivation : 0);
  put(mv.y & 3 ? kMaxActivation : 0);
  put(x0 > 0 ? difference(mv, now_.motion[block - 1].last) : 0);
  put(y0 > 0 ? difference(mv, now_.motion[block - static_cast<size_t>(now_.blocks_wide)].last) : 0);
  uint64_t around = 0;
  const int px = past % w, py = past / w;
  if (px > 0) around += old.energy[past - 1];
  if (px + 1 < w) around += old.energy[past + 1];
  if (py > 0) around += old.energy[past - w];
  if (py + 1 < old.grid.height) around += old.energy[past + w];
  put(log8(1 + 4 * around));
  put(left_ < 0 ? 0 : log8(1 + 4 * static_cast<uint64_t>(t.last[left_] + 1)));
  put(log8(1 + 4 * static_cast<uint64_t>(old.last[past] + 1)));
  has_hidden_ = false;
  has_base_.fill(false);
}

const Refinement* Refiner::ready(refine::Kind kind, int row) {
  refinement_.kind = kind;
  refinement_.row = ((l_ == 0 ? 0 : 2) + (key_ ? 0 : 1)) * 72 + row;
  return &refinement_;
}

int Refiner::delta(const Refinement& r, int stretched) {
  const DecisionNetwork& net = net_.network[r.kind];
  if (!has_hidden_) {
    const DenseLayer& layer = net_.token.front();
    std::array<int32_t, refine::kMaxUnits> sums;
    multiply(layer.weight.data(), feature_, layer.inputs, layer.outputs, sums.data());
    for (int o = 0; o < layer.outputs; ++o) {
      const int32_t unit = requantise(sums[o] + layer.bias[o], layer.multiplier[o], layer.shift,
                                      layer.low, layer.high);
      hidden_[o] = static_cast<int16_t>(unit);
    }
    has_hidden_ = true;
  }
  std::array<int32_t, refine::kHidden>& base = base_[r.kind];
  if (!has_base_[r.kind]) {
    multiply(net.token.data(), hidden_.data(), net_.token.front().outputs, refine::kHidden,
             base.data());
    has_base_[r.kind] = true;
  }
  int32_t in[refine::kDecisionFeatures];
  std::copy_n(r.feature, refine::kDecisionFeatures - 1, in);
  in[refine::kDecisionFeatures - 1] = stretched_feature(stretched);
  const int64_t sum =
      net.out_bias +
      second_layer(base.data(), net.row.data() + static_cast<size_t>(r.row) * refine::kHidden,
                   net.decision.data(), in, net.multiplier.data(), net.shift, net.out.data());
  const int64_t scaled =
      (sum * net.out_multiplier + (int64_t{1} << (net.out_shift - 1))) >> net.out_shift;
  return static_cast<int>(clamp<int64_t>(scaled, -refine::kDeltaLimit, refine::kDeltaLimit));
}

const Refinement* Refiner::any() {
  std::fill_n(refinement_.feature, refine::kDecisionFeatures, static_cast<uint8_t>(0));
  return ready(refine::kAny, 0);
}

const Refinement* Refiner::last(int group) {
  std::fill_n(refinement_.feature, refine::kDecisionFeatures, static_cast<uint8_t>(0));
  if (group == 0) {
    beyond_[kGroupCount - 1] = 0;
    for (int g = kGroupCount - 1; g-- > 0;) {
      const int end = std::min(g + 2 < kGroupCount ? kGroupFirst[g + 2] : kBlockSamples, known_);
      beyond_[g] = beyond_[g + 1];
      for (int i = kGroupFirst[g + 1]; i < end; ++i) beyond_[g] += magnitude(predicted_[i]);
    }
  }
  refinement_.feature[0] = loud(beyond_[group]);
  auto relative = [&](int last) {
    return last < 0 ? uint8_t{0}
                    : static_cast<uint8_t>(
                          clamp(64 + 4 * (last_group(last) - group), 0, kMaxActivation));
  };
  refinement_.feature[1] = relative(before_.level[l_].last[past_]);
  refinement_.feature[2] = left_ < 0 ? uint8_t{0} : relative(now_.level[l_].last[left_]);
  refinement_.feature[3] = above_ < 0 ? uint8_t{0} : relative(now_.level[l_].last[above_]);
  return ready(refine::kLast, group);
}

void Refiner::coefficient(int i, int last, int before1, int before2) {
  if (i == 0) sum_so_far_ = 0;
  else sum_so_far_ += static_cast<uint32_t>(std::abs(before1));
  if (last >= known_) look_further();
  const int16_t* v = now_.values(l_, at_);
  uint64_t relatives = 0, predicted = 0;
  const std::vector<int16_t>& list = net_.relatives[l_ > 0 ? 2 : key_ ? 0 : 1];
  for (int r = 0; r < refine::kRelatives; ++r) {
    const int j = list[static_cast<size_t>(i) * refine::kRelatives + r];
    if (j < 0) continue;
    relatives += magnitude(v[j]);
    predicted += magnitude(predicted_[j]);
  }
  relatives3_ = static_cast<uint32_t>(std::min<uint64_t>(2, relatives));
  auto near = [&](int n) { return n < 0 ? uint64_t{0} : magnitude(now_.value_at(l_, n, i)); };
  uint8_t* f = refinement_.feature;
  f[0] = loud(magnitude(predicted_[i]));
  f[1] = log8(1 + 16 * near(left_));
  f[2] = log8(1 + 16 * near(above_));
  f[3] = loud_before(magnitude(before_.value_at(l_, past_, i)));
  f[4] = log8(1 + 16 * relatives);
  f[5] = log8(1 + 16 * magnitude(before1));
  f[6] = log8(1 + 16 * magnitude(before2));
  f[7] = log8(1 + 4 * static_cast<uint64_t>(last - i));
  f[8] = log8(1 + 4 * static_cast<uint64_t>(i));
  f[9] = log8(1 + uint64_t{16} * sum_so_far_);
  f[10] = loud(predicted);
  f[11] = log8(1 + 4 * static_cast<uint64_t>(last));
  f[12] = 0;
  f[13] = static_cast<uint8_t>(feature_[56 + band_of(i)]);
  f[14] = log8(1 + 16 * (near(diagonal_[0]) + near(diagonal_[1])));
  ready(refine::kSig, static_cast<int>(index72(i)));
}

const Refinement* Refiner::significant() {
  refinement_.kind = refine::kSig;
  return &refinement_;
}

const Refinement* Refiner::larger(int than) {
  refinement_.kind = refine::kSize;
  refinement_.feature[12] = log8(1 + 16 * static_cast<uint64_t>(than - 1));
  return &refinement_;
}

void Refiner::coded() {
  const int16_t* v = now_.values(l_, at_);
  uint32_t* band = now_.level[l_].band.data() + static_cast<size_t>(at_) * kBands;
  for (int i = 0; i <= now_.level[l_].last[at_]; ++i)
    band[band_of(i)] += static_cast<uint32_t>(std::abs(v[i]));
}

}  // namespace gv
