#include "token_trial/convolution_forms.hpp"

#include <algorithm>

#include "common/basics.hpp"
#include "common/targets.hpp"

namespace gv {

namespace {

namespace plain {

// The transforms of `convolution_loops.inl`, one value at a time, modulo 2^32.
void transform(const int16_t* const* phases, ptrdiff_t row, int32_t* out, size_t stride) {
  for (int at = 0; at < kTiles; ++at) {
    uint32_t pairs[kPoints] = {};
    for (int c = 0; c < 2; ++c) {
      int d[4][4];
      for (int y = 0; y < 4; ++y) {
        const ptrdiff_t place = at + (y == 0 ? -row : y == 3 ? row : 0);
        const int16_t* even = phases[4 * c + ((y & 1) ? 0 : 2)] + place;
        const int16_t* odd = phases[4 * c + ((y & 1) ? 1 : 3)] + place;
        const int a = odd[-1], b = even[0], e = odd[0], f = even[1];
        d[y][0] = a - e, d[y][1] = b + e, d[y][2] = e - b, d[y][3] = b - f;
      }
      for (int x = 0; x < 4; ++x) {
        const int a = d[0][x], b = d[1][x], e = d[2][x], f = d[3][x];
        const int value[4] = {a - e, b + e, e - b, b - f};
        for (int y = 0; y < 4; ++y)
          pairs[4 * y + x] |= (static_cast<uint32_t>(value[y]) & 0xffff) << (16 * c);
      }
    }
    for (int p = 0; p < kPoints; ++p) out[p * stride + at] = static_cast<int32_t>(pairs[p]);
  }
}

void multiply(const int32_t* values, const int32_t* weight, int pairs, int outputs, int32_t* sums) {
  const auto half = [](int32_t pair, int n) { return static_cast<int16_t>(pair >> (16 * n)); };
  for (int o = 0; o < outputs; ++o)
    for (int at = 0; at < kTiles; ++at) {
      uint32_t sum = 0;
      for (int k = 0; k < pairs; ++k) {
        const int32_t v = values[k * kTiles + at], w = weight[(o / 4 * pairs + k) * 4 + o % 4];
        for (int n = 0; n < 2; ++n) sum += static_cast<uint32_t>(half(v, n) * half(w, n));
      }
      sums[o * kSumsStride + at] = static_cast<int32_t>(sum);
    }
}

void finish(const int32_t* sums, int32_t start, int shift, int most, int16_t* const* phases) {
  for (int at = 0; at < kTiles; ++at) {
    uint32_t rows[2][4];
    for (int x = 0; x < 4; ++x) {
      uint32_t m[4];
      for (int y = 0; y < 4; ++y) m[y] = static_cast<uint32_t>(sums[(4 * y + x) * kTiles + at]);
      rows[0][x] = m[0] + m[1] + m[2], rows[1][x] = m[1] - m[2] - m[3];
    }
    for (int y = 0; y < 2; ++y) {
      const uint32_t* r = rows[y];
      const uint32_t value[2] = {r[0] + r[1] + r[2], r[1] - r[2] - r[3]};
      for (int x = 0; x < 2; ++x) {
        const int32_t sum = static_cast<int32_t>(value[x] + static_cast<uint32_t>(start));
        phases[2 * y + x][at] = static_cast<int16_t>(std::clamp(sum >> shift, 0, most));
      }
    }
  }
}

const ConvolutionForms kForms = {transform, multiply, finish};
}  // namespace plain

#if GV_FORMS
GV_TARGET("avx2,bmi,bmi2,fma")
#define GV_LANES 1
namespace avx2 {
#define GV_DOT 0
#include "token_trial/convolution_loops.inl"
#undef GV_DOT
}  // namespace avx2
#if defined(GV_AVX_VNNI)
namespace vnni {
#define GV_DOT 1
#include "token_trial/convolution_loops.inl"
#undef GV_DOT
}  // namespace vnni
#endif
#undef GV_LANES
GV_TARGET_END
#define GV_LANES 2
GV_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,bmi,bmi2,fma")
namespace avx512 {
#include "token_trial/convolution_loops.inl"
}  // namespace avx512
GV_TARGET_END
#undef GV_LANES
#endif

#if GV_NEON
#define GV_LANES 4
#define GV_DOT 0
namespace neon {
#include "token_trial/convolution_loops.inl"
}  // namespace neon
#undef GV_DOT
#undef GV_LANES
#endif

}  // namespace

const ConvolutionForms& convolution_forms() {
#if GV_FORMS
  // AVX-512 without VNNI would gain little over AVX2.
  static const bool dots = __builtin_cpu_supports("avx512vnni");
  if (cpu() >= Cpu::kAvx512 && dots) return avx512::kForms;
#if defined(GV_AVX_VNNI)
  if (cpu() == Cpu::kAvxVnni) return vnni::kForms;
#endif
  if (cpu() != Cpu::kPlain) return avx2::kForms;
#elif GV_NEON
  if (cpu() != Cpu::kPlain) return neon::kForms;
#endif
  return plain::kForms;
}

}  // namespace gv
