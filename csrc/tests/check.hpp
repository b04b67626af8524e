// Shared by the test programs of the core: expectations, random numbers.
#pragma once

#include <cstdio>
#include <random>

#include "common/basics.hpp"

namespace gvtest {

inline int& failures() {
  static int count = 0;
  return count;
}

#define EXPECT(condition)                                                                        \
  do {                                                                                           \
    if (!(condition)) {                                                                          \
      if (gvtest::failures()++ < 20) std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                                            \
  } while (false)

// Exit status of a test program.
inline int verdict(const char* name) {
  std::printf("%s: %s (%d failures)\n", name, failures() ? "FAILED" : "ok", failures());
  return failures() ? 1 : 0;
}

// Calls fn(name) with every form of the core's loops that this machine can run.
template <class Fn>
void in_every_form(const Fn& fn) {
  for (const std::string& name : gv::cpu_forms()) {
    gv::use_cpu(name);
    fn(name);
  }
}

using Random = std::mt19937;

inline int uniform(Random& random, int low,
                   int high) {  // both included; the same on every standard library
  const uint32_t range = static_cast<uint32_t>(high) - static_cast<uint32_t>(low) + 1;
  return static_cast<int>(low + static_cast<int64_t>(random() % range));
}

}  // namespace gvtest
