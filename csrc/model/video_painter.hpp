// Paints the base frames of one stream in display order: its condition, fitted weights, motion.
#pragma once

#include "model/tokens.hpp"
#include "motion/block_motion.hpp"

namespace gv {

// The condition of a stream, in 1/256; the last entry is each frame's own.
std::vector<int32_t> stream_condition(Base base, int scale, int q);
// A frame's own entry: `size` bytes of its payload; 0: unknown.
int frame_condition(uint64_t size, int width, int height);

// Parameters that paint the frames of a GOP.
struct GopPainting {
  bool identity = false;  // painted frames are base frames; the rest is empty
  PainterLayers layers;
  PainterSteering steering;
  UnpaintedRegions unpainted;
};
// The `fit` payload in force, nothing: the model as it is. `look`: a place of the dial, 0…100,
// instead of the payload's; −1: as it says. `use_tokens` false: tokens are left aside. `width` ×
// `height` pictures; `q`: 0…63. Throws `StreamError`.
GopPainting prepare_gop(const PainterModel& model, const std::optional<Bytes>& fit, int look,
                        bool use_tokens, int width, int height, int q);

class VideoPainter {
 public:
  // `q`: 0…63; `threads`: at least 1. Throws `StreamError` and std::bad_alloc.
  VideoPainter(int width, int height, Base base, int scale, int q, PainterModel model, int threads);

  // Forgets the past and takes the `fit` payload in force, as `prepare_gop` does.
  void start_gop(const std::optional<Bytes>& fit, int look, bool use_tokens);
  // Whether pictures differ from base frames in this GOP.
  bool paints() const { return !identity_; }
  // `size`: bytes of the frame's payload, 0: unknown. `planes` may not be those of `base`.
  void paint(const PaintSource& base, uint64_t size, uint16_t* const* planes);

 private:
  int width_, height_, q_;
  PainterModel model_;
  std::vector<int32_t> condition_;
  FramePainter painter_;
  BlockMotion motion_;
  UnpaintedRegions unpainted_;
  bool identity_ = false;
};

}  // namespace gv
