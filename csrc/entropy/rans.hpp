// Range coder: byte-wise rANS with 16-bit probabilities (J. Duda, arXiv:1311.2540).
//
// Invariants: the state x is below 2^31 always; once a byte was emitted, 2^23 <= x. The encoder
// starts at x = 0, so a short packet carries no idle state: symbols that start at 0 (the likely
// ones, by convention) are free until the first other symbol. Overhead against the ideal code
// length is below 3 bytes + 0.3 %. The decoder ends at x = 0 with all bytes read exactly when the
// packet is whole, which `finished()` checks.
#pragma once

#include "common/basics.hpp"

namespace gv {

constexpr int kProbBits = 16;
constexpr uint32_t kProbOne = 1u << kProbBits;
constexpr uint32_t kRansLow = 1u << 23;

// Puts the symbol [start, start + freq) before all those that the state x holds; `emit` takes
// bytes, last byte of the packet first.
template <class Emit>
GV_BOTH inline void rans_push(uint32_t& x, uint32_t start, uint32_t freq, Emit&& emit) {
  const uint64_t limit = static_cast<uint64_t>(kRansLow >> kProbBits << 8) * freq;
  for (; x >= limit; x >>= 8) emit(static_cast<uint8_t>(x));
  x = (x / freq << kProbBits) + x % freq + start;
}

// The first bytes of a packet: all of the state.
template <class Emit>
GV_BOTH inline void rans_flush(uint32_t x, Emit&& emit) {
  for (; x != 0; x >>= 8) emit(static_cast<uint8_t>(x));
}

// Collects symbols in coding order; rANS itself runs backwards when the packet is finished.
class RansEncoder {
 public:
  // The symbol occupies [start, start + freq) of 2^16; freq >= 1.
  void put(uint32_t start, uint32_t freq) { symbols_.push_back(start << 16 | (freq - 1)); }

  size_t count() const { return symbols_.size(); }
  // Ideal code length of the symbols up to each of `ends` from the one before it, in bits.
  std::vector<float> bits(const std::vector<size_t>& ends) const;

  // Bytes of everything put so far; the encoder is empty afterwards.
  std::vector<uint8_t> finish();

 private:
  std::vector<uint32_t> symbols_;
};

class RansDecoder {
 public:
  GV_BOTH RansDecoder(const uint8_t* data, size_t size) : at_(data), end_(data + size) { refill(); }

  // Where the next symbol lies in [0, 2^16).
  GV_BOTH uint32_t peek() const { return x_ & (kProbOne - 1); }

  // Removes the symbol [start, start + freq) that contains peek().
  GV_BOTH void advance(uint32_t start, uint32_t freq) {
    x_ = freq * (x_ >> kProbBits) + (x_ & (kProbOne - 1)) - start;
    refill();
  }

  GV_BOTH bool finished() const { return x_ == 0 && at_ == end_; }

 private:
  GV_BOTH void refill() {
    while (x_ < kRansLow && at_ != end_) x_ = x_ << 8 | *at_++;
  }

  uint32_t x_ = 0;
  const uint8_t* at_;
  const uint8_t* end_;
};

}  // namespace gv
