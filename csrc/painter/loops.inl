// The loops of `forms.hpp`, written once with the operations of `lanes.inl`: one file, since each
// form of the core includes all of them.
#include "painter/lanes.inl"

inline V between(V a, V low, V high) { return larger(smaller(a, high), low); }
inline V halved(V a, int n) { return sra(add(a, set16(1 << (n - 1))), n); }
inline V halved_up(V a, int n) { return srl(add(a, set16(1 << (n - 1))), n); }
inline V halved32(V a, int n) { return sra32(add32(a, set32(1 << (n - 1))), n); }
inline V smooth(V a, V b, V c, V d, V e) {
  return add(add(a, e), add(sll(add(b, d), 2), add(sll(c, 2), sll(c, 1))));
}

// Sums are cut to this where they could be larger, so that their products fit 32 bits.
inline V cut_sum(V sum) { return cut32(sum, -(1 << 20), 1 << 20); }

// Sums of all outputs for kCount vectors of positions from x on.
template <int kCount, class Done>
GV_INLINE void sums_from(const DotLayer& d, const Taps& taps, int x, Done done) {
  for (int o = 0; o < d.outputs; o += 4) {
    V sum[4][kCount];
    GV_UNROLL
    for (int i = 0; i < 4; ++i)
      GV_UNROLL
      for (int j = 0; j < kCount; ++j) sum[i][j] = set32(d.start[o + i]);
    for (int g = 0; g < taps.groups; ++g) {
      const int32_t* w = d.weight.data() + static_cast<size_t>(o) * d.stride + g * d.group;
      const uint32_t* from = taps.first[g] + x;
      for (int k = 0; k < taps.rows; ++k, from += taps.stride, ++w) {
        V a[kCount];
        GV_UNROLL
        for (int j = 0; j < kCount; ++j) a[j] = ld32(from + j * kLanes);
        GV_UNROLL
        for (int i = 0; i < 4; ++i) {
          const V weight = set32(w[i * d.stride]);
          GV_UNROLL
          for (int j = 0; j < kCount; ++j) sum[i][j] = dot(sum[i][j], a[j], weight);
        }
      }
    }
    if (d.large)
      GV_UNROLL
      for (int i = 0; i < 4; ++i)
        GV_UNROLL
        for (int j = 0; j < kCount; ++j) sum[i][j] = cut_sum(sum[i][j]);
    done(o, x, sum, std::integral_constant<int, kCount>());
  }
}

// kColumns vectors at a time, or half as many where those reach to the end of the row.
template <class Done>
inline void for_sums(const DotLayer& d, const Taps& taps, int width, Done done) {
  constexpr int kTail = kColumns == 4 ? 2 : kColumns;
  int x = 0;
  for (; width - x > kTail * kLanes; x += kColumns * kLanes) sums_from<kColumns>(d, taps, x, done);
  if (x < width) sums_from<kTail>(d, taps, x, done);
}

inline V scaled(const DotLayer& d, int o, V sum) {
  return sra32(add32(mul32(sum, set32(d.multiplier[o])), set32(d.offset[o])), d.shift[o]);
}

#if GV_LANES
// Two vectors of sums in 16 bits. A product of factors that stand `bits` too high in all, rounded
// and shifted by 15 - bits, is exact: their own product has 19 bits, so it would not fit by itself.
inline V scaled_two(const DotLayer& d, int o, const V* sum) {
  return pack(scaled(d, o, sum[0]), scaled(d, o, sum[1]));
}

void quads(const DotLayer& d, const Taps& taps, int width, uint32_t* const* out) {
  const V least = kept(set16(-1023)), most = kept(set16(1023)), none = kept(set16(0)),
          half = kept(set16(128));
  const V whole = kept(set16(256)), zero = kept(set16(8)), top = kept(set16(127));
  for_sums(d, taps, width, [&](int o, int x, const auto& sum, auto count) {
    constexpr int kCount = decltype(count)::value;
    GV_UNROLL
    for (int j = 0; j < kCount; j += 2) {
      V level[4];
      GV_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int c = o + i, bits = 15 - d.step[c];
        V v = between(scaled_two(d, c, sum[i] + j), least, most);
        const V factor = between(add(v, half), none, whole);
        v = times(bits > 6 ? sll(v, bits - 6) : v,
                  mul(factor, set32(0x10001 << (bits < 6 ? bits : 6))));
        level[i] = between(add(v, zero), none, top);
      }
      st_packed_pairs(out[o / 4] + x + j * kLanes, either(level[0], sll(level[1], 8)),
                      either(level[2], sll(level[3], 8)));
    }
  });
}

