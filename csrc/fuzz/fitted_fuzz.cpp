// Fuzzing of `fit` payloads with tokens: build/fuzz/fitted_fuzz CORPUS. Readable payloads paint.
#include "fuzz/bytes.hpp"
#include "fuzz/sealed.hpp"
#include "model/video_painter.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int kWidth = 300, kHeight = 24;  // two windows
  static gv::VideoPainter painter(kWidth, kHeight, gv::Base::av1, 0, 35,
                                  gv::read_painter(gvfuzz::small_painter()), 1);
  static const std::vector<uint16_t> base(kWidth * kHeight, 500);
  std::vector<uint16_t> out(kWidth * kHeight);
  const int look = size ? static_cast<int>(data[size - 1]) % 150 - 50 : -1;
  try {
    painter.start_gop(gv::Bytes(data, size), look < 0 ? -1 : look, true);
  } catch (const gv::StreamError&) {
    return 0;
  }
  uint16_t* const planes[] = {out.data(), out.data(), out.data()};
  if (painter.paints() && size % 16 == 0)
    painter.paint({{base.data(), base.data(), base.data()}, kWidth, kHeight}, size, planes);
  for (const uint16_t sample : out) gvfuzz::require(sample <= gv::kMaxSample);
  return 0;
}
