// SHA-256 of bytes that come in pieces: the browser's own takes a whole only.
#include <algorithm>

#include "common/sha256.hpp"

extern "C" {

gv::Sha256* hash_open() { return new gv::Sha256; }
void hash_close(gv::Sha256* hash) { delete hash; }
void hash_take(gv::Sha256* hash, const uint8_t* data, uint32_t size) { hash->update(data, size); }

// The digest of what came so far, 32 bytes.
void hash_digest(const gv::Sha256* hash, uint8_t* out) {
  const auto digest = hash->digest();
  std::copy(digest.begin(), digest.end(), out);
}

}  // extern "C"
