// The processor's floating-point mode that exact arithmetic needs: round to nearest, small numbers
// are not flushed to zero. Other libraries of a process may have changed it.
#pragma once

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

namespace gv::exact {

// Sets the mode of this thread, and restores the former one at the end.
class StandardFloats {
 public:
  StandardFloats(const StandardFloats&) = delete;
  StandardFloats& operator=(const StandardFloats&) = delete;
#if defined(__x86_64__) || defined(_M_X64)
  StandardFloats() : before_(_mm_getcsr()) { _mm_setcsr(0x1f80); }  // all exceptions masked
  ~StandardFloats() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__) && defined(__GNUC__)
  StandardFloats() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(before_));
    __asm__ volatile("msr fpcr, %0" : : "r"(uint64_t{0}) : "memory");
  }
  ~StandardFloats() { __asm__ volatile("msr fpcr, %0" : : "r"(before_) : "memory"); }

 private:
  uint64_t before_ = 0;
#else  // WebAssembly has this mode alone
  StandardFloats() {}
  ~StandardFloats() {}
#endif
};

}  // namespace gv::exact
