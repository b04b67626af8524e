#include "core/rans.hpp"

#include <cmath>

namespace gv {

std::vector<float> RansEncoder::bits(const std::vector<size_t>& ends) const {
  std::vector<float> sums;
  size_t i = 0;
  for (const size_t end : ends) {
    float sum = 0;
    for (; i < end; ++i) sum += kProbBits - std::log2(static_cast<float>((symbols_[i] & 0xffff) + 1));
    sums.push_back(sum);
  }
  return sums;
}

std::vector<uint8_t> RansEncoder::finish() {
  std::vector<uint8_t> bytes;  // last byte first
  uint32_t x = 0;
  for (size_t i = symbols_.size(); i-- > 0;) {
    const uint32_t start = symbols_[i] >> 16, freq = (symbols_[i] & 0xffff) + 1;
    const uint64_t limit = static_cast<uint64_t>(kRansLow >> kProbBits << 8) * freq;
    while (x >= limit) {
      bytes.push_back(static_cast<uint8_t>(x));
      x >>= 8;
    }
    x = (x / freq << kProbBits) + x % freq + start;
  }
  for (; x != 0; x >>= 8) bytes.push_back(static_cast<uint8_t>(x));
  std::reverse(bytes.begin(), bytes.end());
  symbols_.clear();
  return bytes;
}

}  // namespace gv
