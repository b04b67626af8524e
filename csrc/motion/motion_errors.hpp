// The residual of motion compensation for each block of a video, source frame by frame: scene
// cuts are found by it.
#pragma once

#include "motion/motion_search.hpp"

namespace gv {

class MotionErrors {
 public:
  MotionErrors(int width, int height, int threads);

  // Takes the next frame's luma, padded to 16 and with margins. Returns the mean squared error
  // (10-bit samples) of each 16×16 block predicted from the previous frame, 0 in the first frame.
  // Motion is searched at half size.
  std::vector<float> push(const Plane& luma);

 private:
  int wide_, high_, threads_;
  Plane luma_, half_;  // of the frame before
  std::vector<Mv> half_mv_;
};

}  // namespace gv
