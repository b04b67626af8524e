// A Machine (backend.hpp) that is the processor itself.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/emulated.hpp"

namespace gv::cuda {

// Threads in turn, last one first: results that depend on their order differ from the C++ form.
struct LoopGroup {
  template <class Fn>
  void each(int count, const Fn& fn) const {
    for (int i = count; i-- > 0;) fn(i);
  }
  template <class Fn>
  void one(const Fn& fn) const {
    fn();
  }
};

struct Emulation {
  template <class T>
  using Buffer = HostBuffer<T>;

  template <class Kernel>
  static void launch(const Kernel& kernel, int blocks, int, size_t words) {
    for (int block = blocks; block-- > 0;) {
      std::vector<uint32_t> shared(words, 0xa5a5a5a5);  // anything
      kernel(LoopGroup{}, block, shared.data());
    }
  }
};

}  // namespace gv::cuda
