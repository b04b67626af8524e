// Fuzzing of the painter's file: build/fuzz/model_fuzz CORPUS. Readable models paint.
#include "fuzz/bytes.hpp"
#include "model/video_painter.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    gv::VideoPainter painter(40, 24, gv::Base::av1, 0, 35, gv::read_painter({data, size}), 1);
    painter.start_gop(std::nullopt, -1, true);
    std::vector<uint16_t> base(40 * 24, 500), out(40 * 24);
    uint16_t* const planes[] = {out.data(), out.data(), out.data()};
    painter.paint({{base.data(), base.data(), base.data()}, 40, 24}, 100, planes);
  } catch (const gv::StreamError&) {
  } catch (const std::invalid_argument&) {
  }
  return 0;
}
