// Shared basics of the core: the SIMD switch, clamps and planes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <vector>

// One source, several instruction sets: the compiler clones a plain loop and the loader picks the best copy.
// All arithmetic in these loops is integer, so every clone gives the same result.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)  // sanitizers start after the loader has picked
#define GV_SIMD
#elif defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
// By what the processor can do: "arch=haswell" would be taken on processors of that very name only.
#if __GNUC__ >= 12
#define GV_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define GV_SIMD __attribute__((target_clones("avx2", "default")))
#endif
#else
#define GV_SIMD
#endif

// Helpers that must be inlined into every clone of their caller.
#if defined(_MSC_VER)
#define GV_INLINE __forceinline
#else
#define GV_INLINE inline __attribute__((always_inline))
#endif

// Functions that CUDA devices run as well; plain functions to every other compiler. What calls only these is marked GV_DEVICE:
// to nvcc it exists on the device alone.
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

template <class T>
GV_BOTH inline T clamp(T v, T lo, T hi) {
  return v < lo ? lo : (v > hi ? hi : v);
}

inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

constexpr int kMaxSample = 1023;  // 10 bits inside

// One component of a frame with a margin on each side, so that motion compensation reads without tests.
struct Plane {
  int width = 0, height = 0, margin = 0, stride = 0;
  std::vector<uint16_t> data;

  Plane() = default;
  Plane(int w, int h, int m) : width(w), height(h), margin(m), stride(w + 2 * m) {
    data.assign(static_cast<size_t>(stride) * (h + 2 * m), 0);
  }
  uint16_t* row(int y) { return data.data() + static_cast<size_t>(y + margin) * stride + margin; }
  const uint16_t* row(int y) const { return data.data() + static_cast<size_t>(y + margin) * stride + margin; }

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
