// The perceptual metric against its network written out in double precision; and the same distances
// from every form of its loops and any number of threads.
#include <cmath>

#include "check.hpp"
#include "token_trial/perceptual_metric.hpp"

using namespace gvtest;

namespace {

using Stages = std::vector<gv::MetricStage>;

float real(Random& random, float size) {
  return size * static_cast<float>(uniform(random, -1000, 1000)) / 1000;
}

Stages network(Random& random) {
  Stages stages;
  int inputs = 3;
  for (const std::vector<int>& outputs : {std::vector<int>{8, 12}, {20}, {16, 8}}) {
    stages.emplace_back();
    for (const int n : outputs) {
      gv::MetricLayer layer;
      layer.outputs = n, layer.inputs = inputs, layer.range = 12;
      for (int i = 0; i < n * inputs * 9; ++i)
        layer.weight.push_back(real(random, 0.8f / std::sqrt(static_cast<float>(inputs))));
      for (int i = 0; i < n; ++i) layer.bias.push_back(0.6f + real(random, 0.4f));
      stages.back().layers.push_back(layer);
      inputs = n;
    }
    for (int i = 0; i < inputs; ++i) stages.back().weight.push_back(std::abs(real(random, 1)));
  }
  return stages;
}

struct Picture {
  int width, height;
  std::vector<uint16_t> planes[3];

