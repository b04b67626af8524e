// Shared basics of the core: clamps and planes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "common/cpu.hpp"

// Functions that CUDA devices run as well; plain functions to every other compiler. Code that calls
// only these is marked GV_DEVICE: to nvcc it exists on the device alone.
#if defined(__CUDACC__)
#define GV_BOTH __host__ __device__
#define GV_DEVICE __device__
#else
#define GV_BOTH
#define GV_DEVICE
#endif

namespace gv {

// The bytes handed to a decoder are not a valid stream.
struct DamagedStream : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A precondition of callers; ValueError in Python.
inline void check(bool good, const char* what) {
  if (!good) throw std::invalid_argument(what);
}

template <class T>
GV_BOTH inline T clamp(T v, T lo, T hi) {
  return v < lo ? lo : (v > hi ? hi : v);
}

inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

// Samples from one place to another, which may be those of other rows.
inline ptrdiff_t samples_between(const int16_t* from, const int16_t* to) {
  const auto bytes = reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from);
  return static_cast<ptrdiff_t>(bytes) / static_cast<ptrdiff_t>(sizeof(int16_t));
}

// Samples at this distance will be read soon, if they are in our memory: a place, no
// pointer, since it may lie beyond its row.
inline void prefetch(const int16_t* from, ptrdiff_t samples) {
  const auto place =
      reinterpret_cast<uintptr_t>(from) + static_cast<uintptr_t>(samples) * sizeof(int16_t);
#if defined(__GNUC__)
  __builtin_prefetch(reinterpret_cast<const void*>(place));
#else
  static_cast<void>(place);
#endif
}

constexpr int kMaxSample = 1023;  // 10 bits inside

// One component of a frame with a margin on each side, so that motion compensation reads without
// tests.
struct Plane {
  int width = 0, height = 0, margin = 0, stride = 0;
  std::vector<uint16_t> data;

  Plane() = default;
  Plane(int w, int h, int m) : width(w), height(h), margin(m), stride(w + 2 * m) {
    data.assign(static_cast<size_t>(stride) * (h + 2 * m), 0);
  }
  uint16_t* row(int y) { return data.data() + static_cast<size_t>(y + margin) * stride + margin; }
  const uint16_t* row(int y) const {
    return data.data() + static_cast<size_t>(y + margin) * stride + margin;
  }

  // Fills the margin by repeating the edge samples.
  void extend() {
    for (int y = 0; y < height; ++y) {
      uint16_t* r = row(y);
      std::fill(r - margin, r, r[0]);
      std::fill(r + width, r + width + margin, r[width - 1]);
    }
    for (int y = 1; y <= margin; ++y) {
      std::copy_n(row(0) - margin, stride, row(-y) - margin);
      std::copy_n(row(height - 1) - margin, stride, row(height - 1 + y) - margin);
    }
  }
};

}  // namespace gv
