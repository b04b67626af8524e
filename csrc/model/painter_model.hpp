// The painter's file as numbers, and their changes by `fit` packets (docs/spec/models.md,
// fit.md, painter.md: Strength).
#pragma once

#include <optional>

#include "entropy/intnet.hpp"
#include "format/header.hpp"
#include "painter/painter.hpp"

namespace gv {

struct PainterModel {
  PainterLayers layers;
  // Where tokens can steer it: integers of a token, weights of their levels in sums of `style`
  // (outputs, dimensions), and the network of their tables.
  int dimensions = 0;
  std::vector<int16_t> token_weight;
  std::optional<IntegerNetwork> token_network;
};

// Throws `StreamError`: `newer` for a painter of another form, `damaged` for other files.
PainterModel read_painter(Bytes file);

constexpr int kScaleCount = 3;

// Painting strength. Factors are eighths of an octave, −40…16: of the gains of the fine, second
// and third scale, then of their amplitudes.
struct Strength {
  int noise = 64, keep = 0;  // 64ths; more of the detail before
  std::array<int, 2 * kScaleCount> factors = {};
};

struct Delta {
  enum Name { head_bias, style_bias, head_weight } name;
  int exponent;  // values · 2^exponent are added
  std::vector<int32_t> values;
};

struct Fit {
  bool identity = false;  // painted frames are base frames
  Strength strength;
  std::vector<Delta> deltas;
  std::optional<Buffer> tokens;
  std::optional<Buffer> unpainted;  // regions that show base frames, a bit each
};

// The payload of a `fit` packet. Throws `StreamError`.
Fit parse_fit(Bytes payload, const PainterModel& model);
// Whether such a payload has tokens, as far as its first byte says.
bool has_tokens(Bytes payload);

// The strength with factors of a place of the dial, 1…100, instead of its own.
Strength with_look(Strength strength, int look);

// Layers changed by deltas, then by strength.
PainterLayers fitted(const PainterModel& model, const Fit& fit);

}  // namespace gv
