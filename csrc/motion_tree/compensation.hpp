// Motion compensation of base motion: samples from the places of cells. conformance/decoder/motion.py says
// the same in NumPy.
#pragma once

#include "motion_tree/frame.hpp"

namespace gv::motion_tree {

struct Compensation {
  int width, height;
  const Still* picture[2];
  const Places* places;

  // Makes the samples of rows of cells [first, end) in `out`.
  void rows(Still& out, int first, int end) const;
};

// Repeats the edges of a picture of width × height up to whole blocks and into the margin.
void finish_planes(Still& still, int width, int height);

}  // namespace gv::motion_tree
