// Weights in panels, and loops over rows on several threads: shared by the parts of the transformer
// share.
#pragma once

#include "common/basics.hpp"
#include "common/lines.hpp"
#include "common/pool.hpp"
#include "transformer/float_mode.hpp"
#include "transformer/transformer.hpp"

namespace gv::exact {

using Floats = Lines<float>;

constexpr int kPackedRows = 128;  // from here on a copy of the weights in panels pays
constexpr int kRowsOfTask = 64;   // activations of a task stay in the cache

// Calls fn(i) for i in [0, count), in the processor's standard mode.
template <class Fn>
void parallel(int count, int threads, const Fn& fn) {
  parallel_for(count, threads, [&](int i) {
    const StandardFloats standard;
    fn(i);
  });
}

// Calls fn(first, count) for groups of at most `most` rows.
template <class Fn>
void parallel_rows(int rows, int most, int threads, const Fn& fn) {
  const int share = ceil_div(ceil_div(rows, std::max(threads, 1)), 8) * 8;
  const int each = clamp(share, 8, most);
  parallel(ceil_div(rows, each), threads, [&](int task) {
    const int first = task * each;
    fn(first, std::min(each, rows - first));
  });
}

inline void check_sizes(int rows, int width) {
  check(rows >= 0 && rows <= kMostRows, "too many rows");
  check(width >= 1 && width <= kMostWidth, "a width is out of range");
}

// A matrix [inputs, outputs] as `multiply` reads it: all panels copied, or only the last one where
// that is not whole.
class Panels {
 public:
  // `rows` will be multiplied by the matrix.
  Panels(const Loops& form, const float* weight, int inputs, int outputs, int rows, int threads);
  // The rows, bias, residual and place of `p` with all columns of the matrix.
  void multiply(Product p) const;

 private:
  const Loops& form_;
  const float* weight_;
  int inputs_, outputs_, first_copied_;
  Floats copies_;
};

// `rows` rows of `depth` values, for all columns of a matrix.
inline Product rows_of(const float* a, int depth, int rows, const float* bias, float* out,
                       int columns) {
  Product p;
  p.a = a, p.a_stride = depth, p.rows = rows;
  p.bias = bias;
  p.out = out, p.out_stride = columns;
  return p;
}

}  // namespace gv::exact
