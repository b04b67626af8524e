#include "common/cpu.hpp"

#include <cstdlib>
#if GV_DOTPROD && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace gv {
namespace {

#if GV_NEON
constexpr const char* kNames[] = {"plain", "neon", "dotprod"};
#else
constexpr const char* kNames[] = {"plain", "avx2", "avx512"};
#endif

Cpu best() {
#if GV_FORMS
  const bool wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  if (wide && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return Cpu::kAvx512;
  if (wide) return Cpu::kAvx2;
#elif GV_DOTPROD && defined(__ARM_FEATURE_DOTPROD)
  return Cpu::kDotprod;
#elif GV_DOTPROD && defined(__linux__)
  constexpr unsigned long kDotProducts = 1ul << 20;  // HWCAP_ASIMDDP
  return getauxval(AT_HWCAP) & kDotProducts ? Cpu::kDotprod : Cpu::kNeon;
#elif GV_NEON
  return Cpu::kNeon;
#endif
  return Cpu::kPlain;
}

}  // namespace

std::atomic<int> cpu_in_use{-1};

std::vector<std::string> cpu_forms() { return {kNames, kNames + static_cast<int>(best()) + 1}; }

void use_cpu(const std::string& name) {
  for (int form = 0; form < 3; ++form)
    if (name == kNames[form]) {
      if (form > static_cast<int>(best()))
        throw BadSetting("GVCODEC_CPU: this machine or build has no " + name);
      cpu_in_use = form;
      return;
    }
  throw BadSetting(std::string("GVCODEC_CPU is plain, ") + kNames[1] + " or " + kNames[2] +
                   ", not " + name);
}

Cpu choose_cpu() {
  const char* wanted = std::getenv("GVCODEC_CPU");
  use_cpu(wanted && *wanted ? wanted : kNames[static_cast<int>(best())]);
  return static_cast<Cpu>(cpu_in_use.load());
}

const char* cpu_name() { return kNames[static_cast<int>(cpu())]; }

}  // namespace gv
