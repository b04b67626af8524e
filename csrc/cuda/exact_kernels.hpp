// Kernels of the exact transformer, written for a group of threads as those of kernels.hpp. Each
// output is computed by one thread in the order of docs/spec/exact-arithmetic.md; functions.inl is
// the same text that the processor's loops use.
#pragma once

#include <cmath>
#include <cstring>

#include "common/basics.hpp"
#include "transformer/transformer.hpp"

namespace gv::cuda::exact {

using namespace gv::exact;

using V = float;
using U = uint32_t;

// nvcc fuses a product and a sum of plain operators; it leaves these alone.
#if defined(__CUDA_ARCH__)
GV_DEVICE inline float mul(float a, float b) { return __fmul_rn(a, b); }
GV_DEVICE inline float add(float a, float b) { return __fadd_rn(a, b); }
GV_DEVICE inline float sub(float a, float b) { return __fsub_rn(a, b); }
GV_DEVICE inline float div(float a, float b) { return __fdiv_rn(a, b); }
GV_DEVICE inline float root(float a) { return __fsqrt_rn(a); }
#else
GV_DEVICE inline float mul(float a, float b) { return a * b; }
GV_DEVICE inline float add(float a, float b) { return a + b; }
GV_DEVICE inline float sub(float a, float b) { return a - b; }
GV_DEVICE inline float div(float a, float b) { return a / b; }
GV_DEVICE inline float root(float a) { return std::sqrt(a); }
#endif
GV_DEVICE inline float all(float x) { return x; }
GV_DEVICE inline float pick(bool mask, float yes, float no) { return mask ? yes : no; }
GV_DEVICE inline uint32_t bits(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}
GV_DEVICE inline float from_bits(uint32_t u) {
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

#define GV_FUNCTION GV_DEVICE inline
#include "transformer/functions.inl"
#undef GV_FUNCTION

constexpr int kThreads = 128;

struct FunctionKernel {
  Function function;
  const float* x;
  float* out;
  size_t count;

  template <class Group>
  GV_DEVICE void operator()(const Group& group, int block, uint32_t*) const {
    group.each(kThreads, [&](int t) {
      const size_t i = static_cast<size_t>(block) * kThreads + t;
      if (i < count) out[i] = value(x[i]);
    });
  }

  GV_DEVICE float value(float v) const {
    switch (function) {
      case Function::kExp: return exponential(v);
      case Function::kLog: return logarithm(v);
      case Function::kSigmoid: return sigmoid(v);
      case Function::kGelu: return gelu(v);
      case Function::kSoftplus: return softplus(v);
      case Function::kLimited: break;
    }
    return limited(v);
  }
};

constexpr int kTileColumns = 64, kTileRows = 16, kRowsOfThread = 8;

// A tile of kTileRows rows and kTileColumns columns a block: neighbouring threads have neighbouring
// columns, and each reads a weight once for kRowsOfThread rows.
struct LinearKernel {
  const float *x, *weight, *bias, *residual;  // the last two may be null
  int rows, inputs, outputs;
  float* out;

  template <class Group>
  GV_DEVICE void operator()(const Group& group, int block, uint32_t*) const {
    const int across = (outputs + kTileColumns - 1) / kTileColumns;
    group.each(kTileColumns * kTileRows / kRowsOfThread, [&](int t) {
      const int column = block % across * kTileColumns + t % kTileColumns;
      const int first = block / across * kTileRows + t / kTileColumns * kRowsOfThread;
      if (column >= outputs) return;
      float sum[kRowsOfThread] = {};
      for (int k = 0; k < inputs; ++k) {
        const float w = weight[static_cast<size_t>(k) * outputs + column];
        for (int i = 0; i < kRowsOfThread; ++i) {
          const int row = first + i < rows ? first + i : rows - 1;
          sum[i] = add(sum[i], mul(x[static_cast<size_t>(row) * inputs + k], w));
        }
      }
      for (int i = 0; i < kRowsOfThread && first + i < rows; ++i) {
        const size_t at = static_cast<size_t>(first + i) * outputs + column;
        const float y = limited(bias ? add(sum[i], bias[column]) : sum[i]);
        out[at] = residual ? add(residual[at], y) : y;
      }
    });
  }
};

// sum16 of value(0) … value(count - 1) into lane[0]; all threads call it.
template <class Group, class Value>
GV_DEVICE void sum_lanes(const Group& group, float* lane, int count, const Value& value) {
  group.each(kSumLanes, [&](int j) {
    float sum = 0;
    for (int i = j; i < count; i += kSumLanes) sum = add(sum, value(i));
    lane[j] = sum;
  });
  group.one([&] {
    for (int half = kSumLanes / 2; half > 0; half /= 2)
      for (int j = 0; j < half; ++j) lane[j] = add(lane[j], lane[j + half]);
  });
}

// A row a block. Shared: kSumLanes + 1 floats.
struct NormKernel {
  const float *x, *gain, *bias;
  int width;
  float epsilon;
  float* out;

  template <class Group>
  GV_DEVICE void operator()(const Group& group, int block, uint32_t* shared) const {
    const float* from = x + static_cast<size_t>(block) * width;
    float* to = out + static_cast<size_t>(block) * width;
    float* const lane = reinterpret_cast<float*>(shared);
    float* const mean = lane + kSumLanes;
    const float count = static_cast<float>(width);
    sum_lanes(group, lane, width, [&](int i) { return from[i]; });
    group.one([&] { *mean = div(lane[0], count); });
    sum_lanes(group, lane, width, [&](int i) {
      const float c = sub(from[i], *mean);
      return mul(c, c);
    });
    group.each(width, [&](int i) {
      const float scale = div(1, root(add(div(lane[0], count), epsilon)));
      to[i] = limited(add(mul(mul(sub(from[i], *mean), scale), gain[i]), bias[i]));
    });
  }
};

// A query of a head a block. Shared: kSumLanes + 1 floats.
struct AttentionKernel {
  AttentionShape shape;
  Heads query, key, value, to;
  const int32_t* visible;  // or null
  float* scores;           // [blocks, keys]
  float* out;

  template <class Group>
  GV_DEVICE void operator()(const Group& group, int block, uint32_t* shared) const {
    const int i = block % shape.queries, h = block / shape.queries % shape.heads,
              b = block / shape.queries / shape.heads;
    const float* q = query.data + b * query.batch + h * query.head + i * query.row;
    const float* k = key.data + b * key.batch + h * key.head;
    const float* v = value.data + b * value.batch + h * value.head;
    float* const score = scores + static_cast<size_t>(block) * shape.keys;
    float* const lane = reinterpret_cast<float*>(shared);
    float* const largest = lane + kSumLanes;
    const int seen = visible ? visible[i] : shape.keys;
    group.each(seen, [&](int j) {
      float sum = 0;
      for (int d = 0; d < shape.depth; ++d) sum = add(sum, mul(q[d], k[j * key.row + d]));
      score[j] = limited(mul(sum, div(1, root(static_cast<float>(shape.depth)))));
    });
    group.one([&] {
      *largest = score[0];
      for (int j = 1; j < seen; ++j) *largest = pick(score[j] > *largest, score[j], *largest);
    });
    group.each(seen, [&](int j) { score[j] = exponential(sub(score[j], *largest)); });
    sum_lanes(group, lane, seen, [&](int j) { return score[j]; });
    group.each(shape.depth, [&](int d) {
      float sum = 0;
      for (int j = 0; j < seen; ++j) sum = add(sum, mul(score[j], limited(v[j * value.row + d])));
      out[b * to.batch + h * to.head + i * to.row + d] = limited(mul(sum, div(1, lane[0])));
    });
  }
};

}  // namespace gv::cuda::exact
