// The loops of forms.hpp for one set of instructions. Included by forms.cpp once for each, inside a
// namespace, with GV_FLOATS: floats of a vector, GV_ACROSS: vectors of a panel's width, GV_DOWN:
// rows of a tile of whole panels.

constexpr int kFloats = GV_FLOATS, kPanelWidth = GV_ACROSS * kFloats;

#if GV_FLOATS > 1
typedef float V __attribute__((vector_size(4 * GV_FLOATS)));
typedef uint32_t U __attribute__((vector_size(4 * GV_FLOATS)));
GV_INLINE V all(float x) { return x - V{}; }
GV_INLINE U bits(V x) { return (U)x; }
GV_INLINE V from_bits(U x) { return (V)x; }
template <class Mask>
GV_INLINE V pick(Mask mask, V yes, V no) {
  return mask ? yes : no;
}
#else
using V = float;
using U = uint32_t;
GV_INLINE V all(float x) { return x; }
GV_INLINE U bits(V x) {
  U u;
  std::memcpy(&u, &x, sizeof u);
  return u;
}
GV_INLINE V from_bits(U u) {
  V x;
  std::memcpy(&x, &u, sizeof x);
  return x;
}
GV_INLINE V pick(bool mask, V yes, V no) { return mask ? yes : no; }
#endif
GV_INLINE V mul(V a, V b) { return a * b; }
GV_INLINE V add(V a, V b) { return a + b; }
GV_INLINE V sub(V a, V b) { return a - b; }
GV_INLINE V div(V a, V b) { return a / b; }
GV_INLINE V load(const float* p) {
  V x;
  std::memcpy(&x, p, sizeof x);
  return x;
}
GV_INLINE void store(float* p, V x) { std::memcpy(p, &x, sizeof x); }
// The first `count` of a vector's floats; zeros follow.
GV_INLINE V load_some(const float* p, int count) {
  float x[kFloats] = {};
  for (int i = 0; i < count; ++i) x[i] = p[i];
  return load(x);
}
GV_INLINE void store_some(float* p, V v, int count) {
  float x[kFloats];
  store(x, v);
  for (int i = 0; i < count; ++i) p[i] = x[i];
}

#define GV_FUNCTION GV_INLINE
#include "transformer/functions.inl"
#undef GV_FUNCTION

// A product's kDown rows from `row` on, kAcross vectors from `column` on. The sums stay in
// registers.
template <int kDown, int kAcross>
GV_INLINE void multiply_tile(const Product& p, const float* b, int row, int column) {
  V sum[kDown][kAcross];
  GV_UNROLL
  for (int i = 0; i < kDown; ++i)
    GV_UNROLL
  for (int j = 0; j < kAcross; ++j) sum[i][j] = V{};
  const float* a = p.a + row * p.a_stride;
  for (int k = 0; k < p.depth; ++k, b += p.b_stride) {
    V weight[kAcross];
    GV_UNROLL
    for (int j = 0; j < kAcross; ++j) weight[j] = load(b + j * kFloats);
    GV_UNROLL
    for (int i = 0; i < kDown; ++i) {
      const V x = all(a[i * p.a_stride + k]);
      GV_UNROLL
      for (int j = 0; j < kAcross; ++j) sum[i][j] = add(sum[i][j], mul(x, weight[j]));
    }
  }
  GV_UNROLL
  for (int i = 0; i < kDown; ++i)
    GV_UNROLL
  for (int j = 0; j < kAcross; ++j) {
    const int first = column + j * kFloats;
    if (first >= p.columns) break;
    const bool whole = first + kFloats <= p.columns;
    const int count = whole ? kFloats : p.columns - first;
    const auto read = [&](const float* from) {
      return whole ? load(from) : load_some(from, count);
    };
    V y = sum[i][j];
    if (p.factor) y = mul(y, all(p.factor[row + i]));
    if (p.bias) y = add(y, read(p.bias + first));
    y = limited(y);
    if (p.residual) y = add(read(p.residual + (row + i) * p.residual_stride + first), y);
    float* out = p.out + (row + i) * p.out_stride + first;
    if (whole) store(out, y);
    else store_some(out, y, count);
  }
}

template <int kDown, int kAcross>
GV_INLINE void multiply_columns(const Product& p, const float* b, int column) {
  int row = 0;
  for (; row + kDown <= p.rows; row += kDown) multiply_tile<kDown, kAcross>(p, b, row, column);
  if constexpr (kDown > 4)
    for (; row + 4 <= p.rows; row += 4) multiply_tile<4, kAcross>(p, b, row, column);
  if constexpr (kDown > 2)
    for (; row + 2 <= p.rows; row += 2) multiply_tile<2, kAcross>(p, b, row, column);
  for (; row < p.rows; ++row) multiply_tile<1, kAcross>(p, b, row, column);
}

