// The encoder's search of motion trees for windows.
#pragma once

#include "motion_tree/frame.hpp"

namespace gv::motion_tree {

struct Found {
  std::vector<int16_t> values;  // windows × kValues
  std::vector<uint8_t> levels;  // windows
  std::vector<float> bits;      // windows: about what the values take at that level
};

// For each window the tree of steps with the least distortion + price · bits among vectors that
// block search finds, the leaves first; distortion is the sum of absolute differences of luma, 8
// bits. With `far` (or null) each leaf takes its source too. `most`: levels of the windows, at
// most; a window of 0 is not searched, and the far frame only for those of kLevels. Whether a copy (level 0) is better is for the caller to weigh.
Found choose_motion(const Still& source, const Frame& near, const Frame* far, Times times,
                    int price, const uint8_t* most, int threads);

}  // namespace gv::motion_tree
