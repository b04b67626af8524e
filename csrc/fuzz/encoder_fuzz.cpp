// Fuzzing of the klt encoder: build/fuzz/encoder_fuzz CORPUS.
//
// An input chooses size, tools and quality, then draws pictures: runs of samples that may be as
// wild as it likes. What the encoder writes must decode to the encoder's own loop frames.
#include "fuzz/bytes.hpp"
#include "tests/check.hpp"

namespace {

constexpr int kFrames = 2;

gv::Picture drawn(gvfuzz::Bytes& in, int width, int height, const gv::Picture& before) {
  gv::Picture made(width, height);
  const bool moved = in.byte() & 1;
  const int dx = in.below(9) - 4, dy = in.below(9) - 4;
  for (int c = 0; c < 3; ++c) {
    gv::Plane& plane = made.plane[c];
    int run = 0;
    uint16_t value = 0, step = 0;
    for (int y = 0; y < plane.height; ++y)
      for (int x = 0; x < plane.width; ++x) {
        if (run-- == 0) {
          run = in.byte();
          value = in.value<uint16_t>();
          step = in.byte();
        }
        value = static_cast<uint16_t>(value + step);
        const int sx = gv::clamp(x + dx, 0, plane.width - 1),
                  sy = gv::clamp(y + dy, 0, plane.height - 1);
        const int base = moved ? before.plane[c].row(sy)[sx] + value % 16 : value;
        plane.row(y)[x] = static_cast<uint16_t>(gv::clamp(base, 0, gv::kMaxSample));
      }
  }
  made.extend();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const gv::Model model = gvtest::cosine_model();
  gvfuzz::Bytes in(data, size);
  const int width = in.below(48) + 1, height = in.below(48) + 1;
  const uint8_t choice = in.byte();
  gv::EncoderTools tools;
  tools.coarse_tokens = choice & 1;
  tools.quadtree = choice & 2;
  tools.merge = choice & 4;
  tools.fractions = choice & 8;
  tools.golden = choice & 16;
  tools.rdoq = choice & 32;
  tools.lambda = in.byte() / 64.0;
  gv::KltEncoder encoder(model, width, height, 1, tools);
  gv::KltDecoder decoder(model, width, height, 1);
  gv::Picture before(width, height);
  for (int t = 0; t < kFrames; ++t) {
    const int q = in.below(64), key_q = in.below(64);
    const uint8_t how = in.byte();
    std::vector<float> lambda;
    if (how & 8)
      for (int i = 0; i < gv::ceil_div(width, 16) * gv::ceil_div(height, 16); ++i)
        lambda.push_back(in.value<float>());
    const gv::Picture source = drawn(in, width, height, before);
    if (how & 16) {
      encoder.save();
      encoder.encode(source, key_q, q, t == 0, true, lambda, false);
      encoder.restore();
    }
    const gv::FrameReport report =
        encoder.encode(source, q, key_q, t == 0 || how & 1, how & 2, lambda, how & 4);
    decoder.decode(report.payload.data(), report.payload.size());
    gvfuzz::require(gvtest::equal(encoder.loop(), decoder.loop()));
    before = source;
  }
  return 0;
}
