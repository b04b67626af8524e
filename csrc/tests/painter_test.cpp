// The renderer in the core at odd sizes, with vectors that lead anywhere and weights of any size:
// the same picture on any number of threads, in every form of the loops; sums of rows in each
// against a plain twin. (What it paints is compared with the network in tests/test_cpu_painter.py.)
#include <limits>
#include <memory>

#include "check.hpp"
#include "painter/painter.hpp"

using namespace gvtest;

namespace {

float real(Random& random) { return uniform(random, -1000, 1000) * 1e-3f; }

gv::Dense dense(Random& random, int inputs, int outputs, float scale) {
  gv::Dense d(inputs, outputs);
  for (int o = 0; o < outputs; ++o) {
    for (int i = 0; i < inputs; ++i) d.at(i, o) = scale * real(random);
    d.bias[o] = scale * real(random);
  }
  return d;
}

gv::PaintLayers layers(float scale) {
  Random random(1);
  const auto make = [&](int inputs, int outputs) { return dense(random, inputs, outputs, scale); };
  gv::PaintLayers l;
  l.stem = make(12 * 9, 5);
  l.stem2 = make(5 * 9, 7);
  l.statistics = make(16, 4);
  for (int i = 0; i < 2; ++i) {
    gv::PaintBlock b{{}, {}, make(11, 13), make(13, 11)};
    for (int k = 0; k < 11 * 25; ++k) b.depthwise.push_back(scale * real(random));
    for (int c = 0; c < 11; ++c) b.bias.push_back(real(random));
    l.blocks.push_back(b);
  }
  l.style = make(11, 6);
  l.head = make(6, 21);
  l.gate = make(6, 9);
  l.enter = make(18 * 9, 9);
  l.middle = make(9 * 9, 9);
  l.leave = make(9 * 9, 6);
  return l;
}

gv::NoiseTile tile() {
  constexpr int kSide = 32;
  Random random(2);
  std::vector<float> value(kSide * kSide);
  const std::unique_ptr<bool[]> redraw(new bool[kSide * kSide]);
  for (int i = 0; i < kSide * kSide; ++i) {
    value[i] = real(random);
    redraw[i] = uniform(random, 0, 31) == 0;
  }
  return gv::NoiseTile(kSide, value.data(), redraw.get());
}

std::vector<uint16_t> samples(Random& random, int width, int height) {
  std::vector<uint16_t> found(static_cast<size_t>(width) * height);
  for (uint16_t& v : found) v = static_cast<uint16_t>(uniform(random, 0, gv::kMaxSample));
  return found;
}

void clip(int width, int height, float scale) {
  const int cw = (width + 1) / 2, ch = (height + 1) / 2;
  gv::FramePainter one(width, height, tile(), 1), three(width, height, tile(), 3);
  one.start(layers(scale));
  three.start(layers(scale));
  Random random(3);
  for (int t = 0; t < 4; ++t) {
    const std::vector<uint16_t> in[3] = {samples(random, width, height), samples(random, cw, ch),
                                         samples(random, cw, ch)};
    const gv::PaintSource source{{in[0].data(), in[1].data(), in[2].data()}, width, height};
    std::vector<int16_t> motion(static_cast<size_t>(gv::ceil_div(width, 16)) *
                                gv::ceil_div(height, 16) * 2);
    const int reach = t == 3 ? 32767 : 12;
    for (int16_t& v : motion) v = static_cast<int16_t>(uniform(random, -reach, reach));
    std::vector<uint16_t> painted[2][3];
    for (int i = 0; i < 2; ++i) {
      gv::FramePainter& painter = i ? three : one;
      for (int c = 0; c < 3; ++c) painted[i][c].assign(in[c].size(), 0xffff);
      uint16_t* const planes[3] = {painted[i][0].data(), painted[i][1].data(),
                                   painted[i][2].data()};
      painter.begin(source, t ? motion.data() : nullptr, 37 * t, 91 * t);
      painter.run_blocks(0, painter.blocks());
      painter.finish(planes);
    }
    for (int c = 0; c < 3; ++c) {
      EXPECT(painted[0][c] == painted[1][c]);
      for (const uint16_t v : painted[0][c]) EXPECT(v <= gv::kMaxSample);
    }
  }
}

void sums(Random& random) {
  for (int round = 0; round < 30; ++round) {
    const int inputs = uniform(random, 1, 30), outputs = uniform(random, 1, 20),
              width = uniform(random, 1, 110);
    gv::Field in(inputs, 1, width), a(outputs, 1, width), b(outputs, 1, width);
    for (float& v : in.data) v = real(random);
    std::vector<const float*> from;
    std::vector<float*> to_a, to_b;
    for (int i = 0; i < inputs; ++i) from.push_back(in.row(i, 0));
    for (int o = 0; o < outputs; ++o) {
      to_a.push_back(a.row(o, 0));
      to_b.push_back(b.row(o, 0));
    }
    const gv::Dense d = dense(random, inputs, outputs, 1);
    gv::combine(d, from.data(), width, to_a.data());
    gv::combine_plain(d, from.data(), width, to_b.data());
    for (int o = 0; o < outputs; ++o)
      for (int x = 0; x < width; ++x) EXPECT(std::abs(to_a[o][x] - to_b[o][x]) < 1e-5f * inputs);
    std::vector<float> weights;
    for (int i = 0; i < inputs; ++i)
      weights.push_back(d.weight[static_cast<size_t>(i) * gv::Dense::kOutBlock]);
    gv::combine_one(weights.data(), d.bias[0], inputs, from.data(), width, to_b[0]);
    for (int x = 0; x < width; ++x) EXPECT(std::abs(to_a[0][x] - to_b[0][x]) < 1e-5f * inputs);
  }
}

void sigmoids() {
  for (int i = -20000; i <= 20000; ++i) {
    const double x = i * 1e-2, wanted = 1 / (1 + std::exp(-x));
    float s = static_cast<float>(x), t = s;
    gv::sigmoid(&s, 1);
    gv::silu(&t, 1);
    const double error = 1e-6 + 2e-7 * std::abs(x);
    if (std::abs(x) < 80)
      EXPECT(std::abs(s - wanted) <= error * wanted &&
             std::abs(t - x * wanted) <= error * std::abs(x * wanted));
    EXPECT(s >= 0 && s <= 1 && std::isfinite(t));
  }
  float odd[2] = {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()};
  gv::sigmoid(odd, 2);
  EXPECT(odd[0] == 1.f);
}

}  // namespace

int main() {
  in_every_form([](const std::string&) {
    Random random(0);
    sums(random);
    sigmoids();
    const int sizes[][2] = {{1, 1}, {2, 40}, {17, 15}, {16, 16}, {130, 70}};
    for (const auto& size : sizes)
      for (const float scale : {0.2f, 1e9f}) clip(size[0], size[1], scale);
  });
  return verdict("painter");
}
