// Pictures for pages without a GPU: 10-bit 4:2:0 planes as RGBA, as the shader of view.js shows them.
#include <wasm_simd128.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace {

constexpr int kLanes = 4;

// A plane of chroma, row by row at luma's size: sixteen times its samples, between which lie those that are wanted.
class Chroma {
 public:
  // `halves`: where the first sample lies, in half luma samples (down, along); along 0 or 1.
  Chroma(const uint16_t* plane, int width, int height, const int32_t* halves)
      : plane_(plane), width_(width), height_(height), down_(halves[0]), along_(halves[1]), line_(width + 2 + kLanes), row_(2 * (width + kLanes)) {}

  const float* row(int y) {
    // Weights of two neighbours add up to four, in both directions.
    const int place = 2 * y - down_, part = place & 3;
    const uint16_t *upper = at(place >> 2), *lower = at((place >> 2) + 1);
    int32_t* line = line_.data() + 1;
    for (int x = 0; x < width_; ++x) line[x] = upper[x] * (4 - part) + lower[x] * part;
    line[-1] = line[0];
    line[width_] = line[width_ - 1];
    for (int x = 0; x < width_; x += kLanes) {
      const v128_t before = wasm_v128_load(line + x - 1), here = wasm_v128_load(line + x), after = wasm_v128_load(line + x + 1), twice = wasm_i32x4_add(here, here);
      v128_t even, odd;
      if (along_) {
        const v128_t three = wasm_i32x4_add(twice, here);
        even = wasm_i32x4_add(three, before);
        odd = wasm_i32x4_add(three, after);
      } else {
        even = wasm_i32x4_add(twice, twice);
        odd = wasm_i32x4_add(twice, wasm_i32x4_add(after, after));
      }
      wasm_v128_store(&row_[2 * x], wasm_f32x4_convert_i32x4(wasm_i32x4_shuffle(even, odd, 0, 4, 1, 5)));
      wasm_v128_store(&row_[2 * x + kLanes], wasm_f32x4_convert_i32x4(wasm_i32x4_shuffle(even, odd, 2, 6, 3, 7)));
    }
    return row_.data();
  }

 private:
  const uint16_t* at(int y) const { return plane_ + static_cast<ptrdiff_t>(std::clamp(y, 0, height_ - 1)) * width_; }

  const uint16_t* plane_;
  int width_, height_, down_, along_;
  std::vector<int32_t> line_;
  std::vector<float> row_;
};

}  // namespace

extern "C" {

// RGBA, a byte each. `numbers`: for red, green and blue of 0…255 factors of Y, 16·Cb and 16·Cr, and what is added; `halves`: see `Chroma`. Reads and writes
// up to three samples beyond the end.
void picture_rgba(const uint16_t* planes, int width, int height, const float* numbers, const int32_t* halves, uint32_t* out) {
  const int cw = (width + 1) / 2, ch = (height + 1) / 2;
  const uint16_t* chroma = planes + static_cast<ptrdiff_t>(width) * height;
  Chroma blue(chroma, cw, ch, halves), red(chroma + static_cast<ptrdiff_t>(cw) * ch, cw, ch, halves);
  v128_t n[12];
  for (int i = 0; i < 12; ++i) n[i] = wasm_f32x4_splat(numbers[i] + (i % 4 == 3 ? 0.5f : 0.f));
  for (int y = 0; y < height; ++y, planes += width, out += width) {
    const float *cb = blue.row(y), *cr = red.row(y);
    for (int x = 0; x < width; x += kLanes) {
      const v128_t luma = wasm_f32x4_convert_i32x4(wasm_u32x4_load16x4(planes + x)), b = wasm_v128_load(cb + x), r = wasm_v128_load(cr + x);
      const auto byte = [&](const v128_t* row) {
        const v128_t sum = wasm_f32x4_add(wasm_f32x4_add(wasm_f32x4_mul(row[0], luma), wasm_f32x4_mul(row[1], b)), wasm_f32x4_add(wasm_f32x4_mul(row[2], r), row[3]));
        return wasm_i32x4_min(wasm_i32x4_max(wasm_i32x4_trunc_sat_f32x4(sum), wasm_i32x4_splat(0)), wasm_i32x4_splat(255));
      };
      const v128_t red_green = wasm_v128_or(byte(n), wasm_i32x4_shl(byte(n + 4), 8)), blue_full = wasm_v128_or(wasm_i32x4_shl(byte(n + 8), 16), wasm_i32x4_splat(static_cast<int32_t>(0xff000000u)));
      wasm_v128_store(out + x, wasm_v128_or(red_green, blue_full));
    }
  }
}

}  // extern "C"
