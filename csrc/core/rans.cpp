#include "core/rans.hpp"

namespace gv {

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
