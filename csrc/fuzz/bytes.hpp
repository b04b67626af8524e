// The bytes of a fuzz input, taken one value after another; zeros once they are used up.
#pragma once

#include <cstdlib>
#include <cstring>

#include "common/basics.hpp"

namespace gvfuzz {

// Reports a broken invariant.
inline void require(bool condition) {
  if (!condition) std::abort();
}

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : at_(data), left_(size) {}
  size_t left() const { return left_; }

  uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *at_++;
  }
  int below(int count) { return byte() % count; }

  template <class T>
  T value() {
    uint8_t raw[sizeof(T)];
    for (uint8_t& b : raw) b = byte();
    T made;
    std::memcpy(&made, raw, sizeof(T));
    return made;
  }

  // A copy of its own, so that a read beyond its end is seen.
  std::vector<uint8_t> take(size_t count) {
    count = std::min(count, left_);
    std::vector<uint8_t> taken(at_, at_ + count);
    at_ += count;
    left_ -= count;
    return taken;
  }

 private:
  const uint8_t* at_;
  size_t left_;
};

}  // namespace gvfuzz
