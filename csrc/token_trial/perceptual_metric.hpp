// A perceptual distance of painted windows from their source: a network of VGG16's form
// [arXiv:1409.1556] whose maps are compared as LPIPS does [arXiv:1801.03924, section 3].
//
// Convolutions are of integers and exact; colours, pooling and distances are of single precision,
// one operation after another in a fixed order, without contraction. So every machine finds the
// same distances, to the bit.
#pragma once

#include <array>
#include <vector>

#include "token_trial/convolution_forms.hpp"

namespace gv {

// A convolution 3×3 with zeros around: weight (outputs, inputs, 3, 3), bias (outputs); no sum is
// expected above `range`.
struct MetricLayer {
  int outputs = 0, inputs = 0;
  std::vector<float> weight, bias;
  float range = 0;
};

// Convolutions of a stage, and the weights of squared differences of its channels.
struct MetricStage {
  std::vector<MetricLayer> layers;
  std::vector<float> weight;
};

// 10-bit planes, rows without gaps: luma (height, width), chroma at half size, rounded up.
struct MetricPicture {
  std::array<const uint16_t*, 3> planes;
  int width, height;
};

// Even numbers of luma samples.
struct MetricWindow {
  int top, left, height, width;
};

// Factors of Y, U and V, of which `offset` has been taken, in R, G and B of 0…1; the 10-bit samples
// are cut to 8 bits before that where `eight_bits`.
struct MetricColour {
  float offset[3];
  float factors[3][3];
  bool eight_bits;
};

class PerceptualMetric {
 public:
  // Throws std::invalid_argument for layers that do not fit together.
  explicit PerceptualMetric(const std::vector<MetricStage>& stages);
  ~PerceptualMetric();
  PerceptualMetric(const PerceptualMetric&) = delete;
  PerceptualMetric& operator=(const PerceptualMetric&) = delete;

  // Distances (pictures, windows) of painted pictures from their source, all of one size.
  std::vector<double> distances(const MetricPicture& source,
                                const std::vector<MetricPicture>& painted,
                                const std::vector<MetricWindow>& windows,
                                const MetricColour& colour, int threads) const;

 private:
  struct Layer;
  struct StageMap;
  struct Stage;
  struct Work;

  void compute_maps(const MetricPicture& picture, const MetricWindow& window,
                    const MetricColour& colour, Work& work, std::vector<StageMap>& maps) const;

  std::vector<Stage> stages_;
};

}  // namespace gv
