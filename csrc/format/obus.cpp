#include "format/obus.hpp"

namespace gv {
namespace {

constexpr int kForbidden = 0x80, kExtended = 4, kSized = 2;
constexpr int kMostLebBytes = 8;
constexpr size_t kMostObus = 4096;

// AV1's own number: superfluous zero bytes are allowed.
uint64_t leb128(Cursor& in) {
  uint64_t value = 0;
  for (int i = 0; i < kMostLebBytes; ++i) {
    const uint8_t byte = in.u8();
    value |= static_cast<uint64_t>(byte & 127) << 7 * i;
    if (byte >= 128) continue;
    if (value >> 32) break;
    return value;
  }
  refuse("temporal unit: size of an OBU is out of range", code::kTemporalUnit);
}

}  // namespace

std::vector<Obu> parse_obus(Bytes unit) {
  std::vector<Obu> obus;
  Cursor in(unit, "temporal unit");
  while (in.left()) {
    const int head = in.u8();
    require(!(head & kForbidden), "temporal unit: not an OBU", code::kTemporalUnit);
    Obu obu;
    obu.type = head >> 3 & 15;
    obu.head = static_cast<uint8_t>(head | kSized);
    if (head & kExtended) obu.extension = in.take(1);
    obu.body = in.take(head & kSized ? leb128(in) : in.left());
    obus.push_back(obu);
    require(obus.size() <= kMostObus, "temporal unit: more than 4096 OBUs", code::kTemporalUnit);
  }
  return obus;
}

void append_obu(Buffer& to, const Obu& obu) {
  to.push_back(obu.head);
  append(to, obu.extension);
  append_var(to, obu.body.size);
  append(to, obu.body);
}

void check_av1(const std::vector<Obu>& obus) {
  require(!obus.empty(), "empty packet", code::kBaseLayer);
  int shown = 0;
  for (const Obu& obu : obus) {
    if (obu.body.size == 0) continue;
    const uint8_t first = obu.body.data[0];
    // reduced_still_picture_header; show_existing_frame, or show_frame after it and two bits.
    require(obu.type != kObuSequence || !(first & 8), "the base layer is a still picture",
            code::kBaseLayer);
    if (obu.type == kObuFrame || obu.type == kObuFrameHeader) shown += (first & 0x90) != 0;
  }
  if (shown != 1)
    refuse("a packet of the base layer shows " + std::to_string(shown) + " frames instead of one",
           code::kBaseLayer);
}

Buffer restore_av1(Bytes payload) {
  const std::vector<Obu> obus = parse_obus(payload);
  require(!obus.empty(), "empty packet", code::kBaseLayer);
  Buffer unit = {kObuDelimiter << 3 | kSized, 0};
  for (const Obu& obu : obus) append_obu(unit, obu);
  return unit;
}

Buffer strip_av1(const std::vector<Obu>& obus) {
  Buffer payload;
  const Obu* last = nullptr;
  for (const Obu& obu : obus) {
    if (obu.type == kObuDelimiter || obu.type == kObuPadding) continue;
    if (last) append_obu(payload, *last);
    last = &obu;
  }
  require(last, "empty packet", code::kBaseLayer);
  payload.push_back(static_cast<uint8_t>(last->head & ~kSized));
  append(payload, last->extension);
  append(payload, last->body);
  return payload;
}

}  // namespace gv
