// The encoder's choice of the tokens of one window by rate and distortion.
#pragma once

#include "klt/costs.hpp"
#include "klt/encoder.hpp"

namespace gv {

// Bottom up: every region of 32…256 samples compares what its parts cost with a token of its own,
// under which the finest tokens are chosen anew, and with nothing at all. J = weight · squared
// error in quarter sample steps + lambda · bits; each 16×16 block has its weight.
class WindowTokens {
 public:
  WindowTokens(LoopState& state, const Residual& target, const std::vector<float>& weight,
               const EncoderTools& tools, const Costs& costs, const FineCosts& fine, int q,
               bool key);
  // Writes the tokens of window (wx, wy) into state.now.
  void choose(int wx, int wy);

 private:
  // The finest tokens as they would be coded.
  struct Finest {
    std::vector<int16_t> values;  // 16×16 regions × 384
    std::vector<uint8_t> coded;
    std::vector<float> j;
    Finest();
  };
  // A region of the level in work, in units of 16×16 regions of the window.
  struct Region {
    int level, x, y, right, low;
    int node;  // in state.now.level[level]
  };

  LoopState& state_;
  const Residual& target_;
  const std::vector<float>& weight_;
  const EncoderTools& tools_;
  const Costs& costs_;
  const FineCosts& fine_;
  int q_;
  bool key_;
  float lambda_;
  int x0_ = 0, y0_ = 0, wide_ = 0, high_ = 0;  // the window in 16×16 regions
  Finest best_, trial_;
  std::vector<float> nothing_;  // weighted squared error of each 16×16 region without any token

  float weight(int x, int y) const {
    return weight_[static_cast<size_t>(y0_ + y) * state_.now.blocks_wide + x0_ + x];
  }
  // Chooses the finest token of a region; returns the weighted squared error without it.
  float set_finest(Finest& out, int x, int y, const int16_t* samples) const;
  float empty_cost(const Region& r) const;
  // Cost with a token of the region's own if that is below `limit`; the tokens are kept then.
  float try_coarse(const Region& r, float limit);
  void drop(const Region& r, int from_level);
  void write();
  // Quantises one token of this energy whose errors have this weight; returns how much J falls
  // against leaving it out (0 or less: left out).
  float quantise(int l, const int16_t* samples, uint32_t energy, float weight,
                 int16_t* values) const;
  // The same for a finest token at (x, y) of the window, whose neighbours are in `out`.
  float quantise_finest(const Finest& out, int x, int y, const int16_t* samples, uint32_t energy,
                        int16_t* values) const;
  Surroundings surroundings(const Finest& out, int x, int y, int32_t* predicted, int count) const;
};

}  // namespace gv
