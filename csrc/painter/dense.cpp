#include "painter/dense.hpp"

#include <cmath>
#include <cstring>

#include "common/basics.hpp"

namespace gv {

namespace {

// One block of outputs and samples, held in registers. `V` is a vector of floats or one float; all
// rows may be unaligned.
template <class V, int kOut, int kVectors>
GV_INLINE void block(const float* weight, int stride, const float* bias, int inputs,
                     const float* const* in, int x, int outputs, float* const* out) {
  constexpr int kLanes = sizeof(V) / sizeof(float);
  V sum[kOut][kVectors];
#pragma GCC unroll 16
  for (int o = 0; o < kOut; ++o)
#pragma GCC unroll 16
    for (int p = 0; p < kVectors; ++p) sum[o][p] = V{} + bias[o];
  for (int k = 0; k < inputs; ++k, weight += stride) {
    V v[kVectors];
#pragma GCC unroll 16
    for (int p = 0; p < kVectors; ++p) std::memcpy(&v[p], in[k] + x + p * kLanes, sizeof(V));
#pragma GCC unroll 16
    for (int o = 0; o < kOut; ++o)
#pragma GCC unroll 16
      for (int p = 0; p < kVectors; ++p) sum[o][p] += v[p] * weight[o];
  }
#pragma GCC unroll 16
  for (int o = 0; o < kOut; ++o)
    if (o < outputs)
#pragma GCC unroll 16
      for (int p = 0; p < kVectors; ++p)
        std::memcpy(out[o] + x + p * kLanes, &sum[o][p], sizeof(V));
}

template <class V, int kOut, int kVectors>
GV_INLINE void all_blocks(const Dense& d, const float* const* in, int width, float* const* out) {
  constexpr int kStep = kVectors * static_cast<int>(sizeof(V) / sizeof(float));
  static_assert(kRowBlock % kStep == 0 && Dense::kOutBlock % kOut == 0);
  for (int x = 0; x < width; x += kStep)
    for (int o = 0; o < d.outputs; o += kOut)
      block<V, kOut, kVectors>(d.block(o / Dense::kOutBlock) + o % Dense::kOutBlock,
                               Dense::kOutBlock, d.bias.data() + o, d.inputs, in, x, d.outputs - o,
                               out + o);
}

// Sums of one channel wait for each other: as many samples at a time as there are registers for.
template <class V, int kVectors>
GV_INLINE void one_row(const float* weight, float bias, int inputs, const float* const* in,
                       int width, float* out) {
  constexpr int kStep = kVectors * static_cast<int>(sizeof(V) / sizeof(float));
  static_assert(kRowBlock % kStep == 0);
  int x = 0;
  for (; x + 3 * kStep <= whole_blocks(width); x += 3 * kStep)
    block<V, 1, 3 * kVectors>(weight, 1, &bias, inputs, in, x, 1, &out);
  for (; x < width; x += kStep) block<V, 1, kVectors>(weight, 1, &bias, inputs, in, x, 1, &out);
}

#if defined(__GNUC__)
using V4 = float __attribute__((vector_size(16)));
#else
using V4 = float;
#endif

#if GV_FORMS
using V8 = float __attribute__((vector_size(32)));
using V16 = float __attribute__((vector_size(64)));

GV_AVX512 void combine_512(const Dense& d, const float* const* in, int width, float* const* out) {
  all_blocks<V16, 8, 3>(d, in, width, out);
}
GV_AVX2 void combine_256(const Dense& d, const float* const* in, int width, float* const* out) {
  all_blocks<V8, 4, 3>(d, in, width, out);
}
GV_AVX512 void one_512(const float* weight, float bias, int inputs, const float* const* in,
                       int width, float* out) {
  one_row<V16, 3>(weight, bias, inputs, in, width, out);
}
GV_AVX2 void one_256(const float* weight, float bias, int inputs, const float* const* in, int width,
                     float* out) {
  one_row<V8, 3>(weight, bias, inputs, in, width, out);
}
#endif

// exp(x) for |x| ≤ 87: 2^n by the exponent's bits, 2^f for |f| ≤ 1/2 by a polynomial.
GV_INLINE float exponential(float x) {
  constexpr float kRound =
      12582912.f;  // 1.5·2²³: adding it rounds to a whole number, whose last bits are the sum's
  const float t = x * 1.44269504f, shifted = t + kRound;
  const float f = t - (shifted - kRound);
  float p = 1.5403530e-4f;
  p = p * f + 1.3333558e-3f;
  p = p * f + 9.6181291e-3f;
  p = p * f + 5.5504109e-2f;
  p = p * f + 2.4022651e-1f;
  p = p * f + 6.9314718e-1f;
  p = p * f + 1.f;
  // Unsigned: what is not a number overflows.
  uint32_t bits, power;
  std::memcpy(&bits, &shifted, sizeof bits);
  std::memcpy(&power, &p, sizeof power);
  power += bits << 23;
  std::memcpy(&p, &power, sizeof p);
  return p;
}

GV_INLINE float logistic(float x) {
  const float low = x < -80.f ? -80.f : x;
  return 1.f / (1.f + exponential(-(low > 80.f ? 80.f : low)));
}

}  // namespace

void combine_plain(const Dense& dense, const float* const* in, int width, float* const* out) {
  all_blocks<float, 1, 1>(dense, in, width, out);
}

void combine(const Dense& dense, const float* const* in, int width, float* const* out) {
#if GV_FORMS
  const Cpu form = cpu();
  if (form == Cpu::kAvx512) return combine_512(dense, in, width, out);
  if (form != Cpu::kPlain) return combine_256(dense, in, width, out);
#endif
  all_blocks<V4, 4, 3>(dense, in, width, out);
}

void combine_one(const float* weight, float bias, int inputs, const float* const* in, int width,
                 float* out) {
#if GV_FORMS
  const Cpu form = cpu();
  if (form == Cpu::kAvx512) return one_512(weight, bias, inputs, in, width, out);
  if (form != Cpu::kPlain) return one_256(weight, bias, inputs, in, width, out);
#endif
  one_row<V4, 3>(weight, bias, inputs, in, width, out);
}

GV_SIMD(void, silu, (float* x, int width), (x, width)) {
  for (int i = 0; i < width; ++i) x[i] *= logistic(x[i]);
}

GV_SIMD(void, sigmoid, (float* x, int width), (x, width)) {
  for (int i = 0; i < width; ++i) x[i] = logistic(x[i]);
}

}  // namespace gv
