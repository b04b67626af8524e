// Fuzzing of libgvc on units of one-files: build/fuzz/units_fuzz CORPUS.
//
// An input is that of `units` in tests/fuzz/parts_fuzz.py: { u8 size, as many bytes } of entries,
// sealed here as a metadata OBU in front of a frame; and the input as a unit by itself. Each piece
// comes once more after a header and a place, so that it belongs to a stream.
#include "fuzz/host.hpp"
#include "fuzz/sealed.hpp"

namespace {

gv::Buffer sealed_unit(gv::Bytes entries, bool key) {
  gv::Buffer inside = {0x89, 'G', 'V', 'C', 1};
  if (key) {
    static const gv::Buffer painter = gvfuzz::small_painter();
    static const gv::Id id = gvfuzz::id_of_file(painter);
    const gv::Buffer header = gvfuzz::sealed_header(gvfuzz::usual_fields(1, false, &id));
    inside.push_back(0);
    gv::append_var(inside, header.size());
    gv::append(inside, header);
    inside.insert(inside.end(), {1, 1, 0});
  }
  gv::append(inside, entries);
  gvfuzz::append_uint(inside, gv::crc32(inside), 4);
  gv::Buffer unit = {0x12, 0, 0x2a};
  gv::append_var(unit, inside.size() + 2);
  unit.push_back(22);
  gv::append(unit, inside);
  unit.insert(unit.end(), {0x80, 0x32, 1, 0x10});
  return unit;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const gv::Buffer painter = gvfuzz::small_painter();
  // Painting takes most of the time: one input of sixteen paints.
  const bool paints = size && data[size - 1] % 16 == 0;
  gvfuzz::Host host(paints ? GVC_HASH : GVC_BASE_ONLY, 0);
  gvc_send_unit(host.decoder, data, size);
  gvfuzz::Bytes in(data, size);
  while (in.left()) {
    const std::vector<uint8_t> entries = in.take(in.byte());
    for (const bool key : {false, true}) {
      const gv::Buffer unit = sealed_unit(entries, key);
      const gvc_code code = gvc_send_unit(host.decoder, unit.data(), unit.size());
      gvfuzz::require(code == GVC_OK || code == GVC_PLAIN || code < 0);
      uint8_t id[8];
      if (gvc_wants_model(host.decoder, id) == GVC_OK)
        gvc_give_model(host.decoder, painter.data(), painter.size());
      if (host.drain() < 0) gvc_seek(host.decoder, 0);
    }
  }
  return 0;
}
