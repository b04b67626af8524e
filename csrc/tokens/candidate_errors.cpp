#include "tokens/candidate_errors.hpp"

#include "common/basics.hpp"

namespace gv {
namespace {

constexpr int kMargin = kTokenReach / 2 + 1;

// The plane with margins, or half a sample further right, down, or both.
struct Halves {
  int stride;
  std::vector<uint8_t> plane[4];

  Halves(const uint8_t* samples, int width, int height) : stride(width + 2 * kMargin) {
    const int rows = height + 2 * kMargin;
    std::vector<uint8_t>& whole = plane[0];
    whole.resize(static_cast<size_t>(stride) * rows);
    for (int y = 0; y < rows; ++y) {
      const uint8_t* from =
          samples + static_cast<size_t>(clamp(y - kMargin, 0, height - 1)) * width;
      uint8_t* to = whole.data() + static_cast<size_t>(y) * stride;
      std::fill(to, to + kMargin, from[0]);
      std::copy_n(from, width, to + kMargin);
      std::fill(to + kMargin + width, to + stride, from[width - 1]);
    }
    for (int half = 1; half < 4; ++half) {
      plane[half] = whole;
      const int right = half & 1, down = half >> 1;
      for (int y = 0; y + down < rows; ++y) {
        const uint8_t* a = whole.data() + static_cast<size_t>(y) * stride;
        const uint8_t* b = a + static_cast<size_t>(down) * stride;
        uint8_t* to = plane[half].data() + static_cast<size_t>(y) * stride;
        for (int x = 0; x + right < stride; ++x)
          to[x] = static_cast<uint8_t>(half == 3 ? (a[x] + a[x + 1] + b[x] + b[x + 1] + 2) >> 2
                                                 : (a[x] + b[x + right] + 1) >> 1);
      }
    }
  }
  // Where the sample at (x, y) is fetched from by a vector.
  const uint8_t* at(int x, int y, int dx, int dy) const {
    return plane[(dy & 1) * 2 + (dx & 1)].data() +
           static_cast<size_t>(y + kMargin + (dy >> 1)) * stride + x + kMargin + (dx >> 1);
  }
};

}  // namespace

std::vector<int32_t> candidate_errors(const uint8_t* now, const uint8_t* before, int width,
                                      int height, const int16_t* vectors, int count) {
  const Halves halves(before, width, height);
  const int columns = width / kTokenWindow, windows = columns * (height / kTokenWindow);
  constexpr int kSide = kTokenWindow / kTokenPatch;
  std::vector<int32_t> errors(static_cast<size_t>(windows) * kTokenPatches * count);
  for (int n = 0; n < windows; ++n) {
    const int left = n % columns * kTokenWindow, top = n / columns * kTokenWindow;
    for (int j = 0; j < count; ++j) {
      const int16_t* v = vectors + (static_cast<size_t>(n) * count + j) * 2;
      const int dx = clamp<int>(v[0], -kTokenReach, kTokenReach);
      const int dy = clamp<int>(v[1], -kTokenReach, kTokenReach);
      int32_t* out = errors.data() + static_cast<size_t>(n) * kTokenPatches * count + j;
      for (int y = 0; y < kTokenWindow; y += 2) {
        const uint8_t* a = now + static_cast<size_t>(top + y) * width + left;
        const uint8_t* b = halves.at(left, top + y, dx, dy);
        int32_t* row = out + static_cast<size_t>(y / kTokenPatch) * kSide * count;
        for (int p = 0; p < kSide; ++p, a += kTokenPatch, b += kTokenPatch) {
          int sum = 0;
          for (int x = 0; x < kTokenPatch; ++x) sum += std::abs(a[x] - b[x]);
          row[static_cast<size_t>(p) * count] += 2 * sum;
        }
      }
    }
  }
  return errors;
}

}  // namespace gv