void rows(const DotLayer& d, const Taps& taps, int width, const int16_t* const* more, int limit,
          int16_t* const* out) {
  for_sums(d, taps, width, [&](int o, int x, const auto& sum, auto count) {
    constexpr int kCount = decltype(count)::value;
    GV_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (!out[o + i]) continue;
      GV_UNROLL
      for (int j = 0; j < kCount; j += 2) {
        const int at = x + j * kLanes;
        V v = as_row(scaled_two(d, o + i, sum[i] + j));
        if (more) v = add_cut(v, ld16(more[o + i] + at));
        st16(out[o + i] + at, cut(v, -limit, limit));
      }
    }
  });
}
#else
void quads(const DotLayer& d, const Taps& taps, int width, uint32_t* const* out) {
  for_sums(d, taps, width, [&](int o, int x, const auto& sum, auto count) {
    constexpr int kCount = decltype(count)::value;
    for (int j = 0; j < kCount; ++j) {
      V quad = set32(0);
      for (int i = 0; i < 4; ++i) {
        const int c = o + i;
        V v = cut32(scaled(d, c, sum[i][j]), -1023, 1023);
        v = small_mul32(v, cut32(add32(v, set32(128)), 0, 256));
        const V level = cut32(add32(halved32(v, d.step[c]), set32(8)), 0, 127);
        quad = either(quad, sll32(level, 8 * i));
      }
      st32(out[o / 4] + x + j * kLanes, quad);
    }
  });
}

void rows(const DotLayer& d, const Taps& taps, int width, const int16_t* const* more, int limit,
          int16_t* const* out) {
  for_sums(d, taps, width, [&](int o, int x, const auto& sum, auto count) {
    constexpr int kCount = decltype(count)::value;
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < kCount && out[o + i]; ++j) {
        const int at = x + j * kLanes;
        V v = scaled(d, o + i, sum[i][j]);
        if (more) v = add32(v, widen(more[o + i] + at));
        narrow(out[o + i] + at, cut32(v, -limit, limit));
      }
  });
}
#endif

void depthwise(const int16_t* const* from, const int8_t* weight, const int32_t* bias,
               const int32_t* multiplier, const int32_t* shift, int width, int16_t* scratch,
               uint32_t* const* out) {
  const int stride = width + 2 * kRowMargin;
  for (int c = 0; c < 4; ++c) {
    const int8_t* w = weight + 25 * c;
    const int16_t* const* r = from + (kDepthwiseRows + 4) * c;
    int16_t* to = scratch + c * kDepthwiseRows * stride;
    const auto level = [&](V sum) {
      const V scaled = halved32(mul32(cut_sum(sum), set32(multiplier[c])), shift[c]);
      return cut32(add32(scaled, set32(64)), 0, 127);
    };
#if GV_LANES
    // Pairs of taps: vectors of pairs (x, x + 1) give the sums of even and, one sample on, those of
    // odd positions.
    V pair[15];
    for (int i = 0; i < 15; ++i) {
      const int row = i / 3, tap = 2 * (i % 3), second = tap == 4 ? 0 : w[5 * row + tap + 1];
      pair[i] = set32((w[5 * row + tap] & 0xffff) |
                      static_cast<int>(static_cast<uint32_t>(second) << 16));
    }
    const ptrdiff_t next = samples_between(r[kDepthwiseRows - 1], r[kDepthwiseRows]);
    for (int x = 0; x < width; x += kWide) {
      V even[kDepthwiseRows], odd[kDepthwiseRows];
      GV_UNROLL
      for (int k = 0; k < kDepthwiseRows; ++k) {
        even[k] = odd[k] = set32(bias[c]);
        prefetch(r[kDepthwiseRows + k], x + kDepthwiseRows * next);
      }
      GV_UNROLL
      for (int y = 0; y < kDepthwiseRows + 4; ++y) {
        GV_UNROLL
        for (int i = 0; i < 3; ++i) {
          const V first = ld(r[y] + x + 2 * i - 2), second = ld(r[y] + x + 2 * i - 1);
          GV_UNROLL
          for (int k = 0; k < kDepthwiseRows; ++k)
            if (y - k >= 0 && y - k < 5) {
              even[k] = add_pairs(even[k], first, pair[3 * (y - k) + i]);
              odd[k] = add_pairs(odd[k], second, pair[3 * (y - k) + i]);
            }
        }
      }
      GV_UNROLL
      for (int k = 0; k < kDepthwiseRows; ++k)
        st16(to + k * stride + x, either(level(even[k]), sll32(level(odd[k]), 16)));
    }
#else
    for (int k = 0; k < kDepthwiseRows; ++k)
      for (int first = 0; first < width; first += 64) {
        int32_t sum[64];
        const int count = width - first < 64 ? width - first : 64;
        for (int x = 0; x < count; ++x) sum[x] = bias[c];
        for (int i = 0; i < 25; ++i) {
          const int16_t* at = r[k + i / 5] + first + i % 5 - 2;
          for (int x = 0; x < count; ++x) sum[x] += w[i] * at[x];
        }
        for (int x = 0; x < count; ++x)
          to[k * stride + first + x] = static_cast<int16_t>(level(sum[x]));
      }
#endif
  }
  for (int k = 0; k < kDepthwiseRows; ++k)
    for (int x = 0; x < width; x += kWide) {
      const auto at = [&](int c) { return ld16(scratch + (c * kDepthwiseRows + k) * stride + x); };
      st_pairs(out[k] + x, either(at(0), sll(at(1), 8)), either(at(2), sll(at(3), 8)));
    }
}

