#include "transformer/transformer.hpp"

#include <algorithm>
#include <cmath>

#include "transformer/panels.hpp"

namespace gv::exact {
namespace {

constexpr int kQueriesOfTask = 256;  // share a copy of keys and values
constexpr int kQueriesAtOnce = 8;

// Keys [keys, depth] as the matrix [depth, keys] in panels.
void pack_keys(const float* from, ptrdiff_t stride, int keys, int depth, int width, float* to) {
  for (int first = 0; first < keys; first += width) {
    const int count = std::min(width, keys - first);
    for (int k = 0; k < depth; ++k, to += width)
      for (int j = 0; j < count; ++j) to[j] = from[(first + j) * stride + k];
  }
}

// Values [keys, depth] in panels, limited, so that a weight of 0 hides any of them.
void pack_values(const Loops& form, const float* from, ptrdiff_t stride, int keys, int depth,
                 float* to) {
  const int width = form.panel_width;
  for (int first = 0; first < depth; first += width) {
    const int count = std::min(width, depth - first);
    for (int k = 0; k < keys; ++k, to += width) {
      std::copy_n(from + k * stride + first, count, to);
      form.apply(Function::kLimited, to, width, to);
    }
  }
}

}  // namespace

Panels::Panels(const Loops& form, const float* weight, int inputs, int outputs, int rows,
               int threads)
    : form_(form), weight_(weight), inputs_(inputs), outputs_(outputs) {
  const int width = form.panel_width;
  first_copied_ = rows >= kPackedRows ? 0 : outputs / width;
  const int copied = ceil_div(outputs, width) - first_copied_;
  const size_t size = static_cast<size_t>(inputs) * width;
  copies_.resize(size * copied);
  parallel_for(copied, size * copied < 1u << 16 ? 1 : threads, [&](int i) {
    const int column = (first_copied_ + i) * width, count = std::min(width, outputs - column);
    float* to = copies_.data() + size * i;
    for (int k = 0; k < inputs; ++k, to += width)
      std::copy_n(weight + static_cast<size_t>(k) * outputs + column, count, to);
  });
}

void Panels::multiply(Product p) const {
  const int width = form_.panel_width, split = first_copied_ * width;
  p.depth = inputs_;
  if (split > 0) {
    p.columns = split;
    p.b = weight_, p.b_stride = outputs_, p.panel_stride = width;
    form_.multiply(p);
  }
  if (split == outputs_) return;
  p.columns = outputs_ - split;
  p.b = copies_.data(), p.b_stride = width;
  p.panel_stride = static_cast<ptrdiff_t>(inputs_) * width;
  if (p.bias) p.bias += split;
  if (p.residual) p.residual += split;
  p.out += split;
  form_.multiply(p);
}

void linear(const float* x, int rows, int inputs, const float* weight, int outputs,
            const float* bias, int threads, float* out) {
  check_sizes(rows, inputs);
  check_sizes(rows, outputs);
  const Panels panels(loops(), weight, inputs, outputs, rows, threads);
  parallel_rows(rows, kRowsOfTask, threads, [&](int first, int count) {
    panels.multiply(rows_of(x + static_cast<size_t>(first) * inputs, inputs, count, bias,
                            out + static_cast<size_t>(first) * outputs, outputs));
  });
}

void layer_norm(const float* x, int rows, int width, const float* gain, const float* bias,
                float epsilon, int threads, float* out) {
  check_sizes(rows, width);
  const Loops& form = loops();
  parallel_rows(rows, 1024, threads, [&](int first, int count) {
    const size_t at = static_cast<size_t>(first) * width;
    form.layer_norm(x + at, count, width, gain, bias, epsilon, out + at);
  });
}

void apply(Function function, const float* x, size_t count, int threads, float* out) {
  constexpr size_t kEach = 1 << 14;
  check(count <= kEach << 24, "too many values");
  const Loops& form = loops();
  parallel(static_cast<int>((count + kEach - 1) / kEach), threads, [&](int i) {
    const size_t first = i * kEach;
    form.apply(function, x + first, static_cast<ptrdiff_t>(std::min(kEach, count - first)),
               out + first);
  });
}

namespace {

// Queries of one head, with its keys and values.
class Head {
 public:
  Head(const Loops& form, const Heads& key, const Heads& value, ptrdiff_t key_at,
       ptrdiff_t value_at, int keys, int depth)
      : form_(form), keys_(keys), depth_(depth), room_(ceil_div(keys, kMostPanelWidth)) {
    room_ *= kMostPanelWidth;
    const size_t width = static_cast<size_t>(form.panel_width);
    packed_keys_.resize(ceil_div(keys, form.panel_width) * width * depth);
    packed_values_.resize(ceil_div(depth, form.panel_width) * width * keys);
    scores_.resize(static_cast<size_t>(room_) * kQueriesAtOnce);
    pack_keys(key.data + key_at, key.row, keys, depth, form.panel_width, packed_keys_.data());
    pack_values(form, value.data + value_at, value.row, keys, depth, packed_values_.data());
    std::fill_n(scale_, kQueriesAtOnce, 1 / std::sqrt(static_cast<float>(depth)));
  }

