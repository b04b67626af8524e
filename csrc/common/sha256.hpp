// SHA-256 (FIPS 180-4) of bytes that come in pieces.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace gv {

class Sha256 {
 public:
  void update(const uint8_t* data, size_t size);
  // Of the bytes so far.
  std::array<uint8_t, 32> digest() const;

 private:
  void add_blocks(const uint8_t* data, size_t blocks);

  static constexpr size_t kBlock = 64;
  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, kBlock> waiting_ = {};
  uint64_t bytes_ = 0;
};

}  // namespace gv
