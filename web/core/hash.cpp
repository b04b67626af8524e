// SHA-256 (FIPS 180-4) of bytes that come in pieces: the browser's own takes a whole only.
#include <algorithm>
#include <cstdint>
#include <cstring>

namespace {

constexpr uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

constexpr int kBlock = 64;

uint32_t turned(uint32_t v, int by) { return v >> by | v << (32 - by); }

struct Hash {
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  uint8_t waiting[kBlock];
  uint64_t bytes = 0;

  void block(const uint8_t* data) {
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; ++i, data += 4) w[i] = uint32_t{data[0]} << 24 | data[1] << 16 | data[2] << 8 | data[3];
    for (int i = 16; i < 64; ++i) {
      const uint32_t a = turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ w[i - 15] >> 3;
      const uint32_t b = turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    std::copy_n(state, 8, s);
    for (int i = 0; i < 64; ++i) {
      const uint32_t one = turned(s[4], 6) ^ turned(s[4], 11) ^ turned(s[4], 25), choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
      const uint32_t t = s[7] + one + choice + kRound[i] + w[i];
      const uint32_t zero = turned(s[0], 2) ^ turned(s[0], 13) ^ turned(s[0], 22), most = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
      std::copy_backward(s, s + 7, s + 8);
      s[4] += t;
      s[0] = t + zero + most;
    }
    for (int i = 0; i < 8; ++i) state[i] += s[i];
  }

  void take(const uint8_t* data, size_t size) {
    size_t held = bytes % kBlock;
    bytes += size;
    while (size) {
      if (!held && size >= kBlock) {
        block(data);
        data += kBlock, size -= kBlock;
        continue;
      }
      const size_t part = std::min(size, kBlock - held);
      std::memcpy(waiting + held, data, part);
      data += part, size -= part;
      if ((held += part) == kBlock) block(waiting), held = 0;
    }
  }
};

}  // namespace

extern "C" {

Hash* hash_open() { return new Hash; }
void hash_close(Hash* hash) { delete hash; }
void hash_take(Hash* hash, const uint8_t* data, uint32_t size) { hash->take(data, size); }

// The digest of what came so far, 32 bytes.
void hash_digest(const Hash* hash, uint8_t* out) {
  Hash last = *hash;
  const uint64_t bits = last.bytes * 8;
  uint8_t end[kBlock + 8] = {0x80};
  const size_t fill = (kBlock + 55 - last.bytes % kBlock) % kBlock + 1;
  for (int i = 0; i < 8; ++i) end[fill + i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
  last.take(end, fill + 8);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<uint8_t>(last.state[i / 4] >> (24 - 8 * (i % 4)));
}

}  // extern "C"