void view(const int16_t* const* from, const int32_t* multiplier, const int32_t* shift, int width,
          uint32_t* out) {
  for (int x = 0; x < width; x += kLanes) {
    V quad = set32(0);
    for (int c = 0; c < 4; ++c) {
      const V level = cut32(
          add32(halved32(mul32(widen(from[c] + x), set32(multiplier[c])), shift[c]), set32(64)), 0,
          127);
      quad = either(quad, sll32(level, 8 * c));
    }
    st32(out + x, quad);
  }
}

// Which rows are wanted is known when this is compiled, and no pointer is read again in the loops.
template <bool kThree, bool kStore, bool kIso, bool kSteered, bool kLow>
void bands_of(const int16_t* const* r, int step, bool fine, int width, int16_t* scratch,
              int16_t* const* out, int16_t* const* sums) {
  const int bits = fine ? 2 : 4, reach = 2 * step;
  const int16_t *r0 = r[0], *r1 = r[1], *r2 = r[2], *r3 = r[3], *r4 = r[4];
  const ptrdiff_t next = samples_between(r3, r4);  // the row that the next call adds
  for (int x = -reach; x < width + reach; x += kWide) {
    prefetch(r4, x + next);
    st16(scratch + x,
         halved_up(smooth(ld16(r0 + x), ld16(r1 + x), ld16(r2 + x), ld16(r3 + x), ld16(r4 + x)),
                   bits));
  }
  const auto along_row = [&](const int16_t* p) {
    return smooth(ld16(p - 2 * step), ld16(p - step), ld16(p), ld16(p + step), ld16(p + 2 * step));
  };
  const auto band = [&](V v) { return cut(v, -1023, 1023); };
  int16_t *const three_out[3] = {out[0], out[1], out[2]}, *const iso = out[3], *const p = out[4],
                 *const q = out[5], *const low = out[6];
  int16_t* const sum[3] = {kThree ? sums[0] : nullptr, kThree ? sums[1] : nullptr,
                           kThree ? sums[2] : nullptr};
  for (int x = 0; x < width; x += kWide) {
    const V centre = ld16(r2 + x), down = ld16(scratch + x),
            both = halved_up(along_row(scratch + x), 4);
    const V along = kThree || kSteered ? halved_up(along_row(r2 + x), bits) : both;
    const V quarter = fine ? sll(centre, 2) : centre;
    if (kThree) {
      const V three[3] = {band(sub(down, both)), band(sub(along, both)),
                          band(add(sub(quarter, add(down, along)), both))};
      GV_UNROLL
      for (int i = 0; i < 3; ++i) {
        if (kStore) st16(three_out[i] + x, three[i]);
        st16(sum[i] + x, add(ld16(sum[i] + x), size_of(three[i])));
      }
    }
    if (kIso) st16(iso + x, band(sub(quarter, both)));
    if (kSteered) {
      st16(p + x, band(sub(down, along)));
      const V turned = sub(sub(ld16(r3 + x - step), ld16(r1 + x - step)),
                           sub(ld16(r3 + x + step), ld16(r1 + x + step)));
      st16(q + x, band(fine ? turned : halved(turned, 2)));
    }
    if (kLow) st16(low + x, both);
  }
}

