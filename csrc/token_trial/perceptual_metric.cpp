#include "token_trial/perceptual_metric.hpp"

#include <atomic>
#include <cmath>

#include "common/pool.hpp"
#include "token_trial/feature_map.hpp"
#include "transformer/float_mode.hpp"

namespace gv {

namespace {

// Values of maps are whole numbers of steps, at most this; sixteen of them fit 16 bits when four
// are added up, as the transform of tiles does.
constexpr int kMost = 8191;
// Largest size of normalized R, G and B, which saturated chroma takes out of 0…1.
constexpr float kColourRange = 7.0f;
constexpr float kMean[3] = {0.485f, 0.456f, 0.406f}, kDeviation[3] = {0.229f, 0.224f, 0.225f};
constexpr int kMostShift = 20;
constexpr float kTiny = 1e-10f;  // added to squared lengths

// Of a row of places.
GV_SIMD(void, add_squares, (const int16_t* values, int count, float* sums),
        (values, count, sums)) {
  for (int i = 0; i < count; ++i) {
    const float v = values[i];
    sums[i] += v * v;
  }
}

// `step`: of the values.
GV_SIMD(void, invert_lengths, (float* squares, int count, float step), (squares, count, step)) {
  for (int i = 0; i < count; ++i)
    squares[i] = step / std::sqrt(squares[i] * (step * step) + kTiny);
}

GV_SIMD(void, add_differences,
        (const int16_t* one, const float* scale, const int16_t* other, const float* other_scale,
         float weight, int count, float* sums),
        (one, scale, other, other_scale, weight, count, sums)) {
  for (int i = 0; i < count; ++i) {
    const float d = one[i] * scale[i] - other[i] * other_scale[i];
    sums[i] += weight * (d * d);
  }
}

// The root of Hann-weighted means of squares, three rows of three: `even` and `odd` columns.
GV_SIMD(void, pool_places,
        (const int16_t* const* even, const int16_t* const* odd, int count, int16_t* out),
        (even, odd, count, out)) {
  const int16_t *e0 = even[0], *e1 = even[1], *e2 = even[2];
  const int16_t *o0 = odd[0], *o1 = odd[1], *o2 = odd[2];
  for (int i = 0; i < count; ++i) {
    const int before = o0[i - 1] * o0[i - 1] + 2 * (o1[i - 1] * o1[i - 1]) + o2[i - 1] * o2[i - 1];
    const int here = e0[i] * e0[i] + 2 * (e1[i] * e1[i]) + e2[i] * e2[i];
    const int after = o0[i] * o0[i] + 2 * (o1[i] * o1[i]) + o2[i] * o2[i];
    // At most 2^30.
    const float sum = static_cast<float>(before + 2 * here + after);
    out[i] = static_cast<int16_t>(std::sqrt(sum * 0.0625f) + 0.5f);
  }
}

// Half as large each way.
void pool(const FeatureMap& in, std::vector<int16_t>& line, FeatureMap& out) {
  const int height = ceil_div(in.height(), 2), width = ceil_div(in.width(), 2);
  out.reset(in.channels(), height, width);
  line.resize(static_cast<size_t>(in.places()));
  for (int c = 0; c < in.channels(); ++c) {
    const int16_t* p[4];
    for (int n = 0; n < 4; ++n) p[n] = in.phase(c, n);
    const int16_t* const even[3] = {p[2] - in.row(), p[0], p[2]};
    const int16_t* const odd[3] = {p[3] - in.row(), p[1], p[3]};
    pool_places(even, odd, in.places(), line.data());
    for (int y = 0; y < height; ++y) {
      const int16_t* from = line.data() + static_cast<size_t>(y) * in.row();
      int16_t* left = out.phase(c, y % 2 * 2) + y / 2 * out.row();
      int16_t* right = out.phase(c, y % 2 * 2 + 1) + y / 2 * out.row();
      for (int x = 0; x < width / 2; ++x) left[x] = from[2 * x], right[x] = from[2 * x + 1];
      if (width % 2) left[width / 2] = from[width - 1];
    }
    out.clear_margins(c);
  }
}

int16_t sample(const uint16_t* plane, size_t at, bool eight_bits) {
  const int v = std::min<int>(plane[at], kMaxSample);
  return static_cast<int16_t>(eight_bits ? std::min((v + 2) >> 2, 255) << 2 : v);
}

// A row of chroma of a window, twice as long, in sixteenths: linear between samples both ways,
// edges of the window repeated.
void double_chroma(const uint16_t* plane, int stride, const MetricWindow& w, int y, bool eight_bits,
                   int* out) {
  const int height = w.height / 2, width = w.width / 2, top = w.top / 2, left = w.left / 2;
  const int near = y / 2, far = clamp(near + (y % 2 ? 1 : -1), 0, height - 1);
  const auto at = [&](int x) {
    x = clamp(x, 0, width - 1);
    const auto row = [&](int n) { return static_cast<size_t>(top + n) * stride + left + x; };
    return 3 * sample(plane, row(near), eight_bits) + sample(plane, row(far), eight_bits);
  };
  for (int x = 0; x < width; ++x) {
    out[2 * x] = 3 * at(x) + at(x - 1);
    out[2 * x + 1] = 3 * at(x) + at(x + 1);
  }
}

// R, G, B of a window, normalized, and a channel of zeros.
void normalize(const MetricPicture& picture, const MetricWindow& w, const MetricColour& colour,
               FeatureMap& out) {
  out.reset(4, w.height, w.width);
  const float step = kColourRange / kMost;
  for (int n = 0; n < 4; ++n) std::fill_n(out.phase(3, n), out.places(), int16_t{0});
  std::vector<int> chroma[2];
  for (auto& row : chroma) row.resize(static_cast<size_t>(w.width));
  const int half = ceil_div(picture.width, 2);
  for (int y = 0; y < w.height; ++y) {
    for (int n = 0; n < 2; ++n)
      double_chroma(picture.planes[n + 1], half, w, y, colour.eight_bits, chroma[n].data());
    const size_t start = static_cast<size_t>(w.top + y) * picture.width + w.left;
    for (int x = 0; x < w.width; ++x) {
      const float luma = sample(picture.planes[0], start + x, colour.eight_bits);
      const float yuv[3] = {luma - colour.offset[0], chroma[0][x] * 0.0625f - colour.offset[1],
                            chroma[1][x] * 0.0625f - colour.offset[2]};
      for (int c = 0; c < 3; ++c) {
        const float* f = colour.factors[c];
        const float v = (f[0] * yuv[0] + f[1] * yuv[1]) + f[2] * yuv[2];
        const float scaled = (v - kMean[c]) / (kDeviation[c] * step);
        const float most = kMost;
        out.phase(c, y % 2 * 2 + x % 2)[y / 2 * out.row() + x / 2] =
            static_cast<int16_t>(std::floor(std::min(std::max(scaled, -most), most) + 0.5f));
      }
    }
  }
  for (int c = 0; c < 4; ++c) out.clear_margins(c);
}

}  // namespace

// Integers of a layer: `weight` (points, outputs / 4, pairs, 4), pairs of inputs.
struct PerceptualMetric::Layer {
  int outputs, inputs, shift;
  std::vector<int32_t> weight, start;

