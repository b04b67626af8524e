// Entropy model v1: a small integer network that corrects the mixer's log odds by what the
// prediction, the decoded neighbourhood and the past of a token say. In Python:
// gvcodec/structure/klt/reference_refiner.py.
//
// A token's features (how loud its neighbours, its past, its predicted samples are, band by band)
// go through one layer once a token; a decision adds features of its own and a table row, and a
// second layer gives the correction. What the network remembers of a window is
// `FrameTokens::memory`: leaky means of what was coded, moved along with the picture by the vectors
// into the last frame. Where only the golden frame is used these are zero, and the memory stays in
// its place.
#pragma once

#include "entropy/intnet.hpp"
#include "entropy/mixer.hpp"
#include "klt/buckets.hpp"
#include "klt/tokens.hpp"

namespace gv {

struct Model;
struct Picture;

namespace refine {
constexpr int kTokenFeatures = 80, kDecisionFeatures = 16;
constexpr int kHidden = 32;  // units of a second layer
enum Kind : int { kAny, kLast, kSig, kSize, kNetworks };
constexpr int kRows =
    4 * 72;  // of a network's table: (finest level or not, key or inter) × bucket of the index
constexpr int kRelatives = 4;
constexpr int kEarly = 128;  // coefficients of its prediction that every visited token looks at
constexpr int kDeltaLimit = 1023;
constexpr int32_t kSumLimit = 1 << 17, kMaxMultiplier = (1 << 13) - 1,
                  kMaxRow = 1 << 24;  // products of sums fit into 32 bits
constexpr int kMaxUnits = 128;
}  // namespace refine

// The second layer of one kind of decision. A unit's sum, clamped to ±kSumLimit, is requantised as
// in intnet.hpp.
struct DecisionNetwork {
  std::vector<int16_t> token;  // kHidden × units of the token layer, -128…127
  std::array<int32_t, refine::kDecisionFeatures * refine::kHidden>
      decision{};            // features × kHidden, -128…127
  std::vector<int32_t> row;  // kRows × kHidden: table, biases included, ±kMaxRow
  std::array<int32_t, refine::kHidden> multiplier{};  // 0…kMaxMultiplier
  int shift = 1;                                      // 1…30
  std::array<int32_t, refine::kHidden> out{};         // -128…127
  int32_t out_bias = 0, out_multiplier = 0;
  int out_shift = 1;
};

struct RefinerModel {
  std::vector<DenseLayer> token;  // one layer; empty: no refiner
  std::array<DecisionNetwork, refine::kNetworks> network;
  // Key, inter and coarse tokens: for each index kRelatives earlier ones of the nearest
  // frequencies, -1 = none.
  std::array<std::vector<int16_t>, 3> relatives;
  bool empty() const { return token.empty(); }
};

// Prediction, less 512, in region (x, y) of a level, averaged as a token of that level is; samples
// outside repeat the edge.
void predicted_samples(const Picture& prediction, int level, int x, int y, int16_t* out);

// The mixer's log odds as a feature.
inline uint8_t stretched_feature(int stretched) {
  return static_cast<uint8_t>((stretched + 2048) >> 5);
}

class Refiner {
 public:
  // Of one frame. `prediction` is looked at from `begin` on, when the motion of the whole frame is
  // in `now`.
  Refiner(const Model& model, const Picture& prediction, FrameTokens& now,
          const FrameTokens& before, int q, bool key);

  void begin();     // forgets the bands of `now`, moves the memory along
  void remember();  // at the end of the frame: its memory
  // A token whose decisions come next: region (x, y) of level l; `past`: the token of the frame
  // before that its motion points at; `siblings`: how many of the same parent that came before have
  // any values.
  void visit(int l, int x, int y, int past, uint32_t siblings);
  void coded();  // the token visited has its values

  // Its decisions; the answers hold until the next call.
  const Refinement* any();
  const Refinement* last(int group);  // is the last index beyond this group? Asked from group 0 on
  // Coefficient i is next, the values before it are known.
  void coefficient(int i, int last, int before1, int before2);
  const Refinement* significant();
  const Refinement* larger(int than);

  // Contexts for the mixer: bucket of the predicted coefficient's size and its sign; bucket of what
  // the relatives hold.
  uint32_t predicted8(int i) const { return ratio8(predicted_[i], step_); }
  int predicted_sign(int i) const { return predicted_[i]; }
  uint32_t relatives3() const { return relatives3_; }

  const int16_t* features() const { return feature_; }  // of the token, 0…127
  int delta(const Refinement& r, int stretched);

 private:
  const Model& model_;
  const RefinerModel& net_;
  const Picture& prediction_;
  FrameTokens& now_;
  const FrameTokens& before_;
  int q_;
  bool key_;
  std::vector<uint32_t> moved_;  // blocks × kBands: memory where the motion points at

  // Of the token visited; neighbours are nodes of its level, -1 = none.
  int l_ = 0, at_ = 0, left_ = -1, above_ = -1, diagonal_[2] = {-1, -1}, past_ = -1;
  int step_ = 1, step_before_ = 1;
  uint64_t inverse_ = 1;                   // 2^20 / step
  int16_t region_[kBlockSamples];          // its prediction
  int32_t predicted_[kBlockSamples] = {};  // coefficients of that
  int known_ = 0;                          // so many of them
  uint64_t beyond_[17];                    // their sums beyond each group of last indices
  int16_t feature_[refine::kTokenFeatures];
  std::array<int16_t, refine::kMaxUnits> hidden_;
  std::array<std::array<int32_t, refine::kHidden>, refine::kNetworks>
      base_;  // what it adds to the second layers
  bool has_hidden_ = false;
  std::array<bool, refine::kNetworks> has_base_{};
  uint32_t sum_so_far_ = 0, relatives3_ = 0;
  Refinement refinement_;

  void predict(int x, int y);
  void look_further();  // the rest of the coefficients
  const Refinement* ready(refine::Kind kind, int row);
  uint8_t loud(uint64_t amplitude) const;      // of quarter samples against the step
  uint8_t loud_before(uint64_t levels) const;  // of quantised values of the frame before
};

}  // namespace gv
