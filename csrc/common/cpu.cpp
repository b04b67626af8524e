#include "common/cpu.hpp"

#include <cstdlib>

namespace gv {
namespace {

constexpr const char* kNames[] = {"plain", "avx2", "avx512"};

Cpu best() {
#if GV_FORMS
  const bool wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  if (wide && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return Cpu::kAvx512;
  if (wide) return Cpu::kAvx2;
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
  throw BadSetting("GVCODEC_CPU is plain, avx2 or avx512, not " + name);
}

Cpu choose_cpu() {
  const char* wanted = std::getenv("GVCODEC_CPU");
  use_cpu(wanted && *wanted ? wanted : kNames[static_cast<int>(best())]);
  return static_cast<Cpu>(cpu_in_use.load());
}

const char* cpu_name() { return kNames[static_cast<int>(cpu())]; }

}  // namespace gv
