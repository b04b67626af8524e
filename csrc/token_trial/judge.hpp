// A perceptual distance of painted windows from their source: a network of VGG16's form
// [arXiv:1409.1556] whose maps are compared as LPIPS does [arXiv:1801.03924, section 3].
//
// Convolutions are of integers and exact; colours, pooling and distances are of single precision,
// one operation after another in a fixed order, without contraction. So every machine finds the
// same distances, to the bit.
#pragma once

#include <array>
#include <vector>

#include "token_trial/judge_forms.hpp"

namespace gv {

// A convolution 3×3 with zeros around: weight (outputs, inputs, 3, 3), bias (outputs); no sum is
// expected above `range`.
struct JudgeLayer {
  int outputs = 0, inputs = 0;
  std::vector<float> weight, bias;
  float range = 0;
};

// Convolutions of a stage, and what squared differences of its channels weigh.
struct JudgeStage {
  std::vector<JudgeLayer> layers;
  std::vector<float> weight;
};

// 10-bit planes, rows without gaps: luma (height, width), chroma at half size, rounded up.
struct JudgePicture {
  std::array<const uint16_t*, 3> planes;
  int width, height;
};

// Even numbers of luma samples.
struct JudgeWindow {
  int top, left, height, width;
};

// Factors of Y, U and V, of which `offset` has been taken, in R, G and B of 0…1; the 10-bit samples
// are cut to 8 bits before that where `eight_bits`.
struct JudgeColour {
  float offset[3];
  float factors[3][3];
  bool eight_bits;
};

class PerceptualJudge {
 public:
  // Throws std::invalid_argument for layers that do not fit together.
  explicit PerceptualJudge(const std::vector<JudgeStage>& stages);
  ~PerceptualJudge();
  PerceptualJudge(const PerceptualJudge&) = delete;
  PerceptualJudge& operator=(const PerceptualJudge&) = delete;

  // Distances (pictures, windows) of painted pictures from their source, all of one size.
  std::vector<double> distances(const JudgePicture& source,
                                const std::vector<JudgePicture>& painted,
                                const std::vector<JudgeWindow>& windows, const JudgeColour& colour,
                                int threads) const;

 private:
  struct Layer;
  struct Stage;
  std::vector<Stage> stages_;
};

}  // namespace gv
