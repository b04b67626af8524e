#include "entropy/bundles.hpp"

namespace gv {

namespace {

constexpr uint32_t kNode = 0x9E35, kMix = 0x9E3779B1;  // odd multipliers of the hash
constexpr uint32_t kEven = 1 << 20;                    // a counter of probability 1/2, not used yet
constexpr int64_t kWeight = 22938;                     // 0.35
constexpr int kLimit = 30, kRate = 10, kFar = 2047;
constexpr int kRaw = 255, kLong = 255, kNewGop = 255;
constexpr int kPeriod = 32;  // frames, as far as SVT-AV1's pattern repeats

// 4096 / (1 + exp(-x / 256)) at x = -2048, -1920 … 2048.
constexpr int kSquash[] = {1,    2,    3,    6,    10,   16,   27,   45,   73,   120,  194,
                           310,  488,  747,  1101, 1546, 2047, 2549, 2994, 3348, 3607, 3785,
                           3901, 3975, 4022, 4050, 4068, 4079, 4085, 4089, 4092, 4093, 4094};

// A probability of 2^12 from a logit of 2^8.
int squash(int logit) {
  const int at = (logit + kFar + 1) >> 7, rest = (logit + kFar + 1) & 127;
  return (kSquash[at] * (128 - rest) + kSquash[at + 1] * rest + 64) >> 7;
}

struct Tables {
  int probability[2 * kFar + 1];            // by logit + kFar
  int logit[4096];                          // by probability of 2^12
  int step[kLimit + 1], trust[kLimit + 1];  // by the times used: of 2^16; of 2^8

  Tables() {
    int least = 0;
    for (int x = -kFar; x <= kFar; ++x) {
      probability[x + kFar] = squash(x);
      for (; least <= squash(x); ++least) logit[least] = x;
    }
    std::fill(logit + least, logit + 4096, kFar);
    for (int n = 0; n <= kLimit; ++n) {
      step[n] = 131072 / (2 * n + 3);
      trust[n] = 256 * 5 * n / (5 * n + 3);
    }
  }
};

const Tables& tables() {
  static const Tables made;
  return made;
}

uint32_t hash(int at, uint32_t context) {
  const uint32_t value = (context * 32 + static_cast<uint32_t>(at)) * kMix;
  return value >> 17 ^ (value >> 3 & 0xFFFF);
}

// An interval of 32 bits, narrowed by each bit; `shift` takes a byte off its top.
struct Interval {
  uint32_t low = 0, high = UINT32_MAX;

  // `one`: probability of a one, 1…4095 of 2^12.
  uint32_t middle(int one) const { return low + ((high - low) >> 12) * static_cast<uint32_t>(one); }
  template <class Shift>
  void narrow(uint32_t middle, int bit, Shift&& shift) {
    if (bit) high = middle;
    else low = middle + 1;
    for (; (low ^ high) >> 24 == 0; low <<= 8, high = high << 8 | 255) shift();
  }
};

}  // namespace

// Where bits come from: symbols that are given (and learned), given and coded, or decoded.
class BundleModel::Given {
 public:
  Given(const uint8_t* symbols, size_t size) : at_(symbols), end_(symbols + size) {}
  bool finished() const { return at_ == end_; }
  void begin_symbol() {
    if (finished()) throw std::invalid_argument("symbols end within an OBU");
    symbol_ = *at_++;
  }
  int code(int) {
    symbol_ <<= 1;
    return symbol_ >> 8 & 1;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
  int symbol_ = 0;
};

class BundleModel::Encoder : public Given {
 public:
  using Given::Given;
  int code(int one) {
    const int bit = Given::code(one);
    interval_.narrow(interval_.middle(one), bit,
                     [&] { data_.push_back(static_cast<uint8_t>(interval_.high >> 24)); });
    return bit;
  }
  std::vector<uint8_t> finish() {
    if (interval_.low) data_.push_back(static_cast<uint8_t>((interval_.low >> 24) + 1));
    while (!data_.empty() && data_.back() == 0) data_.pop_back();
    return std::move(data_);
  }

 private:
  Interval interval_;
  std::vector<uint8_t> data_;
};

class BundleModel::Decoder {
 public:
  Decoder(const uint8_t* data, size_t size) : at_(data), end_(data + size) {
    for (int i = 0; i < 4; ++i) shift();
  }
  void begin_symbol() {}
  int code(int one) {
    const uint32_t middle = interval_.middle(one);
    const int bit = value_ <= middle;
    interval_.narrow(middle, bit, [&] { shift(); });
    return bit;
  }

 private:
  void shift() { value_ = value_ << 8 | (at_ != end_ ? *at_++ : 0u); }

