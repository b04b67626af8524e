// Detail of a better coded picture for one that was coded with less of it; definition: gvcodec/appearance/detail.py.
#pragma once

#include <vector>

#include "core/common.hpp"

namespace gv {

// What a picture of width × height samples becomes when `moved` (a better one, brought to its place) lends it detail.
std::vector<uint16_t> lend_detail(const uint16_t* luma, const uint16_t* moved, int width, int height, int threads);

}  // namespace gv