void multiply(const Product& p) {
  const float* b = p.b;
  for (int column = 0; column < p.columns; column += kPanelWidth, b += p.panel_stride) {
    const int across = (p.columns - column + kFloats - 1) / kFloats;
    if (across == 1) multiply_columns<8, 1>(p, b, column);
    else if (GV_ACROSS > 2 && across == 2) multiply_columns<8, 2>(p, b, column);
    else multiply_columns<GV_DOWN, GV_ACROSS>(p, b, column);
  }
}

template <class Fn>
GV_INLINE void apply_each(const float* x, ptrdiff_t count, float* out, const Fn& fn) {
  ptrdiff_t i = 0;
  for (; i + kFloats <= count; i += kFloats) store(out + i, fn(load(x + i)));
  if (i < count) {
    const int rest = static_cast<int>(count - i);
    store_some(out + i, fn(load_some(x + i, rest)), rest);
  }
}

void apply(Function function, const float* x, ptrdiff_t count, float* out) {
  switch (function) {
    case Function::kExp: return apply_each(x, count, out, [&](V v) { return exponential(v); });
    case Function::kLog: return apply_each(x, count, out, [&](V v) { return logarithm(v); });
    case Function::kSigmoid: return apply_each(x, count, out, [&](V v) { return sigmoid(v); });
    case Function::kGelu: return apply_each(x, count, out, [&](V v) { return gelu(v); });
    case Function::kSoftplus: return apply_each(x, count, out, [&](V v) { return softplus(v); });
    case Function::kLimited: return apply_each(x, count, out, [&](V v) { return limited(v); });
  }
}

// Sum of `count` values of fn(value): lane i of 16 takes values i, i + 16, ... in order, and the
// lanes are added in halves.
template <class Fn>
GV_INLINE float sum_lanes(const float* x, int count, const Fn& fn) {
  constexpr int kVectors = kSumLanes / kFloats;
  V sum[kVectors];
  for (int j = 0; j < kVectors; ++j) sum[j] = V{};
  int i = 0;
  for (; i + kSumLanes <= count; i += kSumLanes)
    GV_UNROLL
  for (int j = 0; j < kVectors; ++j) sum[j] = add(sum[j], fn(load(x + i + j * kFloats)));
  float rest[kSumLanes] = {}, lane[kSumLanes];
  for (int j = 0; i + j < count; ++j) rest[j] = x[i + j];
  for (int j = 0; j < kVectors; ++j)
    store(lane + j * kFloats, i < count ? add(sum[j], fn(load(rest + j * kFloats))) : sum[j]);
  for (int half = kSumLanes / 2; half > 0; half /= 2)
    for (int j = 0; j < half; ++j) lane[j] = lane[j] + lane[j + half];
  return lane[0];
}

void layer_norm(const float* x, ptrdiff_t rows, int width, const float* gain, const float* bias,
                float epsilon, float* out) {
  const float count = static_cast<float>(width);
  for (ptrdiff_t row = 0; row < rows; ++row, x += width, out += width) {
    const float mean = sum_lanes(x, width, [&](V v) { return v; }) / count;
    apply_each(x, width, out, [&](V v) { return sub(v, all(mean)); });
    const float variance = sum_lanes(out, width, [&](V v) { return mul(v, v); }) / count;
    const float scale = 1 / std::sqrt(variance + epsilon);
    const auto scaled = [&](V centred, V g, V b) {
      return limited(add(mul(mul(centred, all(scale)), g), b));
    };
    int i = 0;
    for (; i + kFloats <= width; i += kFloats)
      store(out + i, scaled(load(out + i), load(gain + i), load(bias + i)));
    if (i < width) {
      const int rest = width - i;
      const V last = scaled(load_some(out + i, rest), load_some(gain + i, rest),
                            load_some(bias + i, rest));
      store_some(out + i, last, rest);
    }
  }
}

float softmax(float* scores, int visible, int end) {
  float lane[kFloats], largest = scores[0];
  V most = all(largest);
  int i = 0;
  for (; i + kFloats <= visible; i += kFloats) {
    const V score = load(scores + i);
    most = pick(score > most, score, most);
  }
  store(lane, most);
  for (const float score : lane) largest = score > largest ? score : largest;
  for (; i < visible; ++i) largest = scores[i] > largest ? scores[i] : largest;
  for (i = 0; i < visible; i += kFloats)
    store(scores + i, exponential(sub(load(scores + i), all(largest))));
  for (i = visible; i < end; ++i) scores[i] = 0;
  return 1 / sum_lanes(scores, visible, [&](V v) { return v; });
}

constexpr Loops kLoops = {kPanelWidth, multiply, apply, layer_norm, softmax};