void bands(const int16_t* const* r, int step, bool fine, int width, int16_t* scratch,
           int16_t* const* out, int16_t* const* sums) {
  const auto run = [&](auto form) { form(r, step, fine, width, scratch, out, sums); };
  if (out[4]) return run(bands_of<false, false, true, true, false>);
  if (out[6])
    return sums ? run(bands_of<true, true, false, false, true>)
                : run(bands_of<false, false, false, false, true>);
  sums ? run(bands_of<true, false, true, false, false>)
       : run(bands_of<false, false, true, false, false>);
}

void decimate(const int16_t* const* r, int width, int16_t* scratch, int16_t* out) {
  for (int x = -1; x < 2 * width + 2; x += kWide) {
    const V middle = add(ld16(r[1] + x), ld16(r[2] + x));
    st16(scratch + x,
         halved(add(add(ld16(r[0] + x), ld16(r[3] + x)), add(middle, sll(middle, 1))), 1));
  }
#if GV_LANES
  const V inner = set32(3 << 16 | 3), left = set32(1), right = set32(1 << 16);
  for (int x = 0; x < width; x += kLanes) {
    const int16_t* p = scratch + 2 * x;
    narrow(out + x,
           halved32(add32(madd(ld(p), inner), add32(madd(ld(p - 1), left), madd(ld(p + 1), right))),
                    3));
  }
#else
  for (int x = 0; x < width; ++x) {
    const int16_t* p = scratch + 2 * x;
    out[x] = static_cast<int16_t>((p[-1] + 3 * (p[0] + p[1]) + p[2] + 4) >> 3);
  }
#endif
}

inline V squeezed(V band) {
  const V codes = sra(add(band, set16(2)), 2), inner = cut(codes, -32, 32);
  return add(add(inner, sra(sub(cut(codes, -156, 156), inner), 2)), set16(64));
}

void squeeze(const int16_t* const* r, int width, uint32_t* out) {
  for (int x = 0; x < width; x += kWide) {
    const auto two = [&](int i) {
      return either(squeezed(ld16(r[i] + x)), sll(squeezed(ld16(r[i + 1] + x)), 8));
    };
    st_pairs(out + x, two(0), two(2));
  }
}

void squeeze_phases(const int16_t* even, const int16_t* odd, int width, uint32_t* out) {
#if GV_LANES
  // Two samples of each row in a 32-bit lane: to bytes 0, 1 and 2, 3.
  const auto bytes = [&](V v) { return either(v, srl32(v, 8)); };
  for (int x = 0; x < width; x += kLanes) {
    const V a = bytes(squeezed(ld16(even + 2 * x))), b = bytes(squeezed(ld16(odd + 2 * x)));
    st32(out + x, either(masked(a, set32(0xffff)), sll32(b, 16)));
  }
#else
  for (int x = 0; x < width; ++x) {
    const auto at = [&](const int16_t* row, int i) {
      return static_cast<uint32_t>(squeezed(row[2 * x + i]));
    };
    out[x] = at(even, 0) | at(even, 1) << 8 | at(odd, 0) << 16 | at(odd, 1) << 24;
  }
#endif
}

