// rANS for tables of a caller's own: as rans.hpp, with a wide state, so that the overhead against
// the ideal code length is below 8 bytes + 0.01 % at up to 24 bits of precision.
//
// Invariants: the state x is below 2^48 always; once a byte was emitted, 2^40 <= x. The encoder
// starts at x = 0 and the decoder ends there with all bytes read exactly when the packet is whole.
#pragma once

#include <algorithm>

#include "common/basics.hpp"

namespace gv {

constexpr int kMostPrecision = 24;
constexpr uint64_t kWideLow = 1ull << 40;

// Edges of a table's symbols: 0 = edge[0] < … < edge[symbols] = 2^precision.
struct SymbolTable {
  const uint32_t* edge;
  size_t symbols;

  uint32_t start(size_t symbol) const { return edge[symbol]; }
  uint32_t size(size_t symbol) const { return edge[symbol + 1] - edge[symbol]; }
  // The symbol in whose part of the table `at` lies.
  size_t find(uint32_t at) const {
    return static_cast<size_t>(std::upper_bound(edge, edge + symbols + 1, at) - edge) - 1;
  }
};

// Puts the symbol [start, start + size) of 2^precision before all that the state holds; bytes come
// last byte of the packet first.
inline void wide_push(uint64_t& x, uint32_t start, uint32_t size, int precision,
                      std::vector<uint8_t>& bytes) {
  const uint64_t limit = (kWideLow >> precision << 8) * size;
  for (; x >= limit; x >>= 8) bytes.push_back(static_cast<uint8_t>(x));
  x = (x / size << precision) + x % size + start;
}

class WideDecoder {
 public:
  WideDecoder(const uint8_t* data, size_t size, int precision)
      : at_(data), end_(data + size), precision_(precision) {
    refill();
  }

  size_t next(const SymbolTable& table) {
    const uint64_t within = x_ & ((1ull << precision_) - 1);
    const size_t symbol = table.find(static_cast<uint32_t>(within));
    x_ = table.size(symbol) * (x_ >> precision_) + within - table.start(symbol);
    refill();
    return symbol;
  }

  bool finished() const { return x_ == 0 && at_ == end_; }

 private:
  void refill() {
    while (x_ < kWideLow && at_ != end_) x_ = x_ << 8 | *at_++;
  }

  uint64_t x_ = 0;
  const uint8_t* at_;
  const uint8_t* end_;
  int precision_;
};

}  // namespace gv
