// Pictures that are coded at 3/4 or 1/2 of their size, at full size (docs/spec/bases.md: Reduced
// sizes).
#pragma once

#include "common/basics.hpp"

namespace gv {

// A plane of `columns` × `rows` samples without gaps, whose size the scale divides. Writes the top
// left `width` × `height` samples of the larger one. `scale`: 1: 3/4, 2: 1/2.
void upsample(const std::vector<uint16_t>& plane, int columns, int rows, int scale, uint16_t* out,
              int width, int height);

}  // namespace gv
