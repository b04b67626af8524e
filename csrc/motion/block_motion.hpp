// Motion of a video's base frames as the painter needs it: frame by frame, in whole samples.
#pragma once

#include <utility>

#include "motion/motion_search.hpp"

namespace gv {

// Means of 2×2 samples of a luma plane of at least 2×2, cut to 10 bits, padded by repeating the
// edges; an odd last row or column is left out.
Plane half_size(const uint16_t* luma, int width, int height, int stride, int threads);

class BlockMotion {
 public:
  BlockMotion(int width, int height, int threads)
      : width_(width), height_(height), threads_(threads), half_(width * height >= kLarge) {}

  // The next frame is the first one.
  void forget() { before_ = Plane(); }

  // Takes the luma of the next frame, 10 bits, rows without gaps. Returns (dy, dx) of each 16×16
  // block against the previous frame, nothing for a first one. Large pictures are searched at half
  // size, blocks of 32×32 by half samples: four times as fast, and detail moves as well.
  std::vector<int16_t> push(const uint16_t* luma);

 private:
  static constexpr int kLarge = 500000;  // samples

  // Luma as motion is searched in it.
  Plane taken(const uint16_t* luma) const;

  int width_, height_, threads_;
  bool half_;
  Plane before_;
};

}  // namespace gv
