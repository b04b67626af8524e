// Tokens of a `fit`: integers by region that steer the painter (docs/spec/fit.md: Tokens).
#pragma once

#include "model/painter_model.hpp"

namespace gv {

// Levels of the regions of a picture, and weights of a model that tokens can steer; `q`: 0…63.
// Throws `StreamError`.
PainterSteering read_tokens(Bytes data, const PainterModel& model, int width, int height, int q);

// Regions of 64×64 luma samples that show base frames.
struct UnpaintedRegions {
  int rows = 0, columns = 0;
  std::vector<uint8_t> bits;  // one each, in rows, the lowest of a byte first; empty: no region

  bool shows_base(int row, int column) const {
    const int place = row * columns + column;
    return bits[static_cast<size_t>(place / 8)] >> place % 8 & 1;
  }
};

// Of a picture of this size. Throws `StreamError`.
UnpaintedRegions read_unpainted(Bytes data, int width, int height);

// Copies the samples of these regions from the base frame to the planes.
void show_base(const UnpaintedRegions& regions, const PaintSource& base, uint16_t* const* planes);

}  // namespace gv
