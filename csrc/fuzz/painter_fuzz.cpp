// Fuzzing of the painter: build/fuzz/painter_fuzz CORPUS.
//
// An input chooses size and numbers of the layers, some out of range, then base frames and motion
// that leads anywhere. Numbers out of range are refused; else pictures have samples in range, the
// same in plain code on two threads as in the best form on one.
#include <memory>
#include <stdexcept>

#include "common/cpu.hpp"
#include "fuzz/bytes.hpp"
#include "painter/painter.hpp"

namespace {

// Numbers are those of a generator, except for a few that the input replaces: a whole painter of
// its bytes would be thousands.
class Numbers {
 public:
  explicit Numbers(gvfuzz::Bytes& in)
      : in_(in), seed_(in.value<uint32_t>() | 1), wild_(in.byte() & 1) {}
  int32_t next(int32_t low, int32_t high) {
    seed_ = seed_ * 1664525u + 1013904223u;
    if (wild_ && seed_ >> 24 == 0) return in_.value<int32_t>();
    return low + static_cast<int32_t>((seed_ >> 8) % static_cast<uint32_t>(high - low + 1));
  }
  gv::PainterLayer layer(int outputs, int inputs, int side) {
    gv::PainterLayer l{outputs, inputs, side, {}, {}, {}, {}, {}};
    for (int i = 0; i < outputs * inputs * side * side; ++i)
      l.weight.push_back(static_cast<int8_t>(next(-127, 127)));
    for (int o = 0; o < outputs; ++o) {
      l.bias.push_back(next(-4000, 4000));
      l.multiplier.push_back(next(0, 1023));
      l.shift.push_back(next(1, 20));
      l.step.push_back(next(7, 14));
    }
    return l;
  }

 private:
  gvfuzz::Bytes& in_;
  uint32_t seed_;
  bool wild_;
};

gv::PainterLayers layers(Numbers& n) {
  gv::PainterLayers l;
  l.stem = n.layer(4, 12, 3), l.stem2 = n.layer(4, 4, 3), l.statistics = n.layer(16, 16, 1);
  l.view = n.layer(20, 1, 1), l.style = n.layer(4, 20, 1), l.head = n.layer(15, 4, 1);
  gv::PainterBlock block{n.layer(20, 1, 5), n.layer(8, 20, 1), n.layer(20, 8, 1), {}};
  for (int k = 0; k < 20 * 2; ++k) block.condition.push_back(n.next(-4000, 4000));
  l.blocks.push_back(block);
  return l;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gvfuzz::Bytes in(data, size);
  const int width = in.below(40) + 1, height = in.below(40) + 1;
  const int cw = (width + 1) / 2, ch = (height + 1) / 2;
  const size_t sizes[3] = {static_cast<size_t>(width) * height, static_cast<size_t>(cw) * ch,
                           static_cast<size_t>(cw) * ch};
  Numbers numbers(in);
  const int painters = in.below(16) ? 1 : 2;  // threads take turns slowly under sanitizers
  const std::string best = gv::cpu_forms().back();
  const gv::PainterLayers parameters = layers(numbers);
  gv::FramePainter one(width, height, 1), two(width, height, 2);
  const auto start = [&](gv::FramePainter& painter, const std::string& form) {
    gv::use_cpu(form);
    painter.start(parameters, {in.byte(), 0});
  };
  try {
    const gvfuzz::Bytes kept = in;
    start(one, best);
    in = kept;
    start(two, "plain");
  } catch (const std::invalid_argument&) {
    return 0;
  }
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
    const int own = in.value<uint16_t>() % 4096 - 2048;
    for (int i = 0; i < painters; ++i) {
      uint16_t* planes[3];
      for (int c = 0; c < 3; ++c) {
        painted[i][c].assign(sizes[c], 0xffff);
        planes[c] = painted[i][c].data();
      }
      gv::use_cpu(i ? "plain" : best);
      (i ? two : one)
          .paint({{loop[0].data(), loop[1].data(), loop[2].data()}, width, height},
                 moves ? motion.data() : nullptr, own, planes);
    }
    for (int c = 0; c < 3; ++c) {
      gvfuzz::require(painters == 1 || painted[0][c] == painted[1][c]);
      for (const uint16_t v : painted[0][c]) gvfuzz::require(v <= gv::kMaxSample);
    }
  }
  return 0;
}
