// Header of a stream: fields, bounds, versions (docs/spec/container.md: Header).
#pragma once

#include <optional>

#include "format/checksums.hpp"

namespace gv {

struct Ratio {
  int64_t num = 1, den = 1;  // 1…2^31 − 1
};

enum class Base { av1 = 1, vvc = 3, gvc1d = 7 };

struct Header {
  int width = 0, height = 0;  // luma samples
  Ratio rate, tick, sar;      // frames a second; seconds; of a sample
  int64_t start = 0;          // ticks
  int primaries = 2, transfer = 2, matrix = 2, chroma_location = 0;
  bool full_range = false;
  int bits = 8;  // of the source
  Base base = Base::av1;
  int scale = 0;  // 0: full size, 1: 3/4, 2: 1/2
  int q = 0;      // 0…63
  int needs_major = 1, needs_minor = 0;
  bool bundled = false, embeds_models = false;
  std::optional<Id> base_model, painter, gvc1d;
};

constexpr int kVersionMajor = 1, kVersionMinor = 1;  // the latest that is read
constexpr int64_t kMostPts = int64_t{1} << 60;       // ticks from 0, either way

// Bytes of the header at the start of `data`, or 0 if more bytes are needed. Throws `StreamError`.
size_t header_size(Bytes data);
// A whole header of that size. `more_bases`: numbers of bases that the caller reads besides those of
// `Base`. Throws `StreamError`.
Header parse_header(Bytes whole, const std::vector<int>& more_bases = {});

// Size of the pictures that the base codes: at the header's scale, even and at least 64.
int coded_side(int side, int scale);

}  // namespace gv
