// Fuzzing of the painter: build/fuzz/painter_fuzz CORPUS.
//
// An input chooses size and parameters, any floats among them, then loop frames and motion that
// leads anywhere. Pictures have samples in range, the same on two threads as on one.
#include <memory>

#include "fuzz/bytes.hpp"
#include "painter/painter.hpp"

namespace {

// Parameters are small, as a checkpoint's are, but for those that the input replaces: a whole
// renderer of its bytes would be thousands.
class Parameters {
 public:
  explicit Parameters(gvfuzz::Bytes& in)
      : in_(in), seed_(in.value<uint32_t>() | 1), wild_(in.byte() & 1) {}
  float next() {
    seed_ = seed_ * 1664525u + 1013904223u;
    if (wild_ && seed_ >> 24 == 0) return in_.value<float>();
    return static_cast<float>(static_cast<int32_t>(seed_)) / 4e9f;
  }
  gv::Dense dense(int inputs, int outputs) {
    gv::Dense d(inputs, outputs);
    for (int o = 0; o < outputs; ++o) {
      for (int i = 0; i < inputs; ++i) d.at(i, o) = next();
      d.bias[o] = next();
    }
    return d;
  }

 private:
  gvfuzz::Bytes& in_;
  uint32_t seed_;
  bool wild_;
};

gv::PaintLayers layers(Parameters& p) {
  gv::PaintLayers l;
  l.stem = p.dense(12 * 9, 3);
  l.stem2 = p.dense(3 * 9, 4);
  l.statistics = p.dense(16, 2);
  gv::PaintBlock block{{}, {}, p.dense(6, 5), p.dense(5, 6)};
  for (int k = 0; k < 6 * 25; ++k) block.depthwise.push_back(p.next());
  for (int c = 0; c < 6; ++c) block.bias.push_back(p.next());
  l.blocks.push_back(block);
  l.style = p.dense(6, 3);
  l.head = p.dense(3, 21);
  l.gate = p.dense(3, 4);
  l.enter = p.dense(18 * 9, 4);
  l.middle = p.dense(4 * 9, 4);
  l.leave = p.dense(4 * 9, 6);
  return l;
}

gv::NoiseTile tile(Parameters& p) {
  constexpr int kSide = 16;
  float values[kSide * kSide];
  bool redraw[kSide * kSide];
  for (int i = 0; i < kSide * kSide; ++i) {
    values[i] = p.next();
    redraw[i] = i % 7 == 0;
  }
  return gv::NoiseTile(kSide, values, redraw);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gvfuzz::Bytes in(data, size);
  const int width = in.below(40) + 1, height = in.below(40) + 1;
  const int cw = (width + 1) / 2, ch = (height + 1) / 2;
  const size_t sizes[3] = {static_cast<size_t>(width) * height, static_cast<size_t>(cw) * ch,
                           static_cast<size_t>(cw) * ch};
  Parameters p(in);
  const int painters = in.below(16) ? 1 : 2;  // threads take turns slowly under sanitizers
  const gv::NoiseTile noise = tile(p);
  const gv::PaintLayers parameters = layers(p);
  gv::FramePainter one(width, height, noise, 1), two(width, height, noise, 2);
  one.start(parameters);
  two.start(parameters);
  for (int t = 0; t < 2; ++t) {
    std::vector<uint16_t> loop[3], painted[2][3];
    for (int c = 0; c < 3; ++c) {
      uint16_t value = in.value<uint16_t>();
      const uint8_t step = in.byte();
      for (size_t i = 0; i < sizes[c]; ++i)
        loop[c].push_back(
            static_cast<uint16_t>((value = static_cast<uint16_t>(value + step)) & gv::kMaxSample));
    }
    std::vector<int16_t> motion(static_cast<size_t>(gv::ceil_div(width, 16)) *
                                gv::ceil_div(height, 16) * 2);
    for (int16_t& v : motion) v = in.value<int16_t>();
    const bool moves = t && in.byte() & 1;
    const int corner_y = in.value<uint16_t>(), corner_x = in.value<uint16_t>();
    for (int i = 0; i < painters; ++i) {
      gv::FramePainter& painter = i ? two : one;
      uint16_t* planes[3];
      for (int c = 0; c < 3; ++c) {
        painted[i][c].assign(sizes[c], 0xffff);
        planes[c] = painted[i][c].data();
      }
      painter.begin({{loop[0].data(), loop[1].data(), loop[2].data()}, width, height},
                    moves ? motion.data() : nullptr, corner_y, corner_x);
      painter.run_blocks(0, painter.blocks());
      painter.finish(planes);
    }
    for (int c = 0; c < 3; ++c) {
      gvfuzz::require(painters == 1 || painted[0][c] == painted[1][c]);
      for (const uint16_t v : painted[0][c]) gvfuzz::require(v <= gv::kMaxSample);
    }
  }
  return 0;
}
