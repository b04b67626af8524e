#include "painter/forms.hpp"

#include "common/cpu.hpp"
#if GV_FORMS
#if defined(__GNUC__) && !defined(__clang__)
// GCC's intrinsics read undefined vectors on purpose, and GCC 12 warns of it (bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#endif

// Set by hand in tests of that form.
#if defined(__wasm_simd128__) && defined(__SSE4_1__)
#define GV_WASM_SIMD
#endif
#if defined(GV_WASM_SIMD)
#include <smmintrin.h>
#endif
#if GV_NEON
#include <arm_neon.h>
#endif

// Sums stay in registers only where all loops over them are written out.
#if defined(__clang__)
#define GV_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define GV_UNROLL _Pragma("GCC unroll 16")
#else
#define GV_UNROLL
#endif

namespace gv {

namespace {

namespace plain {
#if defined(GV_WASM_SIMD)
#define GV_LANES 3
#define GV_SRL32(v, n) _mm_srli_epi32(v, n)
#define GV_AND(a, b) _mm_and_si128(a, b)
#else
#define GV_LANES 0
#endif
#include "painter/lanes.inl"
#include "painter/loops.inl"
#undef GV_LANES
#undef GV_SRL32
#undef GV_AND
}  // namespace plain

#if GV_FORMS
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,fma")
#endif
#define GV_LANES 1
#define GV_SRL32(v, n) _mm256_srli_epi32(v, n)
#define GV_AND(a, b) _mm256_and_si256(a, b)
namespace avx2 {
#define GV_DOT 0
#include "painter/lanes.inl"
#include "painter/loops.inl"
#undef GV_DOT
}  // namespace avx2
#if defined(GV_AVX_VNNI)
namespace vnni {
#define GV_DOT 1
#include "painter/lanes.inl"
#include "painter/loops.inl"
#undef GV_DOT
}  // namespace vnni
#endif
#undef GV_LANES
#undef GV_SRL32
#undef GV_AND
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(                                                                   \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,bmi,bmi2,fma"))), \
    apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,bmi,bmi2,fma")
#endif
#define GV_LANES 2
#define GV_SRL32(v, n) _mm512_srli_epi32(v, n)
#define GV_AND(a, b) _mm512_and_si512(a, b)
namespace avx512 {
#include "painter/lanes.inl"
#include "painter/loops.inl"
}  // namespace avx512
#if defined(GV_AMX_TILES)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("amx-tile,amx-int8"))), apply_to = function)
#else
#pragma GCC target("amx-tile,amx-int8")
#endif
namespace amx {
#define GV_AMX 1
#include "painter/lanes.inl"
#include "painter/loops.inl"
#undef GV_AMX
}  // namespace amx
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
#undef GV_LANES
#undef GV_SRL32
#undef GV_AND
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

#if GV_NEON
#define GV_LANES 4
#define GV_SRL32(v, n) vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(v), n))
#define GV_AND(a, b) vandq_s32(a, b)
namespace neon {
#define GV_DOT 0
#include "painter/lanes.inl"
#include "painter/loops.inl"
#undef GV_DOT
}  // namespace neon
#if GV_DOTPROD
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif
namespace dotprod {
#define GV_DOT 1
#include "painter/lanes.inl"
#include "painter/loops.inl"
#undef GV_DOT
}  // namespace dotprod
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
#undef GV_LANES
#undef GV_SRL32
#undef GV_AND
#endif

}  // namespace

const PainterForms& painter_forms() {
#if GV_FORMS
  // AVX-512 without VNNI would gain little over AVX2.
  static const bool dots = __builtin_cpu_supports("avx512vnni");
#if defined(GV_AMX_TILES)
  if (cpu() == Cpu::kAmx) return amx::kForms;
#endif
  if (cpu() >= Cpu::kAvx512 && dots) return avx512::kForms;
#if defined(GV_AVX_VNNI)
  if (cpu() == Cpu::kAvxVnni) return vnni::kForms;
#endif
  if (cpu() != Cpu::kPlain) return avx2::kForms;
#elif GV_NEON
#if GV_DOTPROD
  if (cpu() == Cpu::kDotprod) return dotprod::kForms;
#endif
  if (cpu() != Cpu::kPlain) return neon::kForms;
#endif
  return plain::kForms;
}

}  // namespace gv
