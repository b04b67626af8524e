// The refined entropy model with networks of any weights: decoders follow encoders on one thread or
// two; damaged frames are refused or decode to some frame.
#include "check.hpp"

using namespace gvtest;

namespace {

// `extreme`: weights at the ends of their ranges only.
gv::Model refined_model(uint32_t seed, bool extreme) {
  using namespace gv::refine;
  Random random(seed);
  auto weight = [&] {
    return static_cast<int16_t>(extreme ? (uniform(random, 0, 1) ? 127 : -128)
                                        : uniform(random, -40, 40));
  };
  gv::Model model = cosine_model();
  gv::RefinerModel& r = model.refiner;
  gv::DenseLayer layer;
  layer.inputs = kTokenFeatures;
  layer.outputs = extreme ? kMaxUnits : 24;
  for (int i = 0; i < layer.inputs * layer.outputs; ++i) layer.weight.push_back(weight());
  layer.bias.assign(static_cast<size_t>(layer.outputs), extreme ? gv::kMaxBias : 0);
  layer.multiplier.assign(static_cast<size_t>(layer.outputs), extreme ? INT32_MAX : 1 << 12);
  layer.shift = 24;
  r.token.push_back(layer);
  for (gv::DecisionNetwork& n : r.network) {
    for (int i = 0; i < kHidden * layer.outputs; ++i) n.token.push_back(weight());
    for (int32_t& w : n.decision) w = weight();
    for (int i = 0; i < kRows * kHidden; ++i)
      n.row.push_back(extreme ? (uniform(random, 0, 1) ? kMaxRow : -kMaxRow)
                              : uniform(random, -9999, 9999));
    n.multiplier.fill(extreme ? kMaxMultiplier : 1000);
    n.shift = extreme ? 30 : 17;
    for (int32_t& w : n.out) w = weight();
    n.out_bias = extreme ? -gv::kMaxBias : 0;
    n.out_multiplier = extreme ? INT32_MIN : 1 << 10;
    n.out_shift = extreme ? 30 : 18;
  }
  for (size_t t = 0; t < 3; ++t) {
    const int count = t < 2 ? gv::kBlockSamples : gv::kCoarseCount;
    for (int i = 0; i < count; ++i)
      for (int k = 0; k < kRelatives; ++k)
        r.relatives[t].push_back(static_cast<int16_t>(uniform(random, -1, i - 1)));
  }
  return model;
}

void clip(const gv::Model& model, int width, int height, int q) {
  gv::KltEncoder one(model, width, height, 1, {}), two(model, width, height, 2, {});
  gv::KltDecoder decoder(model, width, height, 1), parallel(model, width, height, 2);
  for (int t = 0; t < 6; ++t) {
    // The third picture, another scene, covers the first, which comes back; the fourth becomes the
    // golden frame.
    const gv::Picture source =
        t == 2 ? picture(width, height, 0, 99) : picture(width, height, t == 3 ? 0 : t, 7);
    two.save();
    two.encode(picture(width, height, t + 5, 3), q, q, false, false, {}, t == 1);
    two.restore();
    const int key_q = std::max(0, q - 7);
    const gv::FrameReport a = one.encode(source, q, key_q, t == 0, false, {}, t == 3),
                          b = two.encode(source, q, key_q, t == 0, false, {}, t == 3);
    EXPECT(a.payload == b.payload && equal(one.loop(), two.loop()));
    decoder.decode(a.payload.data(), a.payload.size());
    parallel.decode(a.payload.data(), a.payload.size());
    EXPECT(equal(one.loop(), decoder.loop()) && equal(one.loop(), parallel.loop()));
    EXPECT(decoder.window_bits() == a.window_bits);
    EXPECT(t != 3 || width < 16 || decoder.tokens().uses_golden);
  }
}

void damage(const gv::Model& model, int width, int height, int q, uint32_t seed) {
  Random random(seed);
  gv::KltEncoder encoder(model, width, height, 1, {});
  std::vector<std::vector<uint8_t>> frames;
  for (int t = 0; t < 3; ++t)
    frames.push_back(encoder.encode(picture(width, height, t, 3), q, q, t == 0, false).payload);
  for (int turn = 0; turn < 60; ++turn) {
    gv::KltDecoder decoder(model, width, height, 1);
    for (std::vector<uint8_t> frame : frames) {
      for (int n = uniform(random, 0, 2); n-- > 0;)
        frame[static_cast<size_t>(uniform(random, 1, static_cast<int>(frame.size()) - 1))] ^=
            static_cast<uint8_t>(uniform(random, 1, 255));
      try {
        decoder.decode(frame.data(), frame.size());
      } catch (const gv::DamagedStream&) {
      }
    }
  }
}

}  // namespace

int main() {
  for (const bool extreme : {false, true}) {
    const gv::Model model = refined_model(extreme ? 5 : 6, extreme);
    for (const auto& size : {std::array<int, 2>{1, 1}, {33, 31}, {257, 20}, {20, 259}, {96, 64}})
      clip(model, size[0], size[1], 34);
    for (int q : {0, 20, 63}) clip(model, 50, 38, q);
    damage(model, 70, 50, 28, 9);
  }
  return verdict("refiner");
}
