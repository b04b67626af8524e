// The painter with weights of any size at odd sizes of the picture: the same samples in
// every form of the loops, on any number of threads and, by a sum that stands here, on every
// machine. (tests/painter/test_painter.py compares them with the definition.)
#include <algorithm>

#include "check.hpp"
#include "painter/painter.hpp"

using namespace gvtest;

namespace {

gv::PainterLayer layer(Random& random, int outputs, int inputs, int side, int spread) {
  gv::PainterLayer l{outputs, inputs, side, {}, {}, {}, {}, {}};
  for (int i = 0; i < outputs * inputs * side * side; ++i)
    l.weight.push_back(static_cast<int8_t>(uniform(random, -spread, spread)));
  for (int o = 0; o < outputs; ++o) {
    l.bias.push_back(uniform(random, -4000, 4000));
    l.multiplier.push_back(uniform(random, 512, 1023));
    l.shift.push_back(uniform(random, 14, 18));
    l.step.push_back(uniform(random, 7, 14));
  }
  return l;
}

gv::PainterLayers layers(int spread) {
  Random random(1);
  const auto make = [&](int outputs, int inputs, int side) {
    return layer(random, outputs, inputs, side, spread);
  };
  gv::PainterLayers l;
  l.stem = make(16, 12, 3), l.stem2 = make(32 - 16, 16, 3), l.statistics = make(16, 16, 1);
  l.view = make(32, 1, 1), l.style = make(12, 32, 1), l.head = make(15, 12, 1);
  for (int32_t& shift : l.head.shift) shift -= 8;  // so that painting is visible
  for (int i = 0; i < 2; ++i) {
    gv::PainterBlock b{make(32, 1, 5), make(48, 32, 1), make(32, 48, 1), {}};
    for (int k = 0; k < 32 * 3; ++k) b.condition.push_back(uniform(random, -60, 60));
    l.blocks.push_back(b);
  }
  return l;
}

std::vector<uint16_t> samples(Random& random, int width, int height) {
  std::vector<uint16_t> found(static_cast<size_t>(width) * height);
  for (uint16_t& v : found) v = static_cast<uint16_t>(uniform(random, 0, gv::kMaxSample));
  return found;
}

// FNV-1a over five painted frames, of which the last but one stays in its upper half.
uint32_t painted(int width, int height, int spread, int threads) {
  const int cw = (width + 1) / 2, ch = (height + 1) / 2;
  gv::FramePainter painter(width, height, threads);
  painter.start(layers(spread), {512, -300, 0});
  Random random(3);
  uint32_t hash = 2166136261u;
  std::vector<uint16_t> before;
  for (int t = 0; t < 5; ++t) {
    std::vector<uint16_t> in[3] = {samples(random, width, height), samples(random, cw, ch),
                                   samples(random, cw, ch)};
    if (t == 3) std::copy_n(before.begin(), before.size() / 2, in[0].begin());
    before = in[0];
    const gv::PaintSource source{{in[0].data(), in[1].data(), in[2].data()}, width, height};
    std::vector<int16_t> motion(static_cast<size_t>(gv::ceil_div(width, 16)) *
                                gv::ceil_div(height, 16) * 2);
    const int reach = t == 3 ? 0 : t == 4 ? 32767 : 12;
    for (int16_t& v : motion) v = static_cast<int16_t>(uniform(random, -reach, reach));
    std::vector<uint16_t> out[3];
    for (int c = 0; c < 3; ++c) out[c].assign(in[c].size(), 0xffff);
    uint16_t* const planes[3] = {out[0].data(), out[1].data(), out[2].data()};
    painter.paint(source, t ? motion.data() : nullptr, 100 * t, planes);
    for (const auto& plane : out)
      for (const uint16_t v : plane) {
        EXPECT(v <= gv::kMaxSample);
        hash = (hash ^ v) * 16777619u;
      }
  }
  return hash;
}

// A frame that is carried on: as the one before where nothing has changed, else within range, the
// same on any number of threads.
void carries(int width, int height) {
  const int cw = (width + 1) / 2, ch = (height + 1) / 2;
  Random random(5);
  std::vector<uint16_t> in[2][3];
  for (auto& frame : in) {
    frame[0] = samples(random, width, height);
    for (int c = 1; c < 3; ++c) frame[c] = samples(random, cw, ch);
  }
  std::vector<int16_t> still(static_cast<size_t>(gv::ceil_div(width, 16)) *
                             gv::ceil_div(height, 16) * 2);
  std::vector<uint16_t> first[3];
  for (const int threads : {1, 3}) {
    gv::FramePainter painter(width, height, threads);
    painter.start(layers(20), {512, -300, 0});
    std::vector<uint16_t> out[4][3];
    for (int t = 0; t < 4; ++t) {
      const auto& given = in[t == 2];
      const gv::PaintSource source{{given[0].data(), given[1].data(), given[2].data()}, width, height};
      uint16_t* planes[3];
      for (int c = 0; c < 3; ++c) {
        out[t][c].assign(given[c].size(), 0xffff);
        planes[c] = out[t][c].data();
      }
      if (t == 0) painter.paint(source, nullptr, 0, planes);
      else painter.reuse_detail(source, t == 3 ? nullptr : still.data(), planes);
    }
    for (int c = 0; c < 3; ++c) {
      EXPECT(out[1][c] == out[0][c]);
      EXPECT(out[1][c] != in[0][c]);
      EXPECT(out[2][c] != out[0][c]);
      for (const uint16_t v : out[2][c]) EXPECT(v <= gv::kMaxSample);
      EXPECT(out[3][c] == in[0][c]);
      if (threads == 1) first[c] = out[2][c];
      else EXPECT(out[2][c] == first[c]);
    }
  }
}

}  // namespace

int main() {
  carries(130, 70);
  carries(35, 35);
  constexpr struct {
    int width, height, spread;
    uint32_t sum;
  } kClips[] = {
      {1, 1, 20, 0x292b4e6e},     {2, 40, 20, 0xf33e6ed7},
      {17, 15, 20, 0x2c5f8640},   {130, 70, 127, 0x8477eb75},
      {203, 97, 127, 0x22e4901e}, {18, 790, 20, 0x3cf2b21c},  // in strips
  };
  in_every_form([&](const std::string& name) {
    for (const auto& clip : kClips)
      for (const int threads : {1, 3}) {
        const uint32_t sum = painted(clip.width, clip.height, clip.spread, threads);
        if (sum != clip.sum)
          std::printf("%s, %dx%d, %d threads: %#x\n", name.c_str(), clip.width, clip.height,
                      threads, sum);
        EXPECT(sum == clip.sum);
      }
  });
  return verdict("painter");
}
