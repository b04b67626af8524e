// Entropy model: the probability of a binary decision by adaptive mixing of counts (M. Mahoney's
// logistic mixing).
//
// Each decision names a few contexts. A context is a slot with a 16-bit probability of "1" and a
// confidence count; the slots' log odds are mixed by a small weight vector that is chosen by the
// kind of decision. Slots and weights learn after every decision. Everything is integer arithmetic
// on decoded integers: encoder and decoder agree on every machine. Initial slots and weights come
// from the model file and are restored at each keyframe.
#pragma once

#include "entropy/rans.hpp"

namespace gv {

constexpr int kMaxInputs = 6;             // contexts of one decision at most
constexpr int kWeights = kMaxInputs + 1;  // plus a constant input
constexpr int kCountLimit = 127;
constexpr int32_t kWeightLimit = 1 << 20;  // weights stay inside ± this

struct Slot {
  uint16_t p = 1 << 15;  // probability of a 1, 16 bit
  uint8_t n = 0;         // decisions seen, saturating
};

// Natural log odds of p/2^16 in 1/256, clamped to -2047…2047, and its inverse (16 bit, 32…65504).
int stretch(uint32_t p);
uint32_t squash(int x);

// The state that adapts: one per encoder or decoder, plus the initial copy in the model.
struct MixState {
  std::vector<Slot> slots;
  std::vector<int32_t> weights;  // sets × kWeights, 16.16

  MixState() = default;
  MixState(size_t slot_count, size_t set_count);
};

class Refiner;

// What a decision tells the refiner, which corrects the mixed log odds when these are known (see
// refiner.hpp).
struct Refinement {
  Refiner* refiner = nullptr;
  int kind = 0, row = 0;
  uint8_t feature[16] = {};        // 0…127; the last one is the mixed log odds
  int delta(int stretched) const;  // in 1/256
};

// The contexts of one decision.
struct Contexts {
  uint32_t slot[kMaxInputs];
  int count = 0;
  uint32_t set = 0;
  const Refinement* refinement = nullptr;
  void add(uint32_t s) { slot[count++] = s; }
};

class Mixer {
 public:
  explicit Mixer(MixState& state) : state_(state) {}
  // Probability of a 1 in 16 bit, 32…65504; `refines`: by the decision's refinement, if it has one.
  uint32_t predict(const Contexts& c, bool refines = true);
  // Learns the outcome of the decision that predict() was called for last.
  void update(const Contexts& c, int bit);
  // Log odds that predict() came to without refinement, -2047…2047 in 1/256.
  int stretched() const { return stretched_; }

 private:
  MixState& state_;
  int32_t x_[kWeights];
  int stretched_ = 0;
  uint32_t mixed_ = 0;  // probability without refinement: what slots and weights learn from
};

// Three forms of one interface: `int bit(contexts, value)` returns the decision, `raw` codes
// equiprobable bits.
class BitEncoder {
 public:
  explicit BitEncoder(MixState& state) : mixer_(state) {}
  static constexpr bool kDecodes = false;
  int bit(const Contexts& c, int value) {
    const uint32_t p = mixer_.predict(c);
    if (value) rans_.put(kProbOne - p, p);
    else rans_.put(0, kProbOne - p);
    mixer_.update(c, value);
    return value;
  }
  uint32_t raw(int bits, uint32_t value) {
    rans_.put(value << (kProbBits - bits), kProbOne >> bits);
    return value;
  }
  size_t count() const { return rans_.count(); }
  std::vector<float> bits(const std::vector<size_t>& ends) const { return rans_.bits(ends); }
  std::vector<uint8_t> finish() { return rans_.finish(); }
  std::vector<uint8_t> finish_short(bool& trimmed) { return rans_.finish_short(trimmed); }

 private:
  Mixer mixer_;
  RansEncoder rans_;
};

class BitDecoder {
 public:
  BitDecoder(MixState& state, const uint8_t* data, size_t size, bool trimmed = false)
      : mixer_(state), rans_(data, size, trimmed) {}
  static constexpr bool kDecodes = true;
  int bit(const Contexts& c, int) {
    const uint32_t p = mixer_.predict(c);
    const int value = rans_.peek() >= kProbOne - p;
    if (value) rans_.advance(kProbOne - p, p);
    else rans_.advance(0, kProbOne - p);
    mixer_.update(c, value);
    return value;
  }
  uint32_t raw(int bits, uint32_t) {
    const uint32_t value = rans_.peek() >> (kProbBits - bits);
    rans_.advance(value << (kProbBits - bits), kProbOne >> bits);
    return value;
  }
  bool finished() const { return rans_.finished(); }

 private:
  Mixer mixer_;
  RansDecoder rans_;
};

}  // namespace gv
