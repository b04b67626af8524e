// Tokens of a `fit`: integers by region that steer the painter (docs/spec/fit.md: Tokens).
#pragma once

#include "model/painter_model.hpp"

namespace gv {

// Levels of the regions of a picture, and weights of a model that tokens can steer; `q`: 0…63.
// Throws `StreamError`.
PainterSteering read_tokens(Bytes data, const PainterModel& model, int width, int height, int q);

}  // namespace gv
