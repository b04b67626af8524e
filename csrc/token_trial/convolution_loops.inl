// The loops of `convolution_forms.hpp` with the operations of `painter/lanes.inl`; included by
// `convolution_forms.cpp` once for each form.
#include "painter/lanes.inl"

// [d0 - d2, d1 + d2, d2 - d1, d1 - d3].
inline void transform_four(const V* d, int step, V* out) {
  out[0] = sub(d[0], d[2 * step]);
  out[step] = add(d[step], d[2 * step]);
  out[2 * step] = sub(d[2 * step], d[step]);
  out[3 * step] = sub(d[step], d[3 * step]);
}

// Of one channel, kWide tiles.
inline void transform_tiles(const int16_t* const* phases, ptrdiff_t row, int at, V* out) {
  V d[kPoints];
  GV_UNROLL
  for (int y = 0; y < 4; ++y) {
    // Rows -1, 0, 1, 2 of a tile are an odd, an even, an odd and the next even one.
    const ptrdiff_t place = at + (y == 0 ? -row : y == 3 ? row : 0);
    const int16_t* even = phases[(y & 1) ? 0 : 2] + place;
    const int16_t* odd = phases[(y & 1) ? 1 : 3] + place;
    const V line[4] = {ld16(odd - 1), ld16(even), ld16(odd), ld16(even + 1)};
    transform_four(line, 1, d + 4 * y);
  }
  GV_UNROLL
  for (int x = 0; x < 4; ++x) transform_four(d + x, 4, out + x);
}

void transform(const int16_t* const* phases, ptrdiff_t row, int32_t* out, size_t stride) {
  for (int at = 0; at < kTiles; at += kWide) {
    V one[kPoints], other[kPoints];
    transform_tiles(phases, row, at, one);
    transform_tiles(phases + 4, row, at, other);
    for (int p = 0; p < kPoints; ++p) st_packed_pairs(out + p * stride + at, one[p], other[p]);
  }
}

void multiply(const int32_t* values, const int32_t* weight, int pairs, int outputs, int32_t* sums) {
  constexpr int kCount = kColumns < 4 ? 2 : 4;
  for (int o = 0; o < outputs; o += 4, sums += 4 * kSumsStride, weight += 4 * pairs)
    for (int at = 0; at < kTiles; at += kCount * kLanes) {
      V sum[4][kCount];
      GV_UNROLL
      for (int i = 0; i < 4; ++i)
        GV_UNROLL
        for (int j = 0; j < kCount; ++j) sum[i][j] = set32(0);
      const int32_t *from = values + at, *w = weight;
      for (int k = 0; k < pairs; ++k, from += kTiles, w += 4) {
        V a[kCount];
        GV_UNROLL
        for (int j = 0; j < kCount; ++j) a[j] = ld32(from + j * kLanes);
        GV_UNROLL
        for (int i = 0; i < 4; ++i) {
          const V b = set32(w[i]);
          GV_UNROLL
          for (int j = 0; j < kCount; ++j) sum[i][j] = add_pairs(sum[i][j], a[j], b);
        }
      }
      GV_UNROLL
      for (int i = 0; i < 4; ++i)
        GV_UNROLL
        for (int j = 0; j < kCount; ++j) st32(sums + i * kSumsStride + at + j * kLanes, sum[i][j]);
    }
}

// Four phases of kLanes tiles.
inline void finish_tiles(const int32_t* sums, V start, int shift, V* out) {
  V rows[2][4];
  GV_UNROLL
  for (int x = 0; x < 4; ++x) {
    const V a = ld32(sums + x * kTiles), b = ld32(sums + (4 + x) * kTiles),
            c = ld32(sums + (8 + x) * kTiles), d = ld32(sums + (12 + x) * kTiles);
    rows[0][x] = add32(a, add32(b, c));
    rows[1][x] = sub32(sub32(b, c), d);
  }
  GV_UNROLL
  for (int y = 0; y < 2; ++y) {
    const V* r = rows[y];
    out[2 * y] = sra32(add32(start, add32(r[0], add32(r[1], r[2]))), shift);
    out[2 * y + 1] = sra32(add32(start, sub32(sub32(r[1], r[2]), r[3])), shift);
  }
}

void finish(const int32_t* sums, int32_t start, int shift, int most, int16_t* const* phases) {
  for (int at = 0; at < kTiles; at += kWide) {
    V low[4], high[4];
    finish_tiles(sums + at, set32(start), shift, low);
    finish_tiles(sums + at + kLanes, set32(start), shift, high);
    GV_UNROLL
    for (int n = 0; n < 4; ++n) st16(phases[n] + at, cut(pack(low[n], high[n]), 0, most));
  }
}

const ConvolutionForms kForms = {transform, multiply, finish};
