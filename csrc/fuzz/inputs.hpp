// Streams and units of one-files as several fuzz targets read them from their inputs.
#pragma once

#include "fuzz/bytes.hpp"
#include "fuzz/sealed.hpp"

namespace gvfuzz {

constexpr int kKinds[] = {
    gv::kInter,          gv::kKey,     gv::kFit,   gv::kTiming, gv::kTracks, gv::kLatent,
    gv::kFirstSkippable, gv::kPainted, gv::kModel, 40};

inline const Buffer& painter() {
  static const Buffer file = small_painter();
  return file;
}

inline const gv::Id& painter_id() {
  static const gv::Id id = id_of_file(painter());
  return id;
}

// A stream of packets { u8 kind, u16 size, payload } with right checksums. `kind`: bit 0 base vvc,
// bit 1 names the painter, bit 2 frames in bundles.
inline Buffer stream_of(Bytes& in, uint8_t kind) {
  const bool painted = kind & 2, bundled = kind & 4;
  StreamWriter out(sealed_header(
      usual_fields(kind & 1 ? 3 : 1, bundled && !(kind & 1), painted ? &painter_id() : nullptr)));
  while (in.left() >= 3) {
    const int packet = kKinds[in.below(sizeof kKinds / sizeof *kKinds)];
    const std::vector<uint8_t> payload = in.take(in.value<uint16_t>());
    const bool is_frame = packet == gv::kKey || packet == gv::kInter;
    const int frames = is_frame ? bundled && !payload.empty() ? payload[0] + 1 : 1 : 0;
    out.add(packet, payload, frames);
  }
  return out.finish();
}

// A temporal unit: a metadata OBU of these entries, of a keyframe after a header and a place, and a
// frame.
inline Buffer sealed_unit(gv::Bytes entries, bool key) {
  Buffer inside = {0x89, 'G', 'V', 'C', 1};
  if (key) {
    static const Buffer header = sealed_header(usual_fields(1, false, &painter_id()));
    inside.push_back(0);
    append_var(inside, header.size());
    append(inside, header);
    inside.insert(inside.end(), {1, 1, 0});
  }
  append(inside, entries);
  append_uint(inside, gv::crc32(inside), 4);
  Buffer unit = {0x12, 0, 0x2a};
  append_var(unit, inside.size() + 2);
  unit.push_back(22);
  append(unit, inside);
  unit.insert(unit.end(), {0x80, 0x32, 1, 0x10});
  return unit;
}

}  // namespace gvfuzz
