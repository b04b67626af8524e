// The counting form of the binary coder (see mixer.hpp): how often each context saw a 0 and a 1.
// For measuring.
#pragma once

#include "entropy/mixer.hpp"

namespace gv {

class BitCounter {
 public:
  explicit BitCounter(size_t slot_count) : seen_(2 * slot_count) {}
  static constexpr bool kDecodes = false;
  int bit(const Contexts& c, int value) {
    for (int i = 0; i < c.count; ++i) ++seen_[2 * static_cast<size_t>(c.slot[i]) + (value ? 1 : 0)];
    return value;
  }
  uint32_t raw(int bits, uint32_t value) {
    raw_bits_ += static_cast<uint32_t>(bits);
    return value;
  }
  const std::vector<uint32_t>& seen() const { return seen_; }  // slots × 2
  uint32_t raw_bits() const { return raw_bits_; }

 private:
  std::vector<uint32_t> seen_;
  uint32_t raw_bits_ = 0;
};

}  // namespace gv
