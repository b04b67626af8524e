// Which instruction set the loops of the core run with: the best one there is, or $GVCODEC_CPU.
//
// Every form gives the same result: arithmetic uses integers, or float32 that is rounded after each
// operation (the transformer).
#pragma once

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

// A loop in several forms. The body follows as that of a function:
//
//   GV_SIMD(uint32_t, energy, (const int16_t* v, int n), (v, n)) { ... }
//
// Functions it calls must be GV_INLINE, or small.
#if defined(__x86_64__) && defined(__GNUC__)
#define GV_FORMS 1
#define GV_AVX2 __attribute__((target("avx2,bmi,bmi2,fma")))
#define GV_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,bmi,bmi2,fma")))
#define GV_SIMD(type, name, parameters, arguments)                                 \
  static GV_INLINE type name##_body parameters;                                    \
  static GV_AVX512 type name##_avx512 parameters { return name##_body arguments; } \
  static GV_AVX2 type name##_avx2 parameters { return name##_body arguments; }     \
  static type name##_plain parameters { return name##_body arguments; }            \
  type name parameters {                                                           \
    const ::gv::Cpu form = ::gv::cpu();                                            \
    if (form >= ::gv::Cpu::kAvx512) return name##_avx512 arguments;                \
    if (form != ::gv::Cpu::kPlain) return name##_avx2 arguments;                   \
    return name##_plain arguments;                                                 \
  }                                                                                \
  static GV_INLINE type name##_body parameters
#else
#define GV_FORMS 0
#define GV_SIMD(type, name, parameters, arguments) type name parameters
#endif

// 64-bit ARM: only the painter is written for it by hand.
#if defined(__aarch64__) && defined(__GNUC__)
#define GV_NEON 1
#else
#define GV_NEON 0
#endif
// Clang before 16 has sums of products only where all code may use them.
#if GV_NEON && (defined(__ARM_FEATURE_DOTPROD) || !defined(__clang__) || __clang_major__ >= 16)
#define GV_DOTPROD 1
#else
#define GV_DOTPROD 0
#endif

// Helpers that must be inlined into every form of their caller.
#if defined(_MSC_VER)
#define GV_INLINE __forceinline
#else
#define GV_INLINE inline __attribute__((always_inline))
#endif

namespace gv {

enum class Cpu { kPlain, kAvx2, kAvxVnni, kAvx512, kNeon = 1, kDotprod };

// An unknown setting, or one that this machine lacks.
struct BadSetting : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Names of the forms that this machine can run, plain first: plain, avx2, avxvnni, avx512; on ARM
// plain, neon, dotprod. Only the painter has loops of its own for avxvnni.
std::vector<std::string> cpu_forms();

// Takes a form by its name, for the whole process. Throws BadSetting.
void use_cpu(const std::string& name);

const char* cpu_name();

extern std::atomic<int> cpu_in_use;  // -1: not chosen yet

Cpu choose_cpu();

// The form in use. Throws BadSetting for a $GVCODEC_CPU that cannot be.
inline Cpu cpu() {
  const int form = cpu_in_use.load(std::memory_order_relaxed);
  return form < 0 ? choose_cpu() : static_cast<Cpu>(form);
}

}  // namespace gv
