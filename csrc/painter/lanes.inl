// One set of instructions as a handful of operations on vectors V. Included by `forms.cpp` once for
// each form, inside a namespace; GV_LANES is 0 plain (one sample at a time), 1 AVX2, with GV_DOT
// AVX-VNNI, 2 AVX-512 with VNNI, 3 WebAssembly's SIMD, with GV_DOT relaxed SIMD, which then stands
// in for plain, 4 NEON, with GV_DOT that of ARMv8.2, which has sums of products of bytes.
//
// 16: lanes of int16, kWide of them. 32: lanes of int32, kLanes of them. Sums of samples up to
// 65535 may stand in 16-bit lanes, which `srl` then takes as unsigned. `pack` makes 16-bit lanes of
// two vectors, cut to their range, in an order of its own: `as_row` gives that of a row,
// `st_packed_pairs` stores as `st_pairs` does.

#if GV_LANES == 1 || GV_LANES == 2
// GV_OP: an intrinsic by its name at this width; GV_WHOLE: one that takes the whole vector.
#if GV_LANES == 2
using V = __m512i;
constexpr int kWide = 32, kLanes = 16, kColumns = 4;
#define GV_OP(name) _mm512_##name
#define GV_WHOLE(name) _mm512_##name##_si512
#else
using V = __m256i;
constexpr int kWide = 16, kLanes = 8, kColumns = 2;
#define GV_OP(name) _mm256_##name
#define GV_WHOLE(name) _mm256_##name##_si256
#endif
inline V ld(const void* p) { return GV_WHOLE(loadu)(static_cast<const V*>(p)); }
inline V ld16(const int16_t* p) { return ld(p); }
inline V ld32(const void* p) { return ld(p); }
inline void st32(void* p, V v) { GV_WHOLE(storeu)(static_cast<V*>(p), v); }
inline void st16(int16_t* p, V v) { st32(p, v); }
inline V set16(int v) { return GV_OP(set1_epi16)(static_cast<short>(v)); }
inline V set32(int v) { return GV_OP(set1_epi32)(v); }
inline V add(V a, V b) { return GV_OP(add_epi16)(a, b); }
inline V sub(V a, V b) { return GV_OP(sub_epi16)(a, b); }
inline V times(V a, V b) { return GV_OP(mulhrs_epi16)(a, b); }
inline V mul(V a, V b) { return GV_OP(mullo_epi16)(a, b); }
inline V sll(V a, int n) { return GV_OP(sll_epi16)(a, _mm_cvtsi32_si128(n)); }
inline V sra(V a, int n) { return GV_OP(sra_epi16)(a, _mm_cvtsi32_si128(n)); }
inline V srl(V a, int n) { return GV_OP(srl_epi16)(a, _mm_cvtsi32_si128(n)); }
inline V smaller(V a, V b) { return GV_OP(min_epi16)(a, b); }
inline V larger(V a, V b) { return GV_OP(max_epi16)(a, b); }
inline V size_of(V a) { return GV_OP(abs_epi16)(a); }
inline V either(V a, V b) { return GV_WHOLE(or)(a, b); }
inline V masked(V a, V b) { return GV_WHOLE(and)(a, b); }
inline V add32(V a, V b) { return GV_OP(add_epi32)(a, b); }
inline V sub32(V a, V b) { return GV_OP(sub_epi32)(a, b); }
inline V mul32(V a, V b) { return GV_OP(mullo_epi32)(a, b); }
inline V madd(V a, V b) { return GV_OP(madd_epi16)(a, b); }
inline V small_mul32(V a, V b) { return madd(a, b); }  // b in 0…32767, a fits 16 bits
inline V sll32(V a, int n) { return GV_OP(sll_epi32)(a, _mm_cvtsi32_si128(n)); }
inline V srl32(V a, int n) { return GV_OP(srl_epi32)(a, _mm_cvtsi32_si128(n)); }
inline V sra32(V a, int n) { return GV_OP(srav_epi32)(a, set32(n)); }
inline V cut32(V a, int low, int high) {
  return GV_OP(max_epi32)(GV_OP(min_epi32)(a, set32(high)), set32(low));
}
inline V add_cut(V a, V b) { return GV_OP(adds_epi16)(a, b); }
inline V pack(V a, V b) { return GV_OP(packs_epi32)(a, b); }
inline void st_unpacked(void* p, V a, V b) {
  st32(p, GV_OP(unpacklo_epi16)(a, b));
  st32(static_cast<uint32_t*>(p) + kLanes, GV_OP(unpackhi_epi16)(a, b));
}
#undef GV_OP
#undef GV_WHOLE
#endif