  // `in` and `out`: steps of the maps before and after.
  Layer(const MetricLayer& layer, double in, double out);

  struct Scratch {
    std::vector<int32_t> values, sums;
  };
  void run(const FeatureMap& in, Scratch& scratch, FeatureMap& out) const;
};

namespace {

// The largest shift at which no sum of outputs (kMost times the sizes of all weights, and the
// rounding of weights) leaves 32 bits and no transformed weight 16. `factor`: of weights without a
// shift.
int largest_shift(const MetricLayer& layer, int inputs, double factor, double out) {
  double most = 0, sum = 0;
  const size_t count = static_cast<size_t>(layer.inputs) * 9;
  for (int o = 0; o < layer.outputs; ++o) {
    double size = 0;
    for (size_t i = 0; i < count; ++i) {
      const double w = std::abs(layer.weight[o * count + i]);
      size += w, most = std::max(most, w);
    }
    sum = std::max(sum, size * factor * kMost + std::abs(layer.bias[o]) / out);
  }
  int shift = 0;
  // A transformed weight is at most 9/4 of the largest; rounding moves each of them by half.
  const double rounded = 0.5 * kPoints * 4.0 * kMost * inputs;
  const auto fits = [&](int bits) {
    return std::ldexp(sum, bits) + rounded + std::ldexp(0.5, bits) < 2e9 &&
           std::ldexp(most * factor * 2.25, bits) < 32767;
  };
  while (shift < kMostShift && fits(shift + 1)) ++shift;
  return shift;
}

// G g Gᵀ of a kernel.
void transform_kernel(const float* g, double* out) {
  double rows[4][3];
  for (int x = 0; x < 3; ++x) {
    const double a = g[x], b = g[3 + x], c = g[6 + x];
    rows[0][x] = a, rows[1][x] = (a + b + c) / 2, rows[2][x] = (a - b + c) / 2, rows[3][x] = c;
  }
  for (int y = 0; y < 4; ++y) {
    const double a = rows[y][0], b = rows[y][1], c = rows[y][2];
    double* to = out + 4 * y;
    to[0] = a, to[1] = (a + b + c) / 2, to[2] = (a - b + c) / 2, to[3] = c;
  }
}

}  // namespace

PerceptualMetric::Layer::Layer(const MetricLayer& layer, double in, double out)
    : outputs(layer.outputs), inputs((layer.inputs + 1) / 2 * 2) {
  const double factor = in / out;
  shift = largest_shift(layer, inputs, factor, out);
  const int pairs = inputs / 2;
  weight.assign(static_cast<size_t>(kPoints) * outputs * pairs, 0);
  for (int o = 0; o < outputs; ++o) {
    for (int i = 0; i < layer.inputs; ++i) {
      double points[kPoints];
      transform_kernel(&layer.weight[(static_cast<size_t>(o) * layer.inputs + i) * 9], points);
      for (int p = 0; p < kPoints; ++p) {
        const int v = static_cast<int>(std::floor(std::ldexp(points[p] * factor, shift) + 0.5));
        int32_t& pair =
            weight[((static_cast<size_t>(p) * outputs / 4 + o / 4) * pairs + i / 2) * 4 + o % 4];
        pair |= static_cast<int32_t>((static_cast<uint32_t>(v) & 0xffff) << (i % 2 * 16));
      }
    }
    start.push_back(static_cast<int32_t>(
        std::floor(std::ldexp(layer.bias[o] / out, shift) + std::ldexp(0.5, shift) + 0.5)));
  }
}

void PerceptualMetric::Layer::run(const FeatureMap& in, Scratch& scratch, FeatureMap& out) const {
  const ConvolutionForms& forms = convolution_forms();
  const int pairs = inputs / 2;
  const size_t values_stride = static_cast<size_t>(pairs) * kTiles + kApart;
  scratch.values.resize(kPoints * values_stride);
  scratch.sums.resize(static_cast<size_t>(outputs) * kSumsStride);
  out.reset(outputs, in.height(), in.width());
  for (int f = 0; f < in.places(); f += kTiles) {
    for (int k = 0; k < pairs; ++k) {
      const int16_t* phases[8];
      for (int n = 0; n < 8; ++n) phases[n] = in.phase(2 * k + n / 4, n % 4) + f;
      forms.transform(phases, in.row(), scratch.values.data() + k * kTiles, values_stride);
    }
    for (int p = 0; p < kPoints; ++p)
      forms.multiply(scratch.values.data() + p * values_stride,
                     weight.data() + static_cast<size_t>(p) * outputs * pairs, pairs, outputs,
                     scratch.sums.data() + p * kTiles);
    for (int o = 0; o < outputs; ++o) {
      int16_t* phases[4];
      for (int n = 0; n < 4; ++n) phases[n] = out.phase(o, n) + f;
      forms.finish(scratch.sums.data() + o * kSumsStride, start[o], shift, kMost, phases);
    }
  }
  for (int o = 0; o < outputs; ++o) out.clear_margins(o);
}

// A map of a picture and the inverse length of the values of each place and phase.
struct PerceptualMetric::StageMap {
  FeatureMap map;
  std::vector<float> scale[4];
};

struct PerceptualMetric::Stage {
  std::vector<Layer> layers;
  std::vector<float> weight;
  float step;  // of its map