  Interval interval_;
  uint32_t value_ = 0;
  const uint8_t* at_;
  const uint8_t* end_;
};

BundleModel::BundleModel(const uint8_t* sample, size_t size)
    : counters_(static_cast<size_t>(kContexts) * kSlots, kEven) {
  for (auto& row : weights_) row.fill(kWeight);
  begin_gop();
  for (size_t at = 0; at < size;) {
    if (size - at < 2 || size - at - 2 < sample[at + 1])
      throw std::invalid_argument("a sample ends early");
    const int place = sample[at], count = sample[at + 1];
    at += 2;
    if (place == kNewGop) {
      begin_gop();
      continue;
    }
    if (place >= kMostObus) throw std::invalid_argument("place of an OBU");
    Given given(sample + at, static_cast<size_t>(count));
    frame_ += obu(given, place).last();
    at += static_cast<size_t>(count);
  }
  begin_gop();
}

void BundleModel::begin_gop() {
  frame_ = 0;
  by_place_.assign(2 * kMostObus, {});
  by_kind_.assign(16 << 7, {});
}

std::vector<uint8_t> BundleModel::encode(const uint8_t* symbols, size_t size) {
  Encoder coder(symbols, size);
  int place = 0;
  for (int count = 0; !coder.finished(); ++count) {
    if (count == kMostObus) throw std::invalid_argument("too many OBUs");
    const bool last = obu(coder, place).last();
    place = last ? 0 : place + 1;
    frame_ += last;
  }
  if (place) throw std::invalid_argument("symbols end within a frame");
  return coder.finish();
}

std::vector<uint8_t> BundleModel::decode(const uint8_t* data, size_t size, int frames) {
  Decoder coder(data, size);
  std::vector<uint8_t> symbols;
  int place = 0;
  for (int count = 0; frames > 0; ++count) {
    if (count == kMostObus) throw DamagedStream("bundle: too many OBUs");
    const Obu found = obu(coder, place);
    const bool last = found.last();
    found.append_to(symbols);
    place = last ? 0 : place + 1;
    frame_ += last;
    frames -= last;
  }
  return symbols;
}

// The next eight bits. Each is predicted by its counters, weighed; then these and the weights learn
// of it.
template <class Coder>
int BundleModel::symbol(Coder& coder, int at, const std::array<uint32_t, kContexts>& contexts) {
  const Tables& table = tables();
  auto& weights = weights_[static_cast<size_t>(std::min(at, kRows - 1))];
  uint32_t hashes[kContexts];
  for (int n = 0; n < kContexts; ++n) hashes[n] = hash(at, contexts[n]);
  coder.begin_symbol();
  uint32_t node = 1;
  while (node < 256) {
    uint32_t* counters[kContexts];
    int logits[kContexts];
    int64_t sum = 0;
    for (int n = 0; n < kContexts; ++n) {
      counters[n] = &counters_[n * kSlots + ((hashes[n] ^ node * kNode) & (kSlots - 1))];
      logits[n] = table.logit[*counters[n] >> 9] * table.trust[*counters[n] & 31] >> 8;
      sum += weights[n] * logits[n];
    }
    const int one = table.probability[clamp<int64_t>(sum >> 16, -kFar, kFar) + kFar];
    const int bit = coder.code(one), error = (bit << 12) - one;
    for (int n = 0; n < kContexts; ++n) {
      weights[n] += logits[n] * error >> kRate;
      const int used = *counters[n] & 31;
      int64_t p = *counters[n] >> 5;
      p += ((bit ? 65535 : 0) - p) * table.step[used] >> 16;
      *counters[n] = static_cast<uint32_t>(p << 5 | std::min(used + 1, kLimit));
    }
    node = node << 1 | static_cast<uint32_t>(bit);
  }
  return static_cast<int>(node & 255);
}

template <class Coder>
BundleModel::Obu BundleModel::obu(Coder& coder, int place) {
  Obu seen;
  int previous = 0;
  const auto next = [&](int at, int alike) {
    auto& s = seen.symbols;
    const uint32_t period = frame_ ? (frame_ - 1) % kPeriod + 1 : 0;
    const int size = at >= kBody ? std::min<int>(s[1], 40) >> 2 : 0;
    // Values that are not coded yet are zero.
    const int first = s[kBody], second = s[kBody + 1], fourth = s[kBody + 3];
    const std::array<uint32_t, kContexts> contexts = {
        static_cast<uint32_t>(previous),
        period << 6 | static_cast<uint32_t>(place),
        static_cast<uint32_t>(alike),
        static_cast<uint32_t>(first << 4 | size),
        static_cast<uint32_t>(first << 16 | second << 8 | fourth),
    };
    previous = symbol(coder, at, contexts);
    s[static_cast<size_t>(at)] = static_cast<uint8_t>(previous);
    return previous;
  };

  Obu& before = by_place_[(frame_ & 1) * kMostObus + static_cast<uint32_t>(place)];
  const int type = next(0, before.at(0));
  int size = next(1, before.at(1));
  if (size == kLong) {
    size = next(2, kUnknown);
    size |= next(3, kUnknown) << 8;
    size |= next(4, kUnknown) << 16;
  }
  seen.count = kBody + (type == kRaw ? 0 : std::min(size, kHead));
  if (seen.count > kBody) {
    const int first = next(kBody, before.at(kBody));
    Obu& kin = by_kind_[static_cast<size_t>((type & 15) << 7 | first >> 1)];
    for (int at = kBody + 1; at < seen.count; ++at) next(at, kin.at(at));
    kin = seen;
  }
  return before = seen;
}

void BundleModel::Obu::append_to(std::vector<uint8_t>& out) const {
  out.insert(out.end(), symbols.begin(), symbols.begin() + (symbols[1] == kLong ? kBody : 2));
  out.insert(out.end(), symbols.begin() + kBody, symbols.begin() + count);
}

}  // namespace gv
