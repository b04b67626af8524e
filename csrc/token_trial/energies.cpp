#include "token_trial/energies.hpp"

#include <cmath>

namespace gv {

namespace {

constexpr int kCut = 1023;  // of bands, in quarter codes

// A plane whose values are whole numbers: int32_t, or double where they need more bits.
template <class T>
struct Whole {
  int width, height;
  std::vector<T> v;

  Whole(int w, int h) : width(w), height(h), v(static_cast<size_t>(w) * h) {}
  T* row(int y) { return v.data() + static_cast<size_t>(y) * width; }
  const T* row(int y) const {
    return v.data() + static_cast<size_t>(gv::clamp(y, 0, height - 1)) * width;
  }
};

// Filters of rows, [1 4 6 4 1] and [-1 0 1]; and squares of scale · a - b, cut to ±limit.
#define GV_ROWS(T, name)                                                                   \
  GV_SIMD(void, smooth_##name,                                                             \
          (const T* a, const T* b, const T* c, const T* d, const T* e, int count, T* out), \
          (a, b, c, d, e, count, out)) {                                                   \
    for (int i = 0; i < count; ++i) out[i] = (a[i] + e[i]) + 4 * (b[i] + d[i]) + 6 * c[i]; \
  }                                                                                        \
  GV_SIMD(void, subtract_##name, (const T* a, const T* b, int count, T* out),              \
          (a, b, count, out)) {                                                            \
    for (int i = 0; i < count; ++i) out[i] = a[i] - b[i];                                  \
  }                                                                                        \
  GV_SIMD(void, square_##name,                                                             \
          (const T* a, T factor, const T* b, T limit, int count, double* out),             \
          (a, factor, b, limit, count, out)) {                                             \
    for (int i = 0; i < count; ++i) {                                                      \
      const T value = factor * a[i] - b[i];                                                \
      const T cut = value < -limit ? -limit : value > limit ? limit : value;               \
      out[i] = static_cast<double>(cut) * static_cast<double>(cut);                        \
    }                                                                                      \
  }

GV_ROWS(int32_t, whole)
GV_ROWS(double, real)
#undef GV_ROWS

void smooth(const int32_t* const* r, int n, int32_t* out) {
  smooth_whole(r[0], r[1], r[2], r[3], r[4], n, out);
}
void smooth(const double* const* r, int n, double* out) {
  smooth_real(r[0], r[1], r[2], r[3], r[4], n, out);
}
void subtract(const int32_t* a, const int32_t* b, int n, int32_t* out) {
  subtract_whole(a, b, n, out);
}
void subtract(const double* a, const double* b, int n, double* out) { subtract_real(a, b, n, out); }
void square(const int32_t* a, int32_t f, const int32_t* b, int32_t limit, int n, double* out) {
  square_whole(a, f, b, limit, n, out);
}
void square(const double* a, double f, const double* b, double limit, int n, double* out) {
  square_real(a, f, b, limit, n, out);
}

// A row with edges repeated, `margin` on both sides.
template <class T>
class Framed {
 public:
  Framed(int width, int margin) : width_(width), margin_(margin), v_(width + 2 * margin) {}
  T* values() { return v_.data() + margin_; }
  void extend() {
    T* v = values();
    std::fill(v - margin_, v, v[0]);
    std::fill(v + width_, v + width_ + margin_, v[width_ - 1]);
  }

