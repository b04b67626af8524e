#include "common/sha256.hpp"

#include <algorithm>
#include <vector>

namespace gv {
namespace {

constexpr uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

uint32_t rotate(uint32_t v, int by) { return v >> by | v << (32 - by); }

}  // namespace

void Sha256::add_blocks(const uint8_t* data, size_t blocks) {
  for (; blocks > 0; --blocks, data += kBlock) {
    uint32_t w[64];
    for (int i = 0; i < 16; ++i)
      w[i] = static_cast<uint32_t>(data[4 * i]) << 24 | data[4 * i + 1] << 16 |
             data[4 * i + 2] << 8 | data[4 * i + 3];
    for (int i = 16; i < 64; ++i) {
      const uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
      const uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    std::array<uint32_t, 8> s = state_;
    for (int i = 0; i < 64; ++i) {
      const uint32_t one = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
      const uint32_t t = s[7] + one + ((s[4] & s[5]) ^ (~s[4] & s[6])) + kRound[i] + w[i];
      const uint32_t zero = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
      const uint32_t most = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
      std::copy_backward(s.begin(), s.end() - 1, s.end());
      s[4] += t;
      s[0] = t + zero + most;
    }
    for (size_t i = 0; i < 8; ++i) state_[i] += s[i];
  }
}

void Sha256::update(const uint8_t* data, size_t size) {
  const size_t held = bytes_ % kBlock;
  bytes_ += size;
  if (held) {
    const size_t part = std::min(size, kBlock - held);
    std::copy_n(data, part, waiting_.data() + held);
    if (held + part < kBlock) return;
    add_blocks(waiting_.data(), 1);
    data += part, size -= part;
  }
  add_blocks(data, size / kBlock);
  std::copy_n(data + size / kBlock * kBlock, size % kBlock, waiting_.data());
}

std::array<uint8_t, 32> Sha256::digest() const {
  Sha256 last = *this;
  std::vector<uint8_t> end((kBlock + 55 - bytes_ % kBlock) % kBlock + 1);
  end[0] = 0x80;
  for (int i = 0; i < 8; ++i) end.push_back(static_cast<uint8_t>(8 * bytes_ >> (56 - 8 * i)));
  last.update(end.data(), end.size());
  std::array<uint8_t, 32> out;
  for (size_t i = 0; i < 32; ++i)
    out[i] = static_cast<uint8_t>(last.state_[i / 4] >> (24 - 8 * (i % 4)));
  return out;
}

}  // namespace gv
