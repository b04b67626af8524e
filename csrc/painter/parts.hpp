// Helpers shared by the parts of the painter.
#pragma once

#include <algorithm>

#include "common/cpu.hpp"
#include "painter/painter.hpp"

namespace gv {

// Rows of `measures_`: sums of |band| in quarter codes (3 fine, 6 coarse, 2 of colour), of
// low-passed samples (luma, two of chroma), of differences to the moved base frame, samples known
// in it; direction (c, s).
constexpr int kLevel = 11, kMismatch = 14, kKnown = 15, kWay = 16, kMeasures = 18;
// Rows of `maps_`: gains (3 scales × 3), amplitudes (3 × 3), tint, keep.
constexpr int kAmplitude = 9, kTint = 18, kKeep = 20, kMaps = 21;
constexpr int kHeads = 15;
constexpr uint32_t kMiddleQuad = 0x40404040, kZeroQuad = 0x08080808;

inline uint32_t mixed(uint32_t x) {
  for (const uint32_t factor : {0x21F0AAADu, 0x735A2D97u}) x = (x ^ (x >> 16)) * factor;
  return x ^ (x >> 15);
}

template <class T>
void repeat(T* row, int width, int count) {
  std::fill(row - count, row, row[0]);
  std::fill(row + width, row + width + count, row[width - 1]);
}

inline void repeat_value(uint32_t* row, int width, uint32_t value) { row[-1] = row[width] = value; }

// Buffers of one thread for its rows of blocks, up to the trunk's input.
struct FramePainter::InputScratch {
  Samples16 line, sums, blurs;              // of `split`
  Samples16 coarse_line, coarse_sums;       // of `coarse`
  Quads stem_lines, trunk_lines, measures;  // of the layers

  InputScratch(int w, int quads)
      : line(7, 1, 2 * w),
        sums(5, 1, 2 * w),
        blurs(2, 1, w),
        coarse_line(2, 1, w),
        coarse_sums(4, 1, w),
        stem_lines(2, 3 * 3, w / 2),
        trunk_lines(2, 3 * quads, w / 4),
        measures(4, 1, w / 4) {}
};

// Sums of kSide neighbours, times `factor`.
template <int kSide>
GV_INLINE void pool(const int16_t* sums, int width, int factor, int32_t* out) {
  for (int x = 0; x < width; ++x) {
    int32_t sum = 0;
    for (int i = 0; i < kSide; ++i) sum += sums[kSide * x + i];
    out[x] = sum * factor;
  }
}

}  // namespace gv
