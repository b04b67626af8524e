#include "klt/transform.hpp"

namespace gv {

GV_SIMD(void, klt_forward,
        (const Basis& basis, int count, const int16_t* residual, int32_t* coefficients),
        (basis, count, residual, coefficients)) {
  for (int i = 0; i < count; ++i) {
    const int16_t* b = basis.row(i);
    int32_t sum = 0;
    for (int k = 0; k < kBlockSamples; ++k) sum += static_cast<int32_t>(b[k]) * residual[k];
    constexpr int shift = kBasisBits - kCoefBits;
    coefficients[i] = (sum + (1 << (shift - 1))) >> shift;
  }
}

GV_SIMD(void, klt_inverse,
        (const Basis& basis, int count, const int32_t* coefficients, int16_t* residual),
        (basis, count, coefficients, residual)) {
  uint32_t sum[kBlockSamples] = {};
  for (int i = 0; i < count; ++i) {
    const uint32_t c = static_cast<uint32_t>(coefficients[i]);
    if (c == 0) continue;
    const int16_t* b = basis.row(i);
    for (int k = 0; k < kBlockSamples; ++k)
      sum[k] += static_cast<uint32_t>(static_cast<int32_t>(b[k])) * c;
  }
  constexpr int shift = kBasisBits + kCoefBits;
  for (int k = 0; k < kBlockSamples; ++k) {
    const int32_t v = static_cast<int32_t>(sum[k] + (1u << (shift - 1))) >> shift;
    residual[k] = static_cast<int16_t>(clamp(v, -2 * kMaxSample, 2 * kMaxSample));
  }
}

int quantiser_step(int q, int level) {
  constexpr int kMantissa[9] = {512, 553, 597, 645, 697, 752, 813, 878, 948};  // 512 · 2^(i/9)
  return std::max(1, (kMantissa[q % 9] << (q / 9)) >> (4 + level));
}

}  // namespace gv
