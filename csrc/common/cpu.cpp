#include "common/cpu.hpp"

#include <cstdlib>
#if GV_FORMS
#include <cpuid.h>
#endif
#if GV_DOTPROD && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace gv {
namespace {

#if defined(GV_AVX_VNNI)
// Not all compilers know its name.
bool has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 4 & 1;
}
#endif

// In the order of `Cpu`, from the least to the best; `here`: this machine and build have it.
struct Form {
  const char* name;
  bool here;
};

#if GV_NEON
const std::vector<Form>& forms() {
#if GV_DOTPROD && defined(__ARM_FEATURE_DOTPROD)
  constexpr bool products = true;
#elif GV_DOTPROD && defined(__linux__)
  constexpr unsigned long kDotProducts = 1ul << 20;  // HWCAP_ASIMDDP
  const bool products = getauxval(AT_HWCAP) & kDotProducts;
#else
  constexpr bool products = false;
#endif
  static const std::vector<Form> found = {{"plain", true}, {"neon", true}, {"dotprod", products}};
  return found;
}
#else
const std::vector<Form>& forms() {
  bool wide = false, dots = false, wider = false;
#if GV_FORMS
  wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  wider = wide && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
          __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
          __builtin_cpu_supports("avx512vl");
#if defined(GV_AVX_VNNI)
  dots = wide && has_avx_vnni();
#endif
#endif
  static const std::vector<Form> found = {
      {"plain", true}, {"avx2", wide}, {"avxvnni", dots}, {"avx512", wider}};
  return found;
}
#endif

}  // namespace

std::atomic<int> cpu_in_use{-1};

std::vector<std::string> cpu_forms() {
  std::vector<std::string> found;
  for (const Form& form : forms())
    if (form.here) found.push_back(form.name);
  return found;
}

void use_cpu(const std::string& name) {
  std::string names;
  for (size_t i = 0; i < forms().size(); ++i) {
    const Form& form = forms()[i];
    if (name == form.name) {
      if (!form.here) throw BadSetting("GVCODEC_CPU: this machine or build has no " + name);
      cpu_in_use = static_cast<int>(i);
      return;
    }
    names += (i == 0 ? "" : i + 1 < forms().size() ? ", " : " or ") + std::string(form.name);
  }
  throw BadSetting("GVCODEC_CPU is " + names + ", not " + name);
}

Cpu choose_cpu() {
  const char* wanted = std::getenv("GVCODEC_CPU");
  use_cpu(wanted && *wanted ? wanted : cpu_forms().back());
  return static_cast<Cpu>(cpu_in_use.load());
}

const char* cpu_name() { return forms()[static_cast<size_t>(cpu())].name; }

}  // namespace gv
