// Operators new and delete of the whole program, in which an allocation can be made to fail. One
// source of a program includes it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace gvfuzz {

// Allocations until one fails; below 0: none fails.
inline std::atomic<int64_t> allocations_left{-1};
inline std::atomic<int64_t> allocations{0}, failures{0};
inline std::atomic<size_t> largest{0};     // bytes of the largest one
inline std::atomic<bool> all_fail{false};  // the later ones too

// While it lives, allocation `number` from now fails, and with `all` those after it.
class FailingNew {
 public:
  FailingNew(int64_t number, bool all) {
    failures = 0;
    all_fail = all;
    allocations_left = number;
  }
  FailingNew(const FailingNew&) = delete;
  ~FailingNew() { allocations_left = -1; }
};

inline bool may_allocate() {
  ++allocations;
  if (allocations_left < 0) return true;
  if (allocations_left == 0) {
    ++failures;
    if (!all_fail) allocations_left = -1;
    return false;
  }
  --allocations_left;
  return true;
}

inline void* allocate(size_t size, size_t alignment) {
  if (size > largest) largest = size;
  void* memory = nullptr;
  if (may_allocate()) {
    if (alignment <= alignof(std::max_align_t)) memory = std::malloc(size ? size : 1);
    else if (posix_memalign(&memory, alignment, size)) memory = nullptr;
  }
  return memory;
}

inline void* allocate_or_throw(size_t size, size_t alignment) {
  if (void* memory = allocate(size, alignment)) return memory;
  throw std::bad_alloc();
}

}  // namespace gvfuzz

void* operator new(size_t size) { return gvfuzz::allocate_or_throw(size, 1); }
void* operator new[](size_t size) { return gvfuzz::allocate_or_throw(size, 1); }
void* operator new(size_t size, std::align_val_t line) {
  return gvfuzz::allocate_or_throw(size, static_cast<size_t>(line));
}
void* operator new[](size_t size, std::align_val_t line) {
  return gvfuzz::allocate_or_throw(size, static_cast<size_t>(line));
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return gvfuzz::allocate(size, 1);
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return gvfuzz::allocate(size, 1);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
