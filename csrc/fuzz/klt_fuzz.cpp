// Fuzzing of the klt decoder: build/fuzz/klt_fuzz CORPUS.
//
// An input is a clip: width - 1, height - 1, then { u16 size, size bytes of one frame }. Every
// frame either decodes to samples in range or is refused with DamagedStream; anything else
// (sanitizer, other exception, time, memory) is a finding.
#include "fuzz/bytes.hpp"
#include "tests/check.hpp"

namespace {

const gv::Model& model() {
  static const gv::Model made = gvtest::cosine_model();
  return made;
}

void check_samples(const gv::Picture& picture) {
  for (const gv::Plane& p : picture.plane)
    for (int y = 0; y < p.height; ++y)
      for (int x = 0; x < p.width; ++x) gvfuzz::require(p.row(y)[x] <= gv::kMaxSample);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  gvfuzz::Bytes in(data, size);
  const int width = in.byte() + 1, height = in.byte() + 1;
  gv::KltDecoder decoder(model(), width, height, 1);
  while (in.left() >= 2) {
    const std::vector<uint8_t> frame = in.take(in.value<uint16_t>());
    try {
      decoder.decode(frame.data(), frame.size());
      check_samples(decoder.loop());
      decoder.window_bits();
    } catch (const gv::DamagedStream&) {
    }
  }
  return 0;
}
