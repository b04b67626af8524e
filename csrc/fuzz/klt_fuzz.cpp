// Coverage-guided fuzzing of the klt decoder (libFuzzer, clang): -DGVCODEC_FUZZ=ON, then build/fuzz/klt_fuzz CORPUS.
//
// An input is a clip: width - 1, height - 1, then { u16 size, size bytes of one frame }. Every frame either decodes to samples in
// range or is refused with DamagedStream; anything else (sanitizer, other exception, time, memory) is a finding.
#include "tests/check.hpp"

#include <cstdlib>

namespace {

const gv::Model& model() {
  static const gv::Model made = gvtest::cosine_model();
  return made;
}

void check_samples(const gv::Picture& picture) {
  for (const gv::Plane& p : picture.plane)
    for (int y = 0; y < p.height; ++y)
      for (int x = 0; x < p.width; ++x)
        if (p.row(y)[x] > gv::kMaxSample) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  gv::KltDecoder decoder(model(), data[0] + 1, data[1] + 1, 1);
  size_t at = 2;
  while (at + 2 <= size) {
    const size_t length = std::min<size_t>(data[at] | data[at + 1] << 8, size - at - 2);
    const std::vector<uint8_t> frame(data + at + 2, data + at + 2 + length);  // a read beyond it is seen
    at += 2 + length;
    try {
      decoder.decode(frame.data(), frame.size());
      check_samples(decoder.loop());
    } catch (const gv::DamagedStream&) {
    }
  }
  return 0;
}
