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

std::vector<uint8_t> RansEncoder::finish() {
  uint32_t x = 0;
  std::vector<uint8_t> bytes;  // last byte first
  auto emit = [&](uint8_t byte) { bytes.push_back(byte); };
  for (size_t i = symbols_.size(); i-- > 0;)
    rans_push(x, symbols_[i] >> 16, (symbols_[i] & 0xffff) + 1, emit);
  rans_flush(x, emit);
  std::reverse(bytes.begin(), bytes.end());
  symbols_.clear();
  return bytes;
}

}  // namespace gv
