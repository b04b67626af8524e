// Fuzzing of libgvc on units of one-files: build/fuzz/units_fuzz CORPUS.
//
// An input is that of `units` in tests/fuzz/parts_fuzz.py: { u8 size, as many bytes } of entries,
// sealed here as a metadata OBU in front of a frame; and the input as a unit by itself. Each piece
// comes once more after a header and a place, so that it belongs to a stream.
#include "fuzz/host.hpp"
#include "fuzz/inputs.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const gv::Buffer& painter = gvfuzz::painter();
  // Painting takes most of the time: one input of sixteen paints.
  const bool paints = size && data[size - 1] % 16 == 0;
  gvfuzz::Host host(paints ? GVC_HASH : GVC_BASE_ONLY, 0);
  gvc_send_unit(host.decoder, data, size);
  gvfuzz::Bytes in(data, size);
  while (in.left()) {
    const std::vector<uint8_t> entries = in.take(in.byte());
    for (const bool key : {false, true}) {
      const gv::Buffer unit = gvfuzz::sealed_unit(entries, key);
      const gvc_code code = gvc_send_unit(host.decoder, unit.data(), unit.size());
      gvfuzz::require(code == GVC_OK || code == GVC_FOREIGN || code < 0);
      uint8_t id[8];
      if (gvc_missing_model(host.decoder, id) == GVC_OK)
        gvc_set_model(host.decoder, painter.data(), painter.size());
      if (host.drain() < 0) gvc_seek(host.decoder, 0);
    }
  }
  return 0;
}