void gradients(const int16_t* const* r, int width, int32_t* const* sums) {
#if GV_LANES
  for (int x = 0; x < width; x += kWide) {
    const V gx = cut(sra(sub(ld16(r[1] + x + 1), ld16(r[1] + x - 1)), 1), -511, 511);
    const V gy = cut(sra(sub(ld16(r[2] + x), ld16(r[0] + x)), 1), -511, 511);
    const V products[3] = {madd(gx, gx), madd(gy, gy), madd(gx, gy)};
    for (int i = 0; i < 3; ++i) st32(sums[i] + x / 2, add32(ld32(sums[i] + x / 2), products[i]));
  }
#else
  for (int x = 0; x < width; ++x) {
    const int gx = cut((r[1][x + 1] - r[1][x - 1]) >> 1, -511, 511),
              gy = cut((r[2][x] - r[0][x]) >> 1, -511, 511);
    sums[0][x / 2] += gx * gx;
    sums[1][x / 2] += gy * gy;
    sums[2][x / 2] += gx * gy;
  }
#endif
}

void widen_row(const int16_t* upper, const int16_t* lower, int share, int width8, int16_t* scratch,
               int16_t* out) {
  const auto mixed = [&](V a, V b, V part) { return add(a, times(sub(b, a), part)); };
  const V part = set16(share << 12);
  for (int x = -1; x < width8 + 1; x += kWide)
    st16(scratch + x, mixed(ld16(upper + x), ld16(lower + x), part));
#if GV_LANES == 2
  alignas(64) static constexpr int16_t kFrom[32] = {0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4,
                                                    4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8, 8};
  const V from = ld(kFrom), next = add(from, set16(1));
  const V parts = _mm512_set1_epi64(0x3000100070005000);
  for (int x = 0; x < width8; x += 8) {
    const V v = ld(scratch + x - 1);
    st16(out + 4 * x,
         mixed(_mm512_permutexvar_epi16(from, v), _mm512_permutexvar_epi16(next, v), parts));
  }
#elif GV_LANES == 1
  const V from = _mm256_setr_epi8(0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3, 4, 5, 4, 5, 4, 5, 4, 5, 6, 7,
                                  6, 7, 6, 7, 6, 7, 8, 9, 8, 9);
  const V next = _mm256_add_epi8(from, _mm256_set1_epi8(2)),
          parts = _mm256_set1_epi64x(0x3000100070005000);
  for (int x = 0; x < width8; x += 4) {
    const V v = _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(scratch + x - 1)));
    st16(out + 4 * x, mixed(_mm256_shuffle_epi8(v, from), _mm256_shuffle_epi8(v, next), parts));
  }
#elif GV_LANES == 3
  const V parts = wasm_i16x8_make(0x5000, 0x7000, 0x1000, 0x3000, 0x5000, 0x7000, 0x1000, 0x3000);
  for (int x = 0; x < width8; x += 2) {
    const V v = ld(scratch + x - 1);
    st16(out + 4 * x, mixed(wasm_i16x8_shuffle(v, v, 0, 0, 1, 1, 1, 1, 2, 2),
                            wasm_i16x8_shuffle(v, v, 1, 1, 2, 2, 2, 2, 3, 3), parts));
  }
#elif GV_LANES == 4
  alignas(16) static constexpr uint8_t kFrom[16] = {0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3, 4, 5, 4, 5};
  alignas(16) static constexpr int16_t kParts[8] = {0x5000, 0x7000, 0x1000, 0x3000,
                                                    0x5000, 0x7000, 0x1000, 0x3000};
  const uint8x16_t from = vld1q_u8(kFrom), next = vaddq_u8(from, vdupq_n_u8(2));
  const V parts = ld(kParts);
  const auto taken = [](V v, uint8x16_t where) {
    return vreinterpretq_s32_u8(vqtbl1q_u8(vreinterpretq_u8_s32(v), where));
  };
  for (int x = 0; x < width8; x += 2) {
    const V v = ld(scratch + x - 1);
    st16(out + 4 * x, mixed(taken(v, from), taken(v, next), parts));
  }
#else
  static constexpr int kShare[4] = {5, 7, 1, 3};
  for (int x = 0; x < width8; ++x)
    for (int i = 0; i < 4; ++i) {
      const int a = scratch[x - (i < 2)], b = scratch[x + (i >= 2)];
      out[4 * x + i] = static_cast<int16_t>(a + (((b - a) * kShare[i] + 4) >> 3));
    }
#endif
}

