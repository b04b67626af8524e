// In-loop deblocking of the 16×16 block edges (luma) and 8×8 edges (chroma).
//
// Per line across an edge with samples p3 p2 p1 p0 | q0 q1 q2 q3: nothing where the texture is
// strong (second differences above beta), a long filter where both sides are flat, else a short one
// that moves p0 and q0. Limits grow with the quantiser step. All edges of one direction are
// independent of each other.
#pragma once

#include "common/basics.hpp"

namespace gv {

struct DeblockLimits {
  int beta = 0, tc = 0;
};

DeblockLimits deblock_limits(int q);

// `across`: distance between samples over the edge; `along`: between lines; `q0` points at the
// first sample behind it.
void deblock_edge(uint16_t* q0, ptrdiff_t across, ptrdiff_t along, int lines, DeblockLimits limits);

}  // namespace gv
