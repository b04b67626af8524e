// A host of libgvc whose AV1 decoder invents pictures: a player's calls, on any bytes.
#pragma once

#include "fuzz/bytes.hpp"
#include "include/gvc.h"

namespace gvfuzz {

class Host {
 public:
  Host(uint32_t flags, uint64_t file_size) {
    const gvc_settings settings = {sizeof(gvc_settings), flags, 1, 0, 1 << 14, file_size};
    require(gvc_open(&settings, &decoder) == GVC_OK);
  }
  Host(const Host&) = delete;
  ~Host() { gvc_close(decoder); }

  // Gives the base picture of the unit at hand and takes the result.
  gvc_code show() {
    gvc_header header;
    require(gvc_get_header(decoder, &header) == GVC_OK);
    const int columns = header.coded_width, rows = header.coded_height;
    std::vector<uint16_t> samples(static_cast<size_t>(columns) * rows);
    for (uint16_t& sample : samples) {
      seed_ = seed_ * 1664525u + 1013904223u;
      sample = static_cast<uint16_t>(seed_ >> 24 << 2);
    }
    gvc_picture base = {};
    base.width = columns, base.height = rows, base.bits = 10;
    for (int p = 0; p < 3; ++p) {
      base.plane[p] = samples.data();
      base.stride[p] = 2 * (p ? (columns + 1) / 2 : columns);
    }
    const gvc_code code = gvc_send_base(decoder, &base);
    if (code != GVC_OK) return code;
    std::vector<uint8_t> out(static_cast<size_t>(header.width) * header.height * 2);
    gvc_picture picture = {};
    picture.width = header.width, picture.height = header.height;
    picture.bits = seed_ & 256 ? 8 : 10;
    for (int p = 0; p < 3; ++p) {
      picture.plane[p] = out.data();
      picture.stride[p] = p ? (header.width + 1) / 2 : header.width;
      if (picture.bits == 10) picture.stride[p] *= 2;
    }
    require(gvc_get_picture(decoder, &picture) == GVC_OK && picture.frame >= 0);
    return GVC_OK;
  }

  // Units and pictures until more bytes are needed, the end, or an error.
  gvc_code drain() {
    for (;;) {
      gvc_unit unit = {};
      const gvc_code code = gvc_next_unit(decoder, &unit);
      if (code != GVC_OK) return code;
      require(unit.size > 2 && unit.data[0] == 0x12 && unit.data[1] == 0);
      if (const gvc_code shown = show(); shown != GVC_OK) return shown;
    }
  }

  // Reads a file from where the library wants it, in pieces.
  gvc_code read(const std::vector<uint8_t>& file, size_t piece) {
    for (;;) {
      const gvc_code code = drain();
      if (code != GVC_AGAIN) return code;
      const uint64_t at = gvc_offset(decoder);
      if (at >= file.size()) {
        if (gvc_flush(decoder) != GVC_OK || drain() == GVC_AGAIN) return GVC_AGAIN;
        continue;
      }
      const size_t size = std::min<size_t>(piece, file.size() - static_cast<size_t>(at));
      const std::vector<uint8_t> part(file.begin() + static_cast<ptrdiff_t>(at),
                                      file.begin() + static_cast<ptrdiff_t>(at + size));
      if (gvc_send(decoder, part.data(), part.size()) != GVC_OK) return GVC_DAMAGED;
    }
  }

  gvc_decoder* decoder = nullptr;

 private:
  uint32_t seed_ = 1;
};

}  // namespace gvfuzz
