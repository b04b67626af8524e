// OBUs of AV1 payloads and temporal units (docs/spec/bases.md: av1).
#pragma once

#include "format/cursor.hpp"

namespace gv {

enum ObuType : int {
  kObuSequence = 1,
  kObuDelimiter = 2,
  kObuFrameHeader = 3,
  kObuMetadata = 5,
  kObuFrame = 6,
  kObuPadding = 15
};

struct Obu {
  int type = 0;
  uint8_t head = 0;  // with the size flag set
  Bytes extension, body;
};

// Of a temporal unit; the last OBU may come without a size. Throws `StreamError`.
std::vector<Obu> parse_obus(Bytes unit);
// An OBU with its size.
void append_obu(Buffer& to, const Obu& obu);

// Throws `StreamError` unless the payload shows exactly one frame.
void check_av1(const std::vector<Obu>& obus);
// A payload as a temporal unit: delimiter first, every OBU with its size. Throws `StreamError`.
Buffer restore_av1(Bytes payload);
// OBUs of a temporal unit as the payload of a packet. Throws `StreamError` where nothing is left.
Buffer strip_av1(const std::vector<Obu>& obus);

}  // namespace gv