 private:
  int width_, margin_;
  std::vector<T> v_;
};

// Mean squares of N, P and Q in quarter codes over squares of `side` samples, (3, height / side,
// width / side). `units`: the unit of each band, as divisors; `limits` cut the bands.
// `quarter`: the factor of x for N. `low` (or null): x blurred, 256 times as large.
template <class T>
void measure_bands(const Whole<T>& x, int step, int side, const double* units, T quarter,
                   const T* limits, Whole<T>* low, std::vector<double>& out) {
  const int width = x.width, columns = width / side, rows = x.height / side;
  Framed<T> down(width, 2 * step), plain(width, 2 * step), turn(width, step);
  std::vector<T> along(static_cast<size_t>(width)), both(along), turned(along);
  const std::vector<T> nothing(static_cast<size_t>(width));
  std::vector<double> squares(static_cast<size_t>(width));
  const size_t plane = static_cast<size_t>(columns) * rows;
  out.assign(3 * plane, 0.0);
  const auto add = [&](size_t band, int y) {
    double* sums = out.data() + band * plane + static_cast<size_t>(y / side) * columns;
    for (int c = 0; c < columns; ++c) {
      double sum = 0;
      for (int i = 0; i < side; ++i) sum += squares[static_cast<size_t>(c) * side + i];
      sums[c] += sum;
    }
  };
  for (int y = 0; y < rows * side; ++y) {
    const T* near[5];
    for (int n = 0; n < 5; ++n) near[n] = x.row(y + (n - 2) * step);
    smooth(near, width, down.values());
    std::copy_n(near[2], width, plain.values());
    subtract(near[3], near[1], width, turn.values());
    down.extend(), plain.extend(), turn.extend();
    const auto across = [&](T* v, T* to) {
      const T* const taps[5] = {v - 2 * step, v - step, v, v + step, v + 2 * step};
      smooth(taps, width, to);
    };
    across(down.values(), both.data());
    across(plain.values(), along.data());
    subtract(turn.values() + step, turn.values() - step, width, turned.data());
    square(near[2], quarter, both.data(), limits[0], width, squares.data()), add(0, y);
    square(down.values(), T(1), along.data(), limits[1], width, squares.data()), add(1, y);
    square(turned.data(), T(1), nothing.data(), limits[2], width, squares.data()), add(2, y);
    if (low) std::copy(both.begin(), both.end(), low->row(y));
  }
  for (size_t band = 0; band < 3; ++band)
    for (size_t i = 0; i < plane; ++i)
      out[band * plane + i] /= units[band] * units[band] * side * side;
}

// [1 3 3 1] both ways at half size.
Whole<int32_t> decimate(const Whole<int32_t>& x) {
  Whole<int32_t> out(x.width / 2, x.height / 2);
  Framed<int32_t> down(x.width, 2);
  for (int y = 0; y < out.height; ++y) {
    const int32_t* r[4];
    for (int n = 0; n < 4; ++n) r[n] = x.row(2 * y + n - 1);
    int32_t* v = down.values();
    for (int i = 0; i < x.width; ++i) v[i] = r[0][i] + 3 * (r[1][i] + r[2][i]) + r[3][i];
    down.extend();
    int32_t* to = out.row(y);
    for (int i = 0; i < out.width; ++i)
      to[i] = v[2 * i - 1] + 3 * (v[2 * i] + v[2 * i + 1]) + v[2 * i + 2];
  }
  return out;
}

// Of a positive number, by divisions and products alone: the same on every machine.
double log2_of(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // .5 … 1
  if (m < 0.70710678118654752) m *= 2, --exponent;
  // ln m = 2 artanh t.
  const double t = (m - 1) / (m + 1), square = t * t;
  double series = 0;
  for (int n = 21; n >= 1; n -= 2) series = series * square + 1.0 / n;
  return exponent + 2 * t * series * 1.4426950408889634;
}

}  // namespace

std::vector<float> band_energies(const uint16_t* luma, int width, int height) {
  check(width > 0 && height > 0 && width % kEnergyPatch == 0 && height % kEnergyPatch == 0,
        "sides are multiples of 16");
  Whole<int32_t> x(width, height);
  for (size_t i = 0; i < x.v.size(); ++i) x.v[i] = std::min<int>(luma[i], kMaxSample);
  // Units of bands in quarter codes; the decimated plane is 16 times as large, the blurred one 256
  // times as large again.
  std::vector<double> scales[3];
  const double fine[3] = {64, 4, 1}, second[3] = {4096, 256, 64},
               third[3] = {4096 * 256.0, 256 * 256.0, 64 * 256.0};
  const int32_t fine_limits[3] = {64 * kCut, 4 * kCut, kCut},
                second_limits[3] = {4096 * kCut, 256 * kCut, 64 * kCut};
  const double third_limits[3] = {third[0] * kCut, third[1] * kCut, third[2] * kCut};
  measure_bands<int32_t>(x, 1, kEnergyPatch, fine, 256, fine_limits, nullptr, scales[0]);
  const Whole<int32_t> half = decimate(x);
  Whole<int32_t> low(half.width, half.height);
  measure_bands<int32_t>(half, 1, kEnergyPatch / 2, second, 256, second_limits, &low, scales[1]);
  Whole<double> real(low.width, low.height);
  std::copy(low.v.begin(), low.v.end(), real.v.begin());
  measure_bands<double>(real, 2, kEnergyPatch / 2, third, 256.0, third_limits, nullptr, scales[2]);
  std::vector<float> logs;
  for (const std::vector<double>& scale : scales)
    for (const double energy : scale) logs.push_back(static_cast<float>(log2_of(energy + 4) / 8));
  return logs;
}

std::vector<int32_t> block_changes(const uint16_t* now, const uint16_t* before, int width,
                                   int height, const int16_t* vectors, int vectors_width) {
  constexpr int kSide = 16;
  const int columns = width / kSide, rows = height / kSide;
  std::vector<int32_t> sums(static_cast<size_t>(columns) * rows);
  for (int by = 0; by < rows; ++by)
    for (int bx = 0; bx < columns; ++bx) {
      const int16_t* vector = vectors + 2 * (static_cast<ptrdiff_t>(by) * vectors_width + bx);
      const int left = bx * kSide + vector[1];
      const bool inside = left >= 0 && left + kSide <= width;
      int32_t sum = 0;
      for (int y = by * kSide; y < (by + 1) * kSide; ++y) {
        const uint16_t* a = now + static_cast<size_t>(y) * width + bx * kSide;
        const int row = clamp(y + vector[0], 0, height - 1);
        const uint16_t* b = before + static_cast<size_t>(row) * width;
        if (inside)
          for (int x = 0; x < kSide; ++x) sum += std::abs(a[x] - b[left + x]);
        else
          for (int x = 0; x < kSide; ++x) sum += std::abs(a[x] - b[clamp(left + x, 0, width - 1)]);
      }
      sums[static_cast<size_t>(by) * columns + bx] = sum;
    }
  return sums;
}

}  // namespace gv
