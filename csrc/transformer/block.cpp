#include <algorithm>

#include "transformer/panels.hpp"

namespace gv::exact {
namespace {

void check_block(int batch, int length, const BlockWeights& w, const BlockContext* context,
                 const BlockCache* cache) {
  check(!context || !cache, "a context or a cache");
  if (context)
    check(context->positions >= 0 && context->positions <= kMostKeys - length,
          "a context is out of range");
  check(batch >= 0 && length >= 1 && static_cast<int64_t>(batch) * length <= kMostRows,
        "too many rows");
  check(w.width >= 1 && w.width <= kMostWidth / 4 && w.hidden >= 1 && w.hidden <= kMostWidth,
        "a width is out of range");
  check(w.heads >= 1 && w.width % w.heads == 0, "the width is a multiple of the heads");
}

// Keys and values of a context, followed by the rows' own: [batch, positions + length, 2 D].
Floats join(const BlockContext& context, const float* qkv, int batch, int length, int width) {
  const size_t row = 2 * static_cast<size_t>(width), before = context.positions * row;
  Floats joined(batch * (before + length * row) + kMostPanelWidth);
  float* to = joined.data();
  for (int b = 0; b < batch; ++b) {
    to = std::copy_n(context.key_value + b * before, before, to);
    for (int i = 0; i < length; ++i, qkv += 3 * width) to = std::copy_n(qkv + width, row, to);
  }
  return joined;
}

}  // namespace

void remember(const BlockCache& cache, const float* key_value, ptrdiff_t stride, int batch,
              int length, int width) {
  check(cache.start >= 0 && cache.capacity <= kMostKeys && cache.capacity % kMostPanelWidth == 0 &&
            length >= 0 && cache.start <= cache.capacity - length,
        "no room in the cache");
  const size_t capacity = static_cast<size_t>(cache.capacity);
  for (int b = 0; b < batch; ++b)
    for (int i = 0; i < length; ++i, key_value += stride) {
      const size_t position = static_cast<size_t>(cache.start) + i;
      float* key = cache.keys + b * width * capacity + position;
      for (int k = 0; k < width; ++k) key[k * capacity] = key_value[k];
      std::copy_n(key_value + width, width, cache.values + (b * capacity + position) * width);
    }
}

void block(const float* x, int batch, int length, const BlockWeights& w, const int32_t* visible,
           const BlockContext* context, const BlockCache* cache, int threads, float* out) {
  check_block(batch, length, w, context, cache);
  const Loops& form = loops();
  const int rows = batch * length, D = w.width, H = w.hidden;
  const auto at = [](int row, int width) { return static_cast<size_t>(row) * width; };

  Floats qkv(at(rows, 3 * D) + kMostPanelWidth);  // [batch, length, 3 D]
  {
    const Panels in(form, w.qkv, D, 3 * D, rows, threads);
    parallel_rows(rows, kRowsOfTask, threads, [&](int first, int count) {
      Floats norm(at(count, D));
      form.layer_norm(x + at(first, D), count, D, w.attention_gain, w.attention_bias, kEpsilon,
                      norm.data());
      in.multiply(rows_of(norm.data(), D, count, w.qkv_bias, qkv.data() + at(first, 3 * D), 3 * D));
    });
  }

  Floats mixed(at(rows, D));  // [batch, length, D]
  {
    const int depth = D / w.heads;
    const ptrdiff_t row = 3 * D, all = row * length;
    AttentionShape shape{batch, w.heads, length, length, depth};
    Heads query{qkv.data(), all, depth, row}, key{qkv.data() + D, all, depth, row},
        value{qkv.data() + 2 * D, all, depth, row};
    Floats joined;
    if (context) {
      joined = join(*context, qkv.data(), batch, length, D);
      shape.keys = context->positions + length;
      const ptrdiff_t item = static_cast<ptrdiff_t>(shape.keys) * 2 * D;
      key = {joined.data(), item, depth, 2 * D};
      value = {joined.data() + D, item, depth, 2 * D};
    }
    if (cache) {
      remember(*cache, qkv.data() + D, row, batch, length, D);
      shape.keys = cache->start + length;
      const ptrdiff_t capacity = cache->capacity;
      key = {cache->keys, D * capacity, depth * capacity, 1, capacity};
      value = {cache->values, D * capacity, depth, D};
    }
    const Heads to{nullptr, static_cast<ptrdiff_t>(at(length, D)), depth, D};
    attention(shape, query, key, value, true, visible, threads, to, mixed.data());
  }

  const Panels project(form, w.out, D, D, rows, threads), up(form, w.up, D, H, rows, threads),
      down(form, w.down, H, D, rows, threads);
  parallel_rows(rows, kRowsOfTask, threads, [&](int first, int count) {
    Floats norm(at(count, D)), hidden(at(count, H));
    float* y = out + at(first, D);
    Product p = rows_of(mixed.data() + at(first, D), D, count, w.out_bias, y, D);
    p.residual = x + at(first, D), p.residual_stride = D;
    project.multiply(p);
    form.layer_norm(y, count, D, w.mlp_gain, w.mlp_bias, kEpsilon, norm.data());
    up.multiply(rows_of(norm.data(), D, count, w.up_bias, hidden.data(), H));
    form.apply(Function::kGelu, hidden.data(), static_cast<ptrdiff_t>(hidden.size()),
               hidden.data());
    p = rows_of(hidden.data(), H, count, w.down_bias, y, D);
    p.residual = y, p.residual_stride = D;
    down.multiply(p);
  });
}

}  // namespace gv::exact