#if GV_LANES == 2
// As text: GCC 12 copies the sums about in registers around the intrinsic, for half of the time.
inline V dot(V sum, V a, V w) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(w));
  return sum;
}
inline V add_pairs(V sum, V a, V b) {
  __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "vm"(b));
  return sum;
}
inline V widen(const int16_t* p) {
  return _mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline void narrow(int16_t* p, V v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(v));
}
inline V as_row(V v) {
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), v);
}
inline void st_packed_pairs(void* p, V a, V b) { st_unpacked(p, a, b); }
inline void st_pairs(void* p, V a, V b) {
  const auto half = [&](int n, __m256i x, __m256i y) {
    st32(static_cast<uint32_t*>(p) + n * kLanes,
         either(_mm512_cvtepu16_epi32(x), _mm512_slli_epi32(_mm512_cvtepu16_epi32(y), 16)));
  };
  half(0, _mm512_castsi512_si256(a), _mm512_castsi512_si256(b));
  half(1, _mm512_extracti64x4_epi64(a, 1), _mm512_extracti64x4_epi64(b, 1));
}
#elif GV_LANES == 1
#if GV_DOT
inline V dot(V sum, V a, V w) {
  __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(w));
  return sum;
}
inline V add_pairs(V sum, V a, V b) {
  __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(a), "xm"(b));
  return sum;
}
#else
inline V dot(V sum, V a, V w) {
  return _mm256_add_epi32(sum, madd(_mm256_maddubs_epi16(a, w), _mm256_set1_epi16(1)));
}
inline V add_pairs(V sum, V a, V b) { return add32(sum, madd(a, b)); }
#endif
inline V widen(const int16_t* p) {
  return _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline void narrow(int16_t* p, V v) {
  const __m128i packed = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), packed);
}
inline V as_row(V v) { return _mm256_permute4x64_epi64(v, 0xd8); }
inline void st_packed_pairs(void* p, V a, V b) { st_unpacked(p, a, b); }
inline void st_pairs(void* p, V a, V b) {
  const V low = _mm256_unpacklo_epi16(a, b), high = _mm256_unpackhi_epi16(a, b);
  st32(p, _mm256_permute2x128_si256(low, high, 0x20));
  st32(static_cast<uint32_t*>(p) + kLanes, _mm256_permute2x128_si256(low, high, 0x31));
}
#elif GV_LANES == 3
using V = v128_t;
using Bytes = signed char __attribute__((vector_size(16)));
constexpr int kWide = 8, kLanes = 4, kColumns = 2;
inline V ld(const void* p) { return wasm_v128_load(p); }
inline V ld16(const int16_t* p) { return ld(p); }
inline V ld32(const void* p) { return ld(p); }
inline void st32(void* p, V v) { wasm_v128_store(p, v); }
inline void st16(int16_t* p, V v) { st32(p, v); }
inline V set16(int v) { return wasm_i16x8_splat(static_cast<int16_t>(v)); }
inline V set32(int v) { return wasm_i32x4_splat(v); }
inline V add(V a, V b) { return wasm_i16x8_add(a, b); }
inline V sub(V a, V b) { return wasm_i16x8_sub(a, b); }
inline V times(V a, V b) { return wasm_i16x8_q15mulr_sat(a, b); }
inline V mul(V a, V b) { return wasm_i16x8_mul(a, b); }
inline V sll(V a, int n) { return wasm_i16x8_shl(a, n); }
inline V sra(V a, int n) { return wasm_i16x8_shr(a, n); }
inline V srl(V a, int n) { return wasm_u16x8_shr(a, n); }
inline V smaller(V a, V b) { return wasm_i16x8_min(a, b); }
inline V larger(V a, V b) { return wasm_i16x8_max(a, b); }
inline V size_of(V a) { return wasm_i16x8_abs(a); }
inline V either(V a, V b) { return wasm_v128_or(a, b); }
inline V masked(V a, V b) { return wasm_v128_and(a, b); }
inline V add32(V a, V b) { return wasm_i32x4_add(a, b); }
inline V sub32(V a, V b) { return wasm_i32x4_sub(a, b); }
inline V mul32(V a, V b) { return wasm_i32x4_mul(a, b); }
inline V madd(V a, V b) { return wasm_i32x4_dot_i16x8(a, b); }
inline V small_mul32(V a, V b) { return madd(a, b); }  // b in 0…32767, a fits 16 bits
inline V sll32(V a, int n) { return wasm_i32x4_shl(a, n); }
inline V sra32(V a, int n) { return wasm_i32x4_shr(a, n); }
inline V srl32(V a, int n) { return wasm_u32x4_shr(a, n); }
inline V cut32(V a, int low, int high) {
  return wasm_i32x4_max(wasm_i32x4_min(a, set32(high)), set32(low));
}
inline V add_cut(V a, V b) { return wasm_i16x8_add_sat(a, b); }
inline V pack(V a, V b) { return wasm_i16x8_narrow_i32x4(a, b); }
inline V dot(V sum, V a, V w) {
#if GV_DOT
  // Exact where the second factor has seven bits, as activations do. The form that adds as well
  // is lost in Binaryen 108, Debian's.
  const V pairs = static_cast<V>(__builtin_wasm_relaxed_dot_i8x16_i7x16_s_i16x8(
      static_cast<Bytes>(w), static_cast<Bytes>(a)));
  return add32(sum, wasm_i32x4_extadd_pairwise_i16x8(pairs));
#else
  // Bytes 0, 2 and 1, 3 of each lane as pairs of int16: there is no other product of bytes.
  const V odd = madd(wasm_u16x8_shr(a, 8), wasm_i16x8_shr(w, 8));
  const V even = madd(masked(a, set16(255)), wasm_i16x8_shr(wasm_i16x8_shl(w, 8), 8));
  return add32(sum, add32(even, odd));
#endif
}
inline V add_pairs(V sum, V a, V b) { return add32(sum, madd(a, b)); }
inline V widen(const int16_t* p) { return wasm_i32x4_load16x4(p); }
inline void narrow(int16_t* p, V v) { wasm_v128_store64_lane(p, pack(v, v), 0); }
inline V as_row(V v) { return v; }
inline void st_pairs(void* p, V a, V b) {
  st32(p, wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11));
  st32(static_cast<uint32_t*>(p) + kLanes, wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15));
}
inline void st_packed_pairs(void* p, V a, V b) { st_pairs(p, a, b); }
#elif GV_LANES == 4
using V = int32x4_t;
constexpr int kWide = 8, kLanes = 4, kColumns = 4;
inline int16x8_t s16(V v) { return vreinterpretq_s16_s32(v); }
inline V of16(int16x8_t v) { return vreinterpretq_s32_s16(v); }
inline int8x16_t s8(V v) { return vreinterpretq_s8_s32(v); }
inline V ld(const void* p) {
  return vreinterpretq_s32_u8(vld1q_u8(static_cast<const uint8_t*>(p)));
}
inline V ld16(const int16_t* p) { return ld(p); }
inline V ld32(const void* p) { return ld(p); }
inline void st16(int16_t* p, V v) { vst1q_s16(p, s16(v)); }
inline void st32(void* p, V v) { vst1q_u8(static_cast<uint8_t*>(p), vreinterpretq_u8_s32(v)); }
inline V set16(int v) { return of16(vdupq_n_s16(static_cast<int16_t>(v))); }
inline V set32(int v) { return vdupq_n_s32(v); }
inline V add(V a, V b) { return of16(vaddq_s16(s16(a), s16(b))); }
inline V sub(V a, V b) { return of16(vsubq_s16(s16(a), s16(b))); }
inline V times(V a, V b) { return of16(vqrdmulhq_s16(s16(a), s16(b))); }
inline V mul(V a, V b) { return of16(vmulq_s16(s16(a), s16(b))); }
inline V sll(V a, int n) { return of16(vshlq_s16(s16(a), vdupq_n_s16(static_cast<int16_t>(n)))); }
inline V sra(V a, int n) { return sll(a, -n); }
inline V srl(V a, int n) {
  return vreinterpretq_s32_u16(
      vshlq_u16(vreinterpretq_u16_s32(a), vdupq_n_s16(static_cast<int16_t>(-n))));
}
inline V smaller(V a, V b) { return of16(vminq_s16(s16(a), s16(b))); }
inline V larger(V a, V b) { return of16(vmaxq_s16(s16(a), s16(b))); }
inline V size_of(V a) { return of16(vabsq_s16(s16(a))); }
inline V either(V a, V b) { return vorrq_s32(a, b); }
inline V masked(V a, V b) { return vandq_s32(a, b); }
inline V add32(V a, V b) { return vaddq_s32(a, b); }
inline V sub32(V a, V b) { return vsubq_s32(a, b); }
inline V mul32(V a, V b) { return vmulq_s32(a, b); }
inline V small_mul32(V a, V b) { return vmulq_s32(a, b); }
inline V sll32(V a, int n) { return vshlq_s32(a, vdupq_n_s32(n)); }
inline V sra32(V a, int n) { return sll32(a, -n); }
inline V srl32(V a, int n) {
  return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-n)));
}
inline V cut32(V a, int low, int high) { return vmaxq_s32(vminq_s32(a, set32(high)), set32(low)); }
// Activations are at most 127, so two products fit 16 bits.
inline V dot(V sum, V a, V w) {
#if GV_DOT
  return vdotq_s32(sum, s8(a), s8(w));
#else
  const int16x8_t low = vmull_s8(vget_low_s8(s8(a)), vget_low_s8(s8(w)));
  return vpadalq_s16(sum, vpaddq_s16(low, vmull_high_s8(s8(a), s8(w))));
#endif
}
inline V madd(V a, V b) {
  const int32x4_t low = vmull_s16(vget_low_s16(s16(a)), vget_low_s16(s16(b)));
  return vpaddq_s32(low, vmull_high_s16(s16(a), s16(b)));
}
inline V add_pairs(V sum, V a, V b) { return add32(sum, madd(a, b)); }
inline V widen(const int16_t* p) { return vmovl_s16(vld1_s16(p)); }
inline void narrow(int16_t* p, V v) { vst1_s16(p, vmovn_s32(v)); }
inline V add_cut(V a, V b) { return of16(vqaddq_s16(s16(a), s16(b))); }
inline V pack(V a, V b) { return of16(vqmovn_high_s32(vqmovn_s32(a), b)); }
inline V as_row(V v) { return v; }
inline void st_pairs(void* p, V a, V b) {
  st32(p, of16(vzip1q_s16(s16(a), s16(b))));
  st32(static_cast<uint32_t*>(p) + kLanes, of16(vzip2q_s16(s16(a), s16(b))));
}
inline void st_packed_pairs(void* p, V a, V b) { st_pairs(p, a, b); }
#else
using V = int32_t;
constexpr int kWide = 1, kLanes = 1, kColumns = 16;
inline V ld16(const int16_t* p) { return *p; }
inline V ld32(const uint32_t* p) { return static_cast<V>(*p); }
inline V ld32(const int32_t* p) { return *p; }
inline void st16(int16_t* p, V v) { *p = static_cast<int16_t>(v); }
inline void st32(uint32_t* p, V v) { *p = static_cast<uint32_t>(v); }
inline void st32(int32_t* p, V v) { *p = v; }
inline V set16(int v) { return v; }
inline V set32(int v) { return v; }
inline V add(V a, V b) { return a + b; }
inline V sub(V a, V b) { return a - b; }
inline V times(V a, V b) { return (a * b + 16384) >> 15; }
inline V mul(V a, V b) { return a * b; }
inline V sll(V a, int n) { return a * (1 << n); }
inline V sra(V a, int n) { return a >> n; }
inline V srl(V a, int n) { return a >> n; }
inline V smaller(V a, V b) { return a < b ? a : b; }
inline V larger(V a, V b) { return a > b ? a : b; }
inline V size_of(V a) { return a < 0 ? -a : a; }
inline V either(V a, V b) { return a | b; }
inline V add32(V a, V b) { return a + b; }
inline V sub32(V a, V b) { return a - b; }
inline V mul32(V a, V b) { return a * b; }
inline V small_mul32(V a, V b) { return a * b; }
inline V sll32(V a, int n) { return a * (1 << n); }
inline V sra32(V a, int n) { return a >> n; }
inline V cut32(V a, int low, int high) { return larger(smaller(a, high), low); }
inline V dot(V sum, V a, V w) {
  for (int i = 0; i < 32; i += 8) sum += (a >> i & 127) * static_cast<int8_t>(w >> i);
  return sum;
}
inline V widen(const int16_t* p) { return *p; }
inline void narrow(int16_t* p, V v) { *p = static_cast<int16_t>(v); }
inline void st_pairs(uint32_t* p, V a, V b) {
  *p = (static_cast<uint32_t>(a) & 0xffff) | static_cast<uint32_t>(b) << 16;
}
#endif
inline V cut(V a, int low, int high) { return larger(smaller(a, set16(high)), set16(low)); }
// Stays in a register, where compilers would rather make it anew for each use.
inline V kept(V a) {
#if GV_LANES == 1 || GV_LANES == 2
  __asm__("" : "+v"(a));
#elif GV_LANES == 3
  __asm__("" : "+r"(a));
#endif
  return a;
}
