#include "format/checksums.hpp"

namespace gv {
namespace {

constexpr uint32_t kCrc32 = 0xEDB88320;  // reflected
constexpr uint32_t kCrc16 = 0x1021;

struct CrcTables {
  uint32_t of32[256];
  uint16_t of16[256];

  CrcTables() {
    for (uint32_t n = 0; n < 256; ++n) {
      uint32_t c = n, d = n << 8;
      for (int bit = 0; bit < 8; ++bit) {
        c = c & 1 ? c >> 1 ^ kCrc32 : c >> 1;
        d = d & 0x8000 ? d << 1 ^ kCrc16 : d << 1;
      }
      of32[n] = c;
      of16[n] = static_cast<uint16_t>(d);
    }
  }
};

const CrcTables& tables() {
  static const CrcTables made;
  return made;
}

}  // namespace

uint32_t crc32(Bytes bytes, uint32_t crc) {
  crc = ~crc;
  for (size_t i = 0; i < bytes.size; ++i)
    crc = crc >> 8 ^ tables().of32[(crc ^ bytes.data[i]) & 255];
  return ~crc;
}

uint16_t crc16(Bytes bytes) {
  uint32_t crc = 0xFFFF;
  for (size_t i = 0; i < bytes.size; ++i)
    crc = (crc << 8 & 0xFFFF) ^ tables().of16[crc >> 8 ^ bytes.data[i]];
  return static_cast<uint16_t>(crc);
}

}  // namespace gv
