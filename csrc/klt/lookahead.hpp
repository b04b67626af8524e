// What later frames gain from each block of a frame, for the encoder's choice of where to spend
// bits.
//
// Motion between source frames is searched at half size. The error that quantisation leaves in a
// block is handed on to the blocks that it predicts: wholly where nothing new appears (the residual
// is below the quantiser and nothing is coded), hardly where the residual is large and coded anew.
#pragma once

#include <deque>

#include "klt/tokens.hpp"

namespace gv {

class Lookahead {
 public:
  Lookahead(int width, int height, int threads);

  // Takes the next frame's luma, padded and with margins.
  void push(const Plane& luma);

  // For each 16×16 block of the oldest frame held: how many blocks' worth of squared error change
  // when its own does, at least 1. `noise` is the mean squared error (10-bit samples) that the
  // quantiser leaves. Only the first `frames` held count: those before the next key frame.
  std::vector<float> importance(double noise, size_t frames) const;

  // Mean squared error (10-bit samples) of each 16×16 block of the oldest frame, moved from the
  // source frame before it; 0 in the first frame of all.
  const std::vector<float>& error() const { return frames_.front().error; }

  // Lets go of the oldest frame.
  void pop() { frames_.pop_front(); }
  size_t held() const { return frames_.size(); }

 private:
  // How a frame follows from the one before it, for each 16×16 block.
  struct Step {
    std::vector<Mv> mv;
    std::vector<float> error;  // mean squared error of the moved source
  };
  int wide_, high_, threads_;
  Plane luma_, half_;  // of the newest frame
  std::vector<Mv> half_mv_;
  std::deque<Step> frames_;
};

}  // namespace gv
