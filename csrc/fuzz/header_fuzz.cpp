// Fuzzing of header fields, and of `timing` payloads that follow: build/fuzz/header_fuzz CORPUS. The
// input is the fields; if they can be read, it is also read as { u8 size, payload } of timing.
#include "format/timing.hpp"
#include "fuzz/bytes.hpp"
#include "fuzz/sealed.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const gv::Buffer sealed = gvfuzz::sealed_header({data, size});
  const gv::Buffer usual = gvfuzz::sealed_header(gvfuzz::usual_fields(1, false, nullptr));
  for (const gv::Buffer& header : {sealed, usual}) {
    try {
      gvfuzz::require(gv::header_size(header) == header.size());
      const gv::Header fields = gv::parse_header(header);
      gv::Timeline timeline(fields.rate, fields.tick, fields.start, 1000);
      gvfuzz::Bytes in(data, size);
      while (in.left()) {
        const std::vector<uint8_t> payload = in.take(in.byte());
        timeline.send(payload);
        for (int n = 0; n < 3; ++n) {
          const int64_t pts = timeline.next();
          gvfuzz::require(pts <= gv::kMostPts && pts >= -gv::kMostPts);
        }
        if (payload.size() == 7) timeline.restart(payload[0]);
        if (payload.size() == 9) timeline.mark_lost();
        if (payload.size() == 11) timeline.start_gop();
      }
      timeline.end();
    } catch (const gv::StreamError&) {
    }
  }
  return 0;
}
