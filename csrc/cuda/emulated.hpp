// The CUDA form of the stream coder, run on the processor, block after block, for tests without a
// device.
#pragma once

#include "entropy/streams.hpp"

namespace gv::cuda {

// The memory of a device that is none.
template <class T>
class HostBuffer {
 public:
  explicit HostBuffer(size_t count = 0) : values_(count) {}
  HostBuffer(const T* from, size_t count) : values_(from, from + count) {}
  T* get() { return values_.data(); }
  const T* get() const { return values_.data(); }
  void read(T* to) const { std::copy(values_.begin(), values_.end(), to); }

 private:
  std::vector<T> values_;
};

StreamBackend& emulated_backend();

}  // namespace gv::cuda
