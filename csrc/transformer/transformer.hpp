// Transformer inference in float32 with the same bits on every machine
// (docs/spec/exact-arithmetic.md).
//
// Arrays are float32, row after row, and do not overlap. Results do not depend on `threads`, on the
// form of the loops (`cpu`) or on how rows are grouped. All calls throw std::invalid_argument for
// sizes that do not fit together and std::bad_alloc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "transformer/forms.hpp"

namespace gv::exact {

constexpr int kMostWidth = 1 << 16;   // columns of a matrix
constexpr int kMostRows = 1 << 28;
constexpr int kMostKeys = 1 << 20;

// out[rows, outputs] = x[rows, inputs] * weight[inputs, outputs] + bias (null: none).
void linear(const float* x, int rows, int inputs, const float* weight, int outputs,
            const float* bias, int threads, float* out);

// Rows of mean 0 and variance 1, times gain, plus bias: out[rows, width].
void layer_norm(const float* x, int rows, int width, const float* gain, const float* bias,
                float epsilon, int threads, float* out);

void apply(Function function, const float* x, size_t count, int threads, float* out);

// [batch, heads, rows, depth]: the distance of neighbours along each axis, in floats.
struct Heads {
  const float* data;
  ptrdiff_t batch, head, row;
  ptrdiff_t column = 1;
};

struct AttentionShape {
  int batch, heads, queries, keys, depth;
};

// Query i sees the first visible[i] keys (null: all), 1 to `keys`. Keys whose column distance is
// not 1 have row = 1, and whole panels of them are readable. `limited`: values come from a
// `linear`, and kMostPanelWidth floats after them are readable. `out` is laid out by `to`, whose
// data is not read.
void attention(const AttentionShape& shape, const Heads& query, const Heads& key,
               const Heads& value, bool limited, const int32_t* visible, int threads,
               const Heads& to, float* out);

// A pre-norm transformer block. D width, H hidden.
struct BlockWeights {
  int width, hidden, heads;
  const float *attention_gain, *attention_bias;  // [D]
  const float *qkv, *qkv_bias;                   // [D, 3D], [3D]: query, key, value by heads
  const float *out, *out_bias;                   // [D, D], [D]
  const float *mlp_gain, *mlp_bias;              // [D]
  const float *up, *up_bias;                     // [D, H], [H]
  const float *down, *down_bias;                 // [H, D], [D]
};

// Keys [batch, D, capacity] and values [batch, capacity, D] of the positions before `start`, with
// kMostPanelWidth floats more after the values; `capacity` is a multiple of that. The keys and
// values of a block's rows are written to `start` and after.
struct BlockCache {
  float *keys, *values;
  int capacity, start;
};

// Keys and values [batch, positions, 2 D] that a block's rows see before their own.
struct BlockContext {
  const float* key_value;
  int positions;
};

// Copies keys and values into the cache, from `start` on; rows of `length` positions lie `stride`
// floats apart.
void remember(const BlockCache& cache, const float* key_value, ptrdiff_t stride, int batch,
              int length, int width);

// out[batch, length, D] = y + down(gelu(up(norm(y)))), y = x + out(attention(norm(x))). With a
// context or a cache (one of them, or null) the queries see its positions first, and visible[i]
// counts them.
void block(const float* x, int batch, int length, const BlockWeights& w, const int32_t* visible,
           const BlockContext* context, const BlockCache* cache, int threads, float* out);

}  // namespace gv::exact
