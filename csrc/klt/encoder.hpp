// Encoder of the KLT structure layer: motion search and quadtree, rate-distortion optimised tokens.
//
// Decisions may use floating point (they select what is written, not how it is read); the result
// does not depend on the number of threads.
#pragma once

#include "klt/codec.hpp"

namespace gv {

struct EncoderTools {
  double lambda = 0.10;  // Lagrange multiplier of a bit in units of the squared quantiser step
  double aq =
      0.5;  // a block of twice the variance is coarser by so many q, in effect (by its multiplier)
  bool coarse_tokens = true;  // levels 4…1
  bool quadtree = true;       // motion of larger regions
  bool merge = true;          // tries the vectors of neighbours
  bool fractions = true;      // vectors in quarter samples, else in whole ones
  bool golden = true;         // prediction from a second frame
  bool rdoq = true;           // else plain dead-zone rounding
  bool deblock = true;        // for measuring only: decoders always do
};

struct FrameReport {
  std::vector<uint8_t> payload;
  std::vector<float> window_bits;  // code length of each window, row by row
  bool key = false;
};

class KltEncoder {
 public:
  KltEncoder(const Model& model, int width, int height, int threads, EncoderTools tools);

  // Encodes one frame. `source` holds padded planes. A frame that has nothing in common with the
  // last one becomes a key frame by itself when `scene_cut` is set; then key_q is its quality.
  // `lambda_map` multiplies the Lagrange multiplier of each 16×16 luma block, row by row; empty = 1
  // everywhere. Values are clamped to 1/64…64. `golden`: later frames may predict from this one
  // until another takes its place.
  FrameReport encode(const Picture& source, int q, int key_q, bool key, bool scene_cut,
                     const std::vector<float>& lambda_map = {}, bool golden = false);

  // Undo: `save` before a frame, `restore` after it, and it was never encoded. Needed by rate
  // control, whose last frames have to fit to the byte.
  void save();
  void restore();

  const Picture& loop() const { return state_.loop; }
  // For fitting: what the last frame's prediction left over, before any token is taken off.
  const Residual& residual() const { return target_; }
  // For fitting: what the model has learned so far.
  const MixState& learned() const { return state_.mix; }
  void set_initial(const MixState& mix) { state_.mix = mix; }
  bool keep_learning = false;  // do not restore the initial state at key frames

 private:
  LoopState state_;
  EncoderTools tools_;
  Residual target_;
  // What a frame's coding starts from.
  struct Saved {
    MixState mix;
    FrameTokens now, before;
    Picture loop;
    std::shared_ptr<const Picture> golden;
    std::vector<Mv> to_golden;
  } saved_;
  std::vector<Mv> to_golden_;  // where the golden frame has what a block of the last frame shows
  std::vector<float> weight_;  // of a squared error in each 16×16 block: one over its multiplier

  void weigh(const Picture& source, const std::vector<float>& lambda_map);
  bool decide_motion(const Picture& source, int q, bool scene_cut);  // false: scene cut
  std::vector<Mv> golden_seeds(const MotionField& last) const;
  void follow_golden();
  void choose_tokens(const Picture& source, int q, bool key);
};

}  // namespace gv
