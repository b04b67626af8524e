#include "decoder/resample.hpp"

namespace gv {
namespace {

constexpr int kTaps = 8, kMostPhases = 4, kShift = 14;

// Output k · phases + p takes its taps from input k · step + first[p] on.
struct Filter {
  int step, phases;
  int first[kMostPhases];
  int taps[kMostPhases][kTaps];

  int position(int output) const { return output / phases * step + first[output % phases]; }
};

constexpr Filter kThreeQuarters = {3,
                                   4,
                                   {-4, -3, -2, -1},
                                   {{0, 2, -6, 16, 125, -12, 4, -1},
                                    {-1, 6, -18, 58, 99, -22, 8, -2},
                                    {-2, 8, -22, 99, 58, -18, 6, -1},
                                    {-1, 4, -12, 125, 16, -6, 2, 0}}};
constexpr Filter kHalf = {
    1, 2, {-4, -3}, {{0, 4, -12, 36, 114, -19, 7, -2}, {-2, 7, -19, 114, 36, -12, 4, 0}}};

}  // namespace

void upsample(const std::vector<uint16_t>& plane, int columns, int rows, int scale, uint16_t* out,
              int width, int height) {
  const Filter& filter = scale == 1 ? kThreeQuarters : kHalf;
  std::vector<int32_t> wide(static_cast<size_t>(rows) * width);  // rows filtered, not rounded
  for (int y = 0; y < rows; ++y) {
    const uint16_t* line = plane.data() + static_cast<size_t>(y) * columns;
    for (int x = 0; x < width; ++x) {
      const int at = filter.position(x), *taps = filter.taps[x % filter.phases];
      int32_t sum = 0;
      for (int t = 0; t < kTaps; ++t) sum += taps[t] * line[clamp(at + t, 0, columns - 1)];
      wide[static_cast<size_t>(y) * width + x] = sum;
    }
  }
  for (int y = 0; y < height; ++y) {
    const int at = filter.position(y), *taps = filter.taps[y % filter.phases];
    const int32_t* lines[kTaps];
    for (int t = 0; t < kTaps; ++t)
      lines[t] = wide.data() + static_cast<size_t>(clamp(at + t, 0, rows - 1)) * width;
    uint16_t* to = out + static_cast<size_t>(y) * width;
    for (int x = 0; x < width; ++x) {
      int32_t sum = 1 << (kShift - 1);
      for (int t = 0; t < kTaps; ++t) sum += taps[t] * lines[t][x];
      to[x] = static_cast<uint16_t>(clamp(sum >> kShift, 0, kMaxSample));
    }
  }
}

}  // namespace gv
