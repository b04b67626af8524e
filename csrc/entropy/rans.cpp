#include "entropy/rans.hpp"

#include <cmath>

namespace gv {

std::vector<float> RansEncoder::bits(const std::vector<size_t>& ends) const {
  std::vector<float> sums;
  size_t i = 0;
  for (const size_t end : ends) {
    float sum = 0;
    for (; i < end; ++i)
      sum += kProbBits - std::log2(static_cast<float>((symbols_[i] & 0xffff) + 1));
    sums.push_back(sum);
  }
  return sums;
}

std::vector<uint8_t> RansEncoder::from(uint32_t x) const {
  std::vector<uint8_t> bytes;  // last byte first
  auto emit = [&](uint8_t byte) { bytes.push_back(byte); };
  for (size_t i = symbols_.size(); i-- > 0;)
    rans_push(x, symbols_[i] >> 16, (symbols_[i] & 0xffff) + 1, emit);
  rans_flush(x, emit);
  std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

std::vector<uint8_t> RansEncoder::finish() {
  std::vector<uint8_t> bytes = from(0);
  symbols_.clear();
  return bytes;
}

// Of what from() makes of the first `count` symbols.
uint8_t RansEncoder::last_byte(uint32_t x, size_t count) const {
  bool emitted = false;
  uint8_t byte = 0;
  auto first = [&](uint8_t b) {
    if (!emitted) byte = b;
    emitted = true;
  };
  for (size_t i = count; i-- > 0 && !emitted;)
    rans_push(x, symbols_[i] >> 16, (symbols_[i] & 0xffff) + 1, first);
  return emitted ? byte : static_cast<uint8_t>(x);
}

std::vector<uint8_t> RansEncoder::finish_short(bool& trimmed) {
  std::vector<uint8_t> bytes = from(0);
  // Symbols at the end that leave every start as it is.
  size_t count = symbols_.size();
  while (count > 0 && symbols_[count - 1] >> 16 == 0 && (symbols_[count - 1] & 0xffff) >= kStarts)
    --count;
  trimmed = false;
  for (uint32_t x = 0; x < kStarts && !trimmed && !bytes.empty(); ++x) {
    if (last_byte(x, count) != 0) continue;
    std::vector<uint8_t> other = from(x);
    trimmed = other.size() > 1 && other.size() <= bytes.size();
    if (trimmed) bytes.assign(other.begin(), other.end() - 1);
  }
  symbols_.clear();
  return bytes;
}

}  // namespace gv