  void measure(StageMap& result) const {
    for (int n = 0; n < 4; ++n) {
      result.scale[n].assign(static_cast<size_t>(result.map.places()), 0.0f);
      for (int c = 0; c < result.map.channels(); ++c)
        add_squares(result.map.phase(c, n), result.map.places(), result.scale[n].data());
      invert_lengths(result.scale[n].data(), result.map.places(), step);
    }
  }

  // The mean over positions of the weighted squared difference.
  double distance(const StageMap& one, const StageMap& other, std::vector<float>& sums) const {
    double total = 0;
    for (int n = 0; n < 4; ++n) {
      sums.assign(static_cast<size_t>(one.map.places()), 0.0f);
      for (int c = 0; c < one.map.channels(); ++c)
        add_differences(one.map.phase(c, n), one.scale[n].data(), other.map.phase(c, n),
                        other.scale[n].data(), weight[c], one.map.places(), sums.data());
      for (const float sum : sums) total += sum;
    }
    return total / (static_cast<double>(one.map.height()) * one.map.width());
  }
};

PerceptualMetric::PerceptualMetric(const std::vector<MetricStage>& stages) {
  check(!stages.empty(), "a metric without stages");
  int inputs = 3;
  double step = static_cast<double>(kColourRange) / kMost;
  for (const MetricStage& stage : stages) {
    check(!stage.layers.empty(), "a stage without layers");
    stages_.push_back({{}, stage.weight, 0});
    for (const MetricLayer& layer : stage.layers) {
      check(layer.inputs == inputs && layer.outputs >= 4 && layer.outputs <= 512 &&
                layer.outputs % 4 == 0 && layer.range > 0 &&
                layer.weight.size() == static_cast<size_t>(layer.outputs) * inputs * 9 &&
                layer.bias.size() == static_cast<size_t>(layer.outputs),
            "a layer of another shape");
      const double out = static_cast<double>(layer.range) / kMost;
      stages_.back().layers.emplace_back(layer, step, out);
      inputs = layer.outputs, step = out;
    }
    check(stage.weight.size() == static_cast<size_t>(inputs), "weights of another stage");
    stages_.back().step = static_cast<float>(step);
  }
}

PerceptualMetric::~PerceptualMetric() = default;

// Buffers of a thread.
struct PerceptualMetric::Work {
  explicit Work(size_t stages) : reference(stages), painted(stages) {}
  std::vector<StageMap> reference, painted;
  FeatureMap map, next;
  Layer::Scratch scratch;
  std::vector<int16_t> line;
  std::vector<float> sums;
};

void PerceptualMetric::compute_maps(const MetricPicture& picture, const MetricWindow& window,
                                    const MetricColour& colour, Work& work,
                                    std::vector<StageMap>& maps) const {
  normalize(picture, window, colour, work.next);
  for (size_t s = 0; s < stages_.size(); ++s) {
    const Stage& stage = stages_[s];
    if (s > 0) pool(maps[s - 1].map, work.line, work.next);
    for (const Layer& layer : stage.layers) {
      std::swap(work.map, work.next);
      layer.run(work.map, work.scratch,
                &layer == &stage.layers.back() ? maps[s].map : work.next);
    }
    stage.measure(maps[s]);
  }
}

std::vector<double> PerceptualMetric::distances(const MetricPicture& source,
                                               const std::vector<MetricPicture>& painted,
                                               const std::vector<MetricWindow>& windows,
                                               const MetricColour& colour, int threads) const {
  for (const MetricWindow& w : windows)
    check(w.top >= 0 && w.left >= 0 && w.height > 0 && w.width > 0 &&
              w.height <= source.height - w.top && w.width <= source.width - w.left &&
              (w.top | w.left | w.height | w.width) % 2 == 0,
          "a window outside of the picture, or of odd numbers");
  for (const MetricPicture& picture : painted)
    check(picture.width == source.width && picture.height == source.height,
          "pictures of different sizes");
  const int count = static_cast<int>(windows.size());
  std::vector<double> result(painted.size() * windows.size());
  std::atomic<int> next{0};
  // Each thread keeps its maps from window to window.
  threads = std::min(threads, count);
  parallel_for(threads, threads, [&](int) {
    const exact::StandardFloats mode;
    Work work(stages_.size());
    for (int n = next++; n < count; n = next++) {
      const size_t place = static_cast<size_t>(n);
      compute_maps(source, windows[place], colour, work, work.reference);
      for (size_t p = 0; p < painted.size(); ++p) {
        compute_maps(painted[p], windows[place], colour, work, work.painted);
        double total = 0;
        for (size_t s = 0; s < stages_.size(); ++s)
          total += stages_[s].distance(work.painted[s], work.reference[s], work.sums);
        result[p * windows.size() + place] = total;
      }
    }
  });
  return result;
}

}  // namespace gv
