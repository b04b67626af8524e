#include "transformer/forms.hpp"

#include <cmath>
#include <cstring>

#include "common/cpu.hpp"

// Sums stay in registers only where the loops over them are unrolled. Code between GV_TARGET and
// GV_TARGET_END may use these instructions.
#define GV_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define GV_UNROLL GV_PRAGMA(clang loop unroll(full))
#define GV_TARGET(names) \
  GV_PRAGMA(clang attribute push(__attribute__((target(names))), apply_to = function))
#define GV_TARGET_END GV_PRAGMA(clang attribute pop)
#elif defined(__GNUC__)
#define GV_UNROLL GV_PRAGMA(GCC unroll 16)
#define GV_TARGET(names) GV_PRAGMA(GCC push_options) GV_PRAGMA(GCC target(names))
#define GV_TARGET_END GV_PRAGMA(GCC pop_options)
#else
#define GV_UNROLL
#endif

namespace gv::exact {
namespace {

// The baseline: SSE2, NEON and WebAssembly have vectors of four floats. NEON has 32 registers.
namespace plain {
#if !defined(__GNUC__) || (defined(__wasm__) && !defined(__wasm_simd128__))
#define GV_FLOATS 1
#define GV_ACROSS 8
#define GV_DOWN 2
#elif GV_NEON
#define GV_FLOATS 4
#define GV_ACROSS 4
#define GV_DOWN 4
#else
#define GV_FLOATS 4
#define GV_ACROSS 2
#define GV_DOWN 4
#endif
#include "transformer/loops.inl"
#undef GV_FLOATS
#undef GV_ACROSS
#undef GV_DOWN
}  // namespace plain

#if GV_FORMS
GV_TARGET("avx2")
namespace avx2 {
#define GV_FLOATS 8
#define GV_ACROSS 2
#define GV_DOWN 4
#include "transformer/loops.inl"
#undef GV_FLOATS
#undef GV_ACROSS
#undef GV_DOWN
}  // namespace avx2
GV_TARGET_END
GV_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx2")
namespace avx512 {
#define GV_FLOATS 16
#define GV_ACROSS 4
#define GV_DOWN 4
#include "transformer/loops.inl"
#undef GV_FLOATS
#undef GV_ACROSS
#undef GV_DOWN
}  // namespace avx512
GV_TARGET_END
#endif

}  // namespace

const Loops& loops() {
#if GV_FORMS
  if (cpu() >= Cpu::kAvx512) return avx512::kLoops;
  if (cpu() != Cpu::kPlain) return avx2::kLoops;
#endif
  return plain::kLoops;
}

}  // namespace gv::exact
