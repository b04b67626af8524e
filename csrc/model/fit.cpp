// Payloads of `fit` packets, and the layers that they make.
#include "entropy/cdf.hpp"
#include "model/painter_model.hpp"

namespace gv {
namespace {

constexpr int kEarlier = 1, kDelta = 16;  // first bytes: 16 + m
constexpr int kBiases = 1, kWeights = 2, kHasStrength = 4, kHasFactors = 8, kHasTokens = 16;
constexpr int kHasUnpainted = 64, kKnown = 31 | kHasUnpainted;
constexpr int kLeastFactor = -40, kMostFactor = 16, kMostNoise = 64;
constexpr int kNoStep = 255, kTables = 12, kMostExponent = 20, kMostDelta = 127;
constexpr int kGainRow = 0, kNoiseRow = 6, kKeepRow = 14;  // outputs of the head
constexpr int kMostMultiplier = 1023, kMostBias = 1 << 28;
constexpr int kOctave[] = {1024, 1117, 1218, 1328, 1448, 1579, 1722, 1878};  // 1024 · 2^(k / 8)
constexpr int kDialMiddle = 50, kDialEnd = 100, kBoldGain = 4, kBoldNoise = 8;

void read_strength(Cursor& in, int mask, Strength& strength) {
  if (mask & kHasStrength) {
    require(in.left() >= 2, "fitted weights: the strength is missing or out of range");
    strength.noise = in.u8();
    require(strength.noise <= kMostNoise,
            "fitted weights: the strength is missing or out of range");
    strength.keep = in.u8();
  }
  if (mask & kHasFactors) {
    require(in.left() >= strength.factors.size(), "fitted weights: a factor is missing");
    for (int& factor : strength.factors) {
      factor = static_cast<int8_t>(in.u8());
      require(factor >= kLeastFactor && factor <= kMostFactor,
              "fitted weights: a factor is out of range");
    }
  }
}

size_t size_of(const PainterModel& model, Delta::Name name) {
  const PainterLayers& l = model.layers;
  return name == Delta::head_bias    ? l.head.bias.size()
         : name == Delta::style_bias ? l.style.bias.size()
                                     : l.head.weight.size();
}

void read_deltas(Cursor& in, int mask, const PainterModel& model, std::vector<Delta>& deltas) {
  std::vector<Delta::Name> names;
  if (mask & kBiases) names = {Delta::head_bias, Delta::style_bias};
  if (mask & kWeights) names.push_back(Delta::head_weight);
  constexpr const char* kStep = "fitted weights: a step is missing or out of range";
  require(in.left() >= names.size(), kStep);
  std::vector<int> scales;
  for (const Delta::Name name : names) {
    const int step = in.u8();
    if (step == kNoStep) continue;
    require(step / kTables <= kMostExponent, kStep);
    deltas.push_back({name, step / kTables, {}});
    scales.push_back(5 * (step % kTables) + 3);
  }
  const Bytes coded = in.take_rest();
  RansDecoder coder(coded.data, coded.size);
  bool in_range = true;
  for (size_t i = 0; i < deltas.size(); ++i) {
    deltas[i].values.resize(size_of(model, deltas[i].name));
    for (int32_t& value : deltas[i].values) {
      value = decode_integer(coder, {scales[i], 0, 0});
      in_range = in_range && value >= -kMostDelta && value <= kMostDelta;
    }
  }
  require(in_range && coder.finished(), "fitted weights: a value is out of range or missing");
}

template <class T>
void add(std::vector<T>& numbers, const Delta& delta, int64_t limit) {
  for (size_t i = 0; i < numbers.size(); ++i) {
    const int64_t sum = numbers[i] + int64_t{delta.values[i]} * (int64_t{1} << delta.exponent);
    numbers[i] = static_cast<T>(clamp(sum, -limit, limit));
  }
}

// Multiplier and shift of an output that becomes 2^(eighths / 8) times as large.
void scale(int32_t& multiplier, int32_t& shift, int eighths) {
  const int64_t product = int64_t{multiplier} * kOctave[eighths & 7];
  int bits = 10 - (eighths >> 3);
  const auto halved = [&] { return (product + (int64_t{1} << (bits - 1))) >> bits; };
  while (halved() > kMostMultiplier && shift > 1) ++bits, --shift;
  multiplier = static_cast<int32_t>(std::min<int64_t>(halved(), kMostMultiplier));
}

void apply(const Strength& strength, PainterLayer& head) {
  for (size_t row = kNoiseRow; row < kNoiseRow + kScaleCount; ++row)
    head.multiplier[row] = (head.multiplier[row] * strength.noise + 32) >> 6;
  if (const int32_t factor = head.multiplier[kKeepRow]) {
    const int64_t more = (int64_t{strength.keep} << head.shift[kKeepRow]) / factor;
    if (strength.keep)
      head.bias[kKeepRow] =
          static_cast<int32_t>(std::min<int64_t>(head.bias[kKeepRow] + more, kMostBias));
  }
  for (size_t i = 0; i < strength.factors.size(); ++i) {
    const size_t row = i < kScaleCount ? kGainRow + i : kNoiseRow + i - kScaleCount;
    if (strength.factors[i]) scale(head.multiplier[row], head.shift[row], strength.factors[i]);
  }
}

}  // namespace

Fit parse_fit(Bytes payload, const PainterModel& model) {
  require(payload.size, "fitted weights: no bytes");
  Cursor in(payload, "fitted weights");
  Fit fit;
  const int kind = in.u8(), mask = kind - kDelta;
  if (kind == 0 && payload.size == 1) {
    fit.identity = true;
    return fit;
  }
  if (kind == kEarlier)
    throw StreamError(Fault::newer, "fitted weights as release 0.7.0 coded them, which paints them; "
                                    "--fidelity does without");
  if (mask < 0 || mask & ~kKnown)
    throw StreamError(Fault::newer, "fitted weights of kind " + std::to_string(kind) +
                                        " need a newer version of gvcodec; --fidelity does without");
  read_strength(in, mask, fit.strength);
  if (mask & kHasTokens) fit.tokens = in.take(in.var()).copy();
  if (mask & kHasUnpainted) fit.unpainted = in.take(in.var()).copy();
  read_deltas(in, mask, model, fit.deltas);
  return fit;
}

bool has_tokens(Bytes payload) {
  const int mask = payload.size ? payload.data[0] - kDelta : -1;
  return mask >= 0 && !(mask & ~kKnown) && mask & kHasTokens;
}

Strength with_look(Strength strength, int look) {
  int gain = 0, noise = 0;
  if (look > kDialMiddle) {
    const int rise = look - kDialMiddle, whole = kDialEnd - kDialMiddle;
    gain = (kBoldGain * rise + whole / 2) / whole;
    noise = (kBoldNoise * rise + whole / 2) / whole;
  } else {
    // The most eighths of an octave whose factor is at most look / 50.
    while (gain > kLeastFactor && int64_t{kDialMiddle} * kOctave[gain & 7] >
                                      (int64_t{look} * 1024 << -(gain >> 3)))
      --gain;
    noise = gain;
  }
  for (size_t i = 0; i < strength.factors.size(); ++i)
    strength.factors[i] = i < kScaleCount ? gain : noise;
  return strength;
}

PainterLayers fitted(const PainterModel& model, const Fit& fit) {
  PainterLayers layers = model.layers;
  for (const Delta& delta : fit.deltas) {
    if (delta.name == Delta::head_weight) add(layers.head.weight, delta, kMostDelta);
    else add(delta.name == Delta::head_bias ? layers.head.bias : layers.style.bias, delta, kMostBias);
  }
  apply(fit.strength, layers.head);
  return layers;
}

}  // namespace gv