  // Up to kQueriesAtOnce queries; `visible` of them, or null.
  void attend(const float* query, ptrdiff_t query_row, int rows, const int32_t* visible, float* out,
              ptrdiff_t out_row) {
    const int most = visible ? *std::max_element(visible, visible + rows) : keys_;
    Product p;
    p.a = query, p.a_stride = query_row;
    p.rows = rows, p.depth = depth_, p.columns = most;
    p.b = packed_keys_.data(), p.b_stride = form_.panel_width;
    p.panel_stride = static_cast<ptrdiff_t>(depth_) * form_.panel_width;
    p.factor = scale_;
    p.out = scores_.data(), p.out_stride = room_;
    form_.multiply(p);
    float factor[kQueriesAtOnce];
    for (int i = 0; i < rows; ++i)
      factor[i] = form_.softmax(scores_.data() + i * room_, visible ? visible[i] : keys_,
                                ceil_div(most, kSumLanes) * kSumLanes);
    p.a = scores_.data(), p.a_stride = room_;
    p.depth = most, p.columns = depth_;
    p.b = packed_values_.data();
    p.panel_stride = static_cast<ptrdiff_t>(keys_) * form_.panel_width;
    p.factor = factor;
    p.out = out, p.out_stride = out_row;
    form_.multiply(p);
  }

 private:
  const Loops& form_;
  int keys_, depth_;
  ptrdiff_t room_;  // of a row of scores
  float scale_[kQueriesAtOnce];
  Floats packed_keys_, packed_values_, scores_;
};

}  // namespace

void attention(const AttentionShape& shape, const Heads& query, const Heads& key,
               const Heads& value, const int32_t* visible, int threads, const Heads& to,
               float* out) {
  const auto [batch, heads, queries, keys, depth] = shape;
  check_sizes(queries, depth);
  check(batch >= 0 && heads >= 1 && keys >= 1 && keys <= kMostKeys, "a size is out of range");
  if (visible)
    check(std::all_of(visible, visible + queries, [&, most = keys](int v) {
      return v >= 1 && v <= most;
    }), "a query sees 1 to all keys");
  const int chunks = ceil_div(queries, kQueriesOfTask);
  check(static_cast<int64_t>(batch) * heads * chunks <= kMostRows, "too many rows");
  const Loops& form = loops();
  parallel(batch * heads * chunks, threads, [&, s = shape](int task) {
    const int b = task / chunks / s.heads, head = task / chunks % s.heads;
    const auto place = [&](const Heads& h) { return b * h.batch + head * h.head; };
    Head one(form, key, value, place(key), place(value), s.keys, s.depth);
    const int begin = task % chunks * kQueriesOfTask;
    const int last = std::min(s.queries, begin + kQueriesOfTask);
    for (int first = begin; first < last; first += kQueriesAtOnce)
      one.attend(query.data + place(query) + first * query.row, query.row,
                 std::min(kQueriesAtOnce, last - first), visible ? visible + first : nullptr,
                 out + place(to) + first * to.row, to.row);
  });
}

}  // namespace gv::exact
