// Look-ahead and multipliers of lambda at odd sizes: importance stays within its bounds on any
// number of threads, and a frame that was coded with multipliers decodes as any other.
#include "klt/lookahead.hpp"
#include "check.hpp"

using namespace gvtest;

namespace {

void clip(const gv::Model& model, int width, int height) {
  constexpr int kFrames = 4;
  gv::Lookahead one(width, height, 1), two(width, height, 2);
  for (int t = 0; t < kFrames; ++t) {
    const gv::Picture source = picture(width, height, t, 7);
    one.push(source.plane[0]);
    two.push(source.plane[0]);
  }
  gv::KltEncoder encoder(model, width, height, 2, {});
  gv::KltDecoder decoder(model, width, height, 1);
  for (int t = 0; t < kFrames; ++t) {
    const std::vector<float> found = one.importance(50, 99);
    EXPECT(found == two.importance(50, 99) && one.error() == two.error());
    EXPECT(found.size() == static_cast<size_t>(gv::ceil_div(width, 16)) * gv::ceil_div(height, 16));
    double sum = 0, most = 0;
    for (float v : found) {
      EXPECT(v >= 1.f);
      sum += v;
      most += kFrames - t;
    }
    EXPECT(sum <= most * 1.001);
    for (size_t frames : {0, 1})
      for (float v : one.importance(50, frames)) EXPECT(v == 1.f);
    std::vector<float> map;
    for (float v : found) map.push_back(1000.f / (v * v * v * v));
    const gv::FrameReport report =
        encoder.encode(picture(width, height, t, 7), 36, 30, t == 0, true, map);
    decoder.decode(report.payload.data(), report.payload.size());
    EXPECT(equal(encoder.loop(), decoder.loop()));
    one.pop();
    two.pop();
  }
  EXPECT(one.held() == 0);
}

}  // namespace

int main() {
  const gv::Model model = cosine_model();
  const int sizes[][2] = {{1, 1},   {2, 1},   {1, 40},  {15, 17},
                          {16, 16}, {33, 31}, {70, 50}, {257, 20}};
  for (const auto& size : sizes) clip(model, size[0], size[1]);
  return verdict("lookahead");
}
