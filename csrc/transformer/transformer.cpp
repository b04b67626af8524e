#include "transformer/transformer.hpp"

#include <algorithm>

#include "transformer/panels.hpp"

namespace gv::exact {

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
  check(count / kEach < kMostRows, "too many values");
  const Loops& form = loops();
  parallel(static_cast<int>((count + kEach - 1) / kEach), threads, [&](int i) {
    const size_t first = i * kEach;
    form.apply(function, x + first, static_cast<ptrdiff_t>(std::min(kEach, count - first)),
               out + first);
  });
}

}  // namespace gv::exact
