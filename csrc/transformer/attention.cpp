#include <algorithm>
#include <cmath>

#include "transformer/panels.hpp"

namespace gv::exact {
namespace {

constexpr int kQueriesOfTask = 256;  // share a copy of keys and values
constexpr int kQueriesAtOnce = 8;

// A matrix as `multiply` reads it.
struct Operand {
  const float* data;
  ptrdiff_t stride, panel_stride;
  void give(Product& p) const { p.b = data, p.b_stride = stride, p.panel_stride = panel_stride; }
};

// One head after the other, with its keys and values.
class HeadAttention {
 public:
  // `copies_keys`, `copies_values`: they do not lie as `multiply` reads them.
  HeadAttention(const Loops& form, const AttentionShape& shape, bool copies_keys,
                bool copies_values)
      : form_(form),
        keys_(shape.keys),
        depth_(shape.depth),
        room_(static_cast<ptrdiff_t>(ceil_div(keys_, kMostPanelWidth)) * kMostPanelWidth) {
    const int width = form.panel_width;
    if (copies_keys)
      key_copy_.resize(static_cast<size_t>(ceil_div(keys_, width)) * width * depth_);
    if (copies_values)
      value_copy_.resize(static_cast<size_t>(ceil_div(depth_, width)) * width * keys_);
    scores_.resize(static_cast<size_t>(room_) * kQueriesAtOnce);
    std::fill_n(scale_, kQueriesAtOnce, 1 / std::sqrt(static_cast<float>(depth_)));
  }

  void take_keys(const float* from, const Heads& key) {
    const int width = form_.panel_width;
    key_operand_ = {from, key.column, width};
    if (key_copy_.empty()) return;
    key_operand_ = {key_copy_.data(), width, static_cast<ptrdiff_t>(depth_) * width};
    float* to = key_copy_.data();
    for (int first = 0; first < keys_; first += width)
      for (int k = 0; k < depth_; ++k, to += width)
        for (int j = 0; j < std::min(width, keys_ - first); ++j)
          to[j] = from[(first + j) * key.row + k * key.column];
  }

  // Copies are limited, so that a weight of 0 hides any value.
  void take_values(const float* from, const Heads& value) {
    const int width = form_.panel_width;
    value_operand_ = {from, value.row, width};
    if (value_copy_.empty()) return;
    value_operand_ = {value_copy_.data(), width, static_cast<ptrdiff_t>(keys_) * width};
    float* to = value_copy_.data();
    for (int first = 0; first < depth_; first += width)
      for (int j = 0; j < keys_; ++j, to += width)
        std::copy_n(from + j * value.row + first, std::min(width, depth_ - first), to);
    form_.apply(Function::kLimited, value_copy_.data(),
                static_cast<ptrdiff_t>(value_copy_.size()), value_copy_.data());
  }

  // Up to kQueriesAtOnce queries, and how many keys each sees (null: all).
  void attend(const float* query, ptrdiff_t query_row, int rows, const int32_t* visible, float* out,
              ptrdiff_t out_row) {
    const int most = visible ? *std::max_element(visible, visible + rows) : keys_;
    Product p;
    p.a = query, p.a_stride = query_row;
    p.rows = rows, p.depth = depth_, p.columns = most;
    key_operand_.give(p);
    p.factor = scale_;
    p.out = scores_.data(), p.out_stride = room_;
    form_.multiply(p);
    const int end = ceil_div(most, kSumLanes) * kSumLanes;
    float factor[kQueriesAtOnce];
    for (int i = 0; i < rows; ++i)
      factor[i] = form_.softmax(scores_.data() + i * room_, visible ? visible[i] : keys_, end);
    p.a = scores_.data(), p.a_stride = room_;
    p.depth = most, p.columns = depth_;
    value_operand_.give(p);
    p.factor = factor;
    p.out = out, p.out_stride = out_row;
    form_.multiply(p);
  }

 private:
  const Loops& form_;
  int keys_, depth_;
  ptrdiff_t room_;  // of a row of scores
  float scale_[kQueriesAtOnce];
  Floats key_copy_, value_copy_, scores_;
  Operand key_operand_{}, value_operand_{};
};

}  // namespace

void attention(const AttentionShape& shape, const Heads& query, const Heads& key,
               const Heads& value, bool limited, const int32_t* visible, int threads,
               const Heads& to, float* out) {
  const int queries = shape.queries, keys = shape.keys;
  check_sizes(queries, shape.depth);
  check(shape.batch >= 0 && shape.heads >= 1 && keys >= 1 && keys <= kMostKeys,
        "a size is out of range");
  if (visible)
    check(std::all_of(visible, visible + queries, [&](int v) { return v >= 1 && v <= keys; }),
          "a query sees 1 to all keys");
  const int chunks = ceil_div(queries, kQueriesOfTask);
  check(static_cast<int64_t>(shape.batch) * shape.heads * chunks <= kMostRows, "too many rows");
  const int parts = shape.batch * shape.heads * chunks;  // heads, a chunk of queries each
  const int tasks = std::min(parts, threads > 1 ? 4 * threads : 1);
  const Loops& form = loops();
  const bool copies_keys = key.column == 1, copies_values = !limited || queries > kQueriesAtOnce;

  parallel(tasks, threads, [&](int task) {
    HeadAttention head(form, shape, copies_keys, copies_values);
    const auto begin = [&](int t) { return static_cast<int>(int64_t{parts} * t / tasks); };
    for (int part = begin(task); part < begin(task + 1); ++part) {
      const int b = part / chunks / shape.heads, h = part / chunks % shape.heads;
      const auto place = [&](const Heads& x) { return b * x.batch + h * x.head; };
      head.take_keys(key.data + place(key), key);
      head.take_values(value.data + place(value), value);
      const int last = std::min(queries, (part % chunks + 1) * kQueriesOfTask);
      for (int i = part % chunks * kQueriesOfTask; i < last; i += kQueriesAtOnce)
        head.attend(query.data + place(query) + i * query.row, query.row,
                    std::min(kQueriesAtOnce, last - i), visible ? visible + i : nullptr,
                    out + place(to) + i * to.row, to.row);
    }
  });
}

}  // namespace gv::exact