  Picture(Random& random, int w, int h) : width(w), height(h) {
    for (int n = 0; n < 3; ++n) {
      const int across = n ? (w + 1) / 2 : w, down = n ? (h + 1) / 2 : h;
      for (int i = 0; i < across * down; ++i)
        planes[n].push_back(static_cast<uint16_t>(
            clamp(500 + 300 * ((i / 7 + i / across / 5) % 2) + uniform(random, -200, 200))));
    }
  }
  static int clamp(int v) { return v < 0 ? 0 : v > 1023 ? 1023 : v; }
  gv::MetricPicture seen() const {
    return {{planes[0].data(), planes[1].data(), planes[2].data()}, width, height};
  }
};

const gv::MetricColour kColour = {
    {64, 512, 512},
    {{.00114f, .0001f, .00175f}, {.00114f, -.0002f, -.0005f}, {.00114f, .0021f, 0}},
    true};

// (channels, height, width).
struct Map {
  int channels, height, width;
  std::vector<double> v;
  double at(int c, int y, int x) const {
    if (y < 0 || x < 0 || y >= height || x >= width) return 0;
    return v[(static_cast<size_t>(c) * height + y) * width + x];
  }
};

Map colours(const Picture& p, const gv::MetricWindow& w) {
  const auto sample = [&](int n, int y, int x) {
    const int half = n ? 2 : 1;
    y = gv::clamp(y, 0, w.height / half - 1) + w.top / half;
    x = gv::clamp(x, 0, w.width / half - 1) + w.left / half;
    const int v = p.planes[n][static_cast<size_t>(y) * ((p.width + half - 1) / half) + x];
    return 4.0 * std::min((v + 2) / 4, 255);
  };
  const double mean[3] = {0.485, 0.456, 0.406}, deviation[3] = {0.229, 0.224, 0.225};
  Map out{3, w.height, w.width, {}};
  for (int c = 0; c < 3; ++c)
    for (int y = 0; y < w.height; ++y)
      for (int x = 0; x < w.width; ++x) {
        double v = kColour.factors[c][0] * (sample(0, y, x) - kColour.offset[0]);
        for (int n = 1; n < 3; ++n) {
          const int near_y = y / 2, far_y = near_y + (y % 2 ? 1 : -1);
          const int near_x = x / 2, far_x = near_x + (x % 2 ? 1 : -1);
          const double chroma = (9 * sample(n, near_y, near_x) + 3 * sample(n, far_y, near_x) +
                                 3 * sample(n, near_y, far_x) + sample(n, far_y, far_x)) /
                                16;
          v += kColour.factors[c][n] * (chroma - kColour.offset[n]);
        }
        out.v.push_back((v - mean[c]) / deviation[c]);
      }
  return out;
}

Map convolved(const Map& in, const gv::MetricLayer& layer) {
  Map out{layer.outputs, in.height, in.width, {}};
  for (int o = 0; o < layer.outputs; ++o)
    for (int y = 0; y < in.height; ++y)
      for (int x = 0; x < in.width; ++x) {
        double sum = layer.bias[o];
        for (int c = 0; c < in.channels; ++c)
          for (int k = 0; k < 9; ++k)
            sum += layer.weight[(static_cast<size_t>(o) * in.channels + c) * 9 + k] *
                   in.at(c, y + k / 3 - 1, x + k % 3 - 1);
        out.v.push_back(std::max(0.0, sum));
      }
  return out;
}

Map pooled(const Map& in) {
  Map out{in.channels, (in.height + 1) / 2, (in.width + 1) / 2, {}};
  const double hann[3] = {.25, .5, .25};
  for (int c = 0; c < in.channels; ++c)
    for (int y = 0; y < out.height; ++y)
      for (int x = 0; x < out.width; ++x) {
        double sum = 0;
        for (int k = 0; k < 9; ++k) {
          const double v = in.at(c, 2 * y + k / 3 - 1, 2 * x + k % 3 - 1);
          sum += hann[k / 3] * hann[k % 3] * v * v;
        }
        out.v.push_back(std::sqrt(sum));
      }
  return out;
}

double distance(const Stages& stages, Map one, Map other) {
  double total = 0;
  for (size_t s = 0; s < stages.size(); ++s) {
    if (s) one = pooled(one), other = pooled(other);
    for (const gv::MetricLayer& layer : stages[s].layers)
      one = convolved(one, layer), other = convolved(other, layer);
    double sum = 0;
    for (int y = 0; y < one.height; ++y)
      for (int x = 0; x < one.width; ++x) {
        double a = 1e-10, b = 1e-10;
        for (int c = 0; c < one.channels; ++c)
          a += one.at(c, y, x) * one.at(c, y, x), b += other.at(c, y, x) * other.at(c, y, x);
        for (int c = 0; c < one.channels; ++c) {
          const double d = one.at(c, y, x) / std::sqrt(a) - other.at(c, y, x) / std::sqrt(b);
          sum += stages[s].weight[static_cast<size_t>(c)] * d * d;
        }
      }
    total += sum / (one.height * one.width);
  }
  return total;
}

template <class Fn>
bool refused(const Fn& fn) {
  try {
    fn();
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

}  // namespace

int main() {
  Random random(7);
  const Stages stages = network(random);
  const gv::PerceptualMetric metric(stages);
  const Picture source(random, 157, 91);
  Picture near = source;
  for (uint16_t& v : near.planes[0])
    v = static_cast<uint16_t>(Picture::clamp(v + uniform(random, -9, 9)));
  const Picture far(random, 157, 91);
  const std::vector<gv::MetricWindow> windows = {
      {0, 0, 64, 96}, {64, 96, 26, 60}, {2, 4, 50, 22}, {0, 0, 90, 156}};
  const std::vector<gv::MetricPicture> painted = {source.seen(), near.seen(), far.seen()};
  std::vector<double> first;
  in_every_form([&](const std::string&) {
    for (const int threads : {1, 3}) {
      const auto measured = metric.distances(source.seen(), painted, windows, kColour, threads);
      if (first.empty()) first = measured;
      EXPECT(measured == first);
    }
  });
  for (size_t w = 0; w < windows.size(); ++w) {
    const Map reference = colours(source, windows[w]);
    EXPECT(first[w] == 0);
    const Picture* const pictures[2] = {&near, &far};
    for (size_t n = 0; n < 2; ++n) {
      const double expected = distance(stages, colours(*pictures[n], windows[w]), reference);
      const double measured = first[(n + 1) * windows.size() + w];
      EXPECT(expected > 1e-4 && std::abs(measured - expected) < 0.005 * expected);
    }
  }
  const auto with = [&](const auto& change) {
    Stages changed = stages;
    change(changed);
    return refused([&] { gv::PerceptualMetric other(changed); });
  };
  EXPECT(with([](Stages& s) { s.clear(); }));
  EXPECT(with([](Stages& s) { s[1].layers[0].inputs = 8; }));
  EXPECT(with([](Stages& s) { s[1].layers[0].range = 0; }));
  EXPECT(with([](Stages& s) { s[0].weight.pop_back(); }));
  for (const gv::MetricWindow& w :
       {gv::MetricWindow{0, 0, 92, 10}, {0, 100, 10, 58}, {1, 0, 10, 10}, {-2, 0, 10, 10}, {}})
    EXPECT(refused([&] { metric.distances(source.seen(), painted, {w}, kColour, 1); }));
  return verdict("perceptual_metric_test");
}
