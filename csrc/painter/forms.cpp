#include "painter/forms.hpp"

#include "common/targets.hpp"

namespace gv {

namespace {

namespace plain {
#if defined(__wasm_relaxed_simd__)
#define GV_LANES 3
#define GV_DOT 1
#elif defined(__wasm_simd128__)
#define GV_LANES 3
#define GV_DOT 0
#else
#define GV_LANES 0
#define GV_DOT 0
#endif
#include "painter/loops.inl"
#undef GV_LANES
#undef GV_DOT
}  // namespace plain

#if GV_FORMS
GV_TARGET("avx2,bmi,bmi2,fma")
#define GV_LANES 1
namespace avx2 {
#define GV_DOT 0
#include "painter/loops.inl"
#undef GV_DOT
}  // namespace avx2
#if defined(GV_AVX_VNNI)
namespace vnni {
#define GV_DOT 1
#include "painter/loops.inl"
#undef GV_DOT
}  // namespace vnni
#endif
#undef GV_LANES
GV_TARGET_END
#define GV_LANES 2
GV_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,bmi,bmi2,fma")
namespace avx512 {
#include "painter/loops.inl"
}  // namespace avx512
GV_TARGET_END
#undef GV_LANES
#endif

#if GV_NEON
#define GV_LANES 4
namespace neon {
#define GV_DOT 0
#include "painter/loops.inl"
#undef GV_DOT
}  // namespace neon
#if GV_DOTPROD
GV_TARGET(GV_DOTPROD_TARGET)
namespace dotprod {
#define GV_DOT 1
#include "painter/loops.inl"
#undef GV_DOT
}  // namespace dotprod
GV_TARGET_END
#endif
#undef GV_LANES
#endif

}  // namespace

const PainterForms& painter_forms() {
#if GV_FORMS
  // AVX-512 without VNNI would gain little over AVX2.
  static const bool dots = __builtin_cpu_supports("avx512vnni");
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