void twice(const int16_t* row, int width, int16_t* out) {
#if GV_LANES
  for (int x = 0; x < width; x += kWide) st_pairs(out + 2 * x, ld16(row + x), ld16(row + x));
#else
  for (int x = 0; x < width; ++x) out[2 * x] = out[2 * x + 1] = row[x];
#endif
}

void below(const int16_t* const* seen, const int16_t* const* maps, int width, int16_t* out) {
  for (int x = 0; x < width; x += kWide) {
    V sum = set16(0);
    for (int i = 0; i < 12; ++i)
      sum = add(sum, times(sll(ld16(seen[i] + x), i % 6 < 3 ? 3 : 2), ld16(maps[i] + x)));
    st16(out + x, cut(sum, -2047, 2047));
  }
}

void raise_row(const int16_t* near, const int16_t* far, int width, int16_t* scratch, int16_t* out) {
  for (int x = -1; x < width + 1; x += kWide) {
    const V n = ld16(near + x);
    st16(scratch + x, add(add(n, sll(n, 1)), ld16(far + x)));
  }
  for (int x = 0; x < width; x += kWide) {
    const V n = ld16(scratch + x), three = add(n, add(n, n));
    const V even = halved(add(three, ld16(scratch + x - 1)), 4),
            odd = halved(add(three, ld16(scratch + x + 1)), 4);
#if GV_LANES
    st_pairs(out + 2 * x, even, odd);
#else
    out[2 * x] = static_cast<int16_t>(even), out[2 * x + 1] = static_cast<int16_t>(odd);
#endif
  }
}

inline V blended(V value, const int16_t* fetched, const int16_t* keep, int x) {
  value = cut(value, -8191, 8191);
  return fetched ? add(value, times(sub(ld16(fetched + x), value), ld16(keep + x))) : value;
}

void luma(const int16_t* loop, const int16_t* const* seen, const int16_t* const* maps,
          const int16_t* fetched, const int16_t* keep, int width, int16_t* detail, int16_t* out) {
  for (int x = 0; x < width; x += kWide) {
    V sum = ld16(detail + x);
    for (int i = 0; i < 6; ++i)
      sum = add(sum, times(sll(ld16(seen[i] + x), i < 3 ? 3 : 2), ld16(maps[i] + x)));
    sum = blended(sum, fetched, keep, x);
    st16(detail + x, sum);
    st16(out + x, cut(add(ld16(loop + x), halved(sum, 3)), 0, 1023));
  }
}

void add_detail(const int16_t* loop, const int16_t* detail, int width, int16_t* out) {
  for (int x = 0; x < width; x += kWide)
    st16(out + x, cut(add(ld16(loop + x), halved(ld16(detail + x), 3)), 0, 1023));
}

void colour(const int16_t* const* r, int width, int16_t* scratch, int16_t* high,
            int16_t* const* sums) {
  for (int x = -1; x < width + 1; x += kWide)
    st16(scratch + x, add(add(ld16(r[0] + x), ld16(r[2] + x)), sll(ld16(r[1] + x), 1)));
  for (int x = 0; x < width; x += kWide) {
    const V blur = halved(
        add(add(ld16(scratch + x - 1), ld16(scratch + x + 1)), sll(ld16(scratch + x), 1)), 2);
    const V found = cut(sub(sll(ld16(r[1] + x), 2), blur), -1023, 1023);
    st16(high + x, found);
    st16(sums[0] + x, add(ld16(sums[0] + x), size_of(found)));
    st16(sums[1] + x, add(ld16(sums[1] + x), blur));
  }
}

void chroma(const int16_t* loop, const int16_t* high, const int16_t* tint, const int16_t* fetched,
            const int16_t* keep, int width, int16_t* detail, int16_t* out) {
  for (int x = 0; x < width; x += kWide) {
    const V sum = blended(times(sll(ld16(high + x), 3), ld16(tint + x)), fetched, keep, x);
    st16(detail + x, sum);
    st16(out + x, cut(add(ld16(loop + x), halved(sum, 3)), 0, 1023));
  }
}

const PainterForms kForms = {quads,   rows,           depthwise, view,      bands, decimate,
                             squeeze, squeeze_phases, gradients, widen_row, twice, below,
                             raise_row, luma,         add_detail, colour, chroma};
