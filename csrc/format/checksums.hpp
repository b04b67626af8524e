// Checksums and hashes of streams (docs/spec/container.md: Checksums, Hashes).
#pragma once

#include "common/sha256.hpp"
#include "format/cursor.hpp"

namespace gv {

constexpr size_t kIdBytes = 8;  // of model ids and of hashes in files
using Id = std::array<uint8_t, kIdBytes>;

// `crc`: that of the bytes before, as zlib has it.
uint32_t crc32(Bytes bytes, uint32_t crc = 0);
uint16_t crc16(Bytes bytes);

inline void update(Sha256& hash, Bytes bytes) { hash.update(bytes.data, bytes.size); }
// The first 8 bytes of the digest.
inline Id id_of(const Sha256& hash) {
  const auto digest = hash.digest();
  Id id;
  std::copy_n(digest.begin(), kIdBytes, id.begin());
  return id;
}

}  // namespace gv
