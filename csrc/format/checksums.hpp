// Checksums and hashes of streams (docs/spec/container.md: Checksums, Hashes).
#pragma once

#include <array>

#include "format/cursor.hpp"

namespace gv {

constexpr size_t kIdBytes = 8;  // of model ids and of hashes in files
using Id = std::array<uint8_t, kIdBytes>;

// `crc`: that of the bytes before, as zlib has it.
uint32_t crc32(Bytes bytes, uint32_t crc = 0);
uint16_t crc16(Bytes bytes);

// SHA-256 (FIPS 180-4) of bytes that come in pieces.
class Sha256 {
 public:
  void update(Bytes bytes);
  // Of the bytes so far.
  std::array<uint8_t, 32> digest() const;
  Id id() const;

 private:
  void add_blocks(const uint8_t* data, size_t blocks);

  static constexpr size_t kBlock = 64;
  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, kBlock> waiting_ = {};
  uint64_t bytes_ = 0;
};

}  // namespace gv
