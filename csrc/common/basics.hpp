// Shared basics of the core: clamps and planes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "common/cpu.hpp"

// Functions that CUDA devices run as well; plain functions to every other compiler. What calls only
// these is marked GV_DEVICE: to nvcc it exists on the device alone.
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

// What callers have to see to; ValueError in Python.
inline void check(bool good, const char* what) {
  if (!good) throw std::invalid_argument(what);
}

template <class T>
GV_BOTH inline T clamp(T v, T lo, T hi) {
  return v < lo ? lo : (v > hi ? hi : v);
}

inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

// Memory that will be read soon, in bounds or not.
inline void prefetch(const void* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p);
#else
  static_cast<void>(p);
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
