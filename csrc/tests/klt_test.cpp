// KLT structure layer: the decoder's loop frames are the encoder's, at odd sizes, every quality, on
// one thread or two; bytes and frames are the same in every form of the loops.
#include "check.hpp"
#include "klt/lookahead.hpp"

using namespace gvtest;

namespace {

void clip(const gv::Model& model, int width, int height, int frames, int q) {
  gv::KltEncoder one(model, width, height, 1, {}), two(model, width, height, 2, {});
  gv::KltDecoder decoder(model, width, height, 1), parallel(model, width, height, 2);
  for (int t = 0; t < frames; ++t) {
    const bool key = t == 0 || t == 5, cut = t == 6, golden = t == 2;  // cut: another scene appears
    const gv::Picture source = picture(width, height, t, cut ? 99 : 7);
    const gv::FrameReport a = one.encode(source, q, std::max(0, q - 7), key, true, {}, golden);
    const gv::FrameReport b = two.encode(source, q, std::max(0, q - 7), key, true, {}, golden);
    EXPECT(a.payload == b.payload && a.key == b.key);
    EXPECT(a.key || !key);
    decoder.decode(a.payload.data(), a.payload.size());
    parallel.decode(a.payload.data(), a.payload.size());
    EXPECT(equal(one.loop(), two.loop()));
    EXPECT(equal(one.loop(), decoder.loop()));
    EXPECT(equal(one.loop(), parallel.loop()));
  }
}

// Payloads of a clip and its last loop frame.
std::pair<std::vector<std::vector<uint8_t>>, gv::Picture> coded(const gv::Model& model) {
  gv::KltEncoder encoder(model, 90, 70, 2, {});
  gv::Lookahead ahead(90, 70, 2);
  std::vector<std::vector<uint8_t>> payloads;
  for (int t = 0; t < 4; ++t) {
    const gv::Picture source = picture(90, 70, t, 7);
    ahead.push(source.plane[0]);
    const std::vector<float> map = ahead.importance(20, 1);
    ahead.pop();
    payloads.push_back(encoder.encode(source, 30, 24, t == 0, true, map).payload);
  }
  return {payloads, encoder.loop()};
}

void forms(const gv::Model& model) {
  gv::use_cpu("plain");
  const auto wanted = coded(model);
  in_every_form([&](const std::string&) {
    const auto found = coded(model);
    EXPECT(found.first == wanted.first && equal(found.second, wanted.second));
    gv::KltDecoder decoder(model, 90, 70, 2);
    for (const auto& payload : wanted.first) decoder.decode(payload.data(), payload.size());
    EXPECT(equal(decoder.loop(), wanted.second));
  });
}

// Frames that were undone leave no trace, and code lengths of windows are those of what was
// written.
void undone(const gv::Model& model, int width, int height) {
  gv::KltEncoder plain(model, width, height, 1, {}), undoing(model, width, height, 1, {});
  gv::KltDecoder decoder(model, width, height, 1);
  for (int t = 0; t < 4; ++t) {
    const gv::Picture source = picture(width, height, t, 7),
                      other = picture(width, height, t + 9, 3);
    undoing.save();
    for (int n = 0; n < 2; ++n) {
      undoing.encode(other, 20 + 9 * n, 20, n == 1, true);
      undoing.restore();
    }
    const gv::FrameReport a = plain.encode(source, 36, 29, t == 0, true),
                          b = undoing.encode(source, 36, 29, t == 0, true);
    EXPECT(a.payload == b.payload && equal(plain.loop(), undoing.loop()));
    EXPECT(decoder.window_bits().empty() == (t == 0));
    decoder.decode(a.payload.data(), a.payload.size());
    const std::vector<float> bits = decoder.window_bits();
    EXPECT(bits == a.window_bits && bits.size() == 4);
    float sum = 0;
    for (const float b1 : bits) sum += b1;
    const float written = 8.f * static_cast<float>(a.payload.size() - 1);
    EXPECT(written > sum - 8 && written < sum * 1.003f + 24);
  }
}

}  // namespace

int main() {
  const gv::Model model = cosine_model();
  const int sizes[][2] = {{1, 1},   {2, 1},   {1, 40},   {15, 17},  {16, 16},
                          {33, 31}, {70, 50}, {257, 20}, {20, 259}, {96, 64}};
  for (const auto& size : sizes) clip(model, size[0], size[1], 8, 36);
  for (int q : {0, 9, 22, 50, 63}) clip(model, 50, 38, 8, q);
  clip(model, 288, 272, 5, 33);
  undone(model, 288, 272);
  forms(model);
  return verdict("klt");
}
