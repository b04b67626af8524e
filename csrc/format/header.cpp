#include "format/header.hpp"

namespace gv {
namespace {

constexpr uint8_t kMagic[] = {0x89, 'G', 'V', 'C'};
constexpr size_t kVersionEnd = sizeof kMagic + 2, kCrcBytes = 4;
constexpr uint64_t kMostFields = 1024, kMostSide = 16384, kMostRatio = (uint64_t{1} << 31) - 1;
constexpr int64_t kMostPixels = int64_t{1} << 26;
// Bits of `must`; bit 0 of `may`; bits of the byte after the colour.
constexpr uint64_t kHasBaseModel = 1, kHasPainter = 2, kHasLatents = 4, kBundled = 8, kReducedForm = 16;
constexpr uint64_t kKnownFlags = 31, kEmbedsModels = 1;
constexpr int kKnownBits = 31, kFullRange = 1, kTenBits = 2;

std::string dotted(int major, int minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

[[noreturn]] void newer(const std::string& what) {
  throw StreamError(Fault::newer, what + " needs a newer format; this release reads up to " +
                                      dotted(kVersionMajor, kVersionMinor));
}

Ratio ratio(Cursor& in) {
  const uint64_t num = in.var(kMostRatio), den = in.var(kMostRatio);
  require(den, "header: ratio with denominator 0");
  return {static_cast<int64_t>(num), static_cast<int64_t>(den)};
}

std::optional<Id> id(Cursor& in, bool there) {
  if (!there) return std::nullopt;
  Id out;
  std::copy_n(in.take(kIdBytes).data, kIdBytes, out.begin());
  return out;
}

Base base_of(int number) {
  if (number == 0 || number == 2 || number == 5)
    throw StreamError(Fault::newer, "the base of an earlier format");
  if (number == 6)
    throw StreamError(Fault::newer, "GVC1D's learned transform, which release 1.0 alone reads");
  if (number != 1 && number != 3 && number != 7) newer("base " + std::to_string(number));
  return static_cast<Base>(number);
}

// What one field says of another.
void check(const Header& h) {
  require(h.width > 0 && h.height > 0 && int64_t{h.width} * h.height <= kMostPixels,
          "header: a picture size outside the limits");
  require(h.rate.num && h.tick.num && h.sar.num, "header: a ratio of 0");
  require(h.q <= 63, "header: q is 0…63");
  require(!h.bundled || h.base == Base::av1, "header: frames of base av1 alone come in bundles");
  require(h.base != Base::gvc1d || (h.base_model && !h.gvc1d), "header: base gvc1d names its model");
  require(h.base != Base::gvc1d || (!h.painter && (h.needs_major > 1 || h.needs_minor >= 1)),
          "header: base gvc1d has no painter and needs format 1.1");
}

Header parse_fields(Cursor in) {
  Header h;
  // Reading needs 1.0 at least; profile and level inform.
  const int major = in.u8(), minor = in.u8();
  if (major >= 1) h.needs_major = major, h.needs_minor = minor;
  in.take(2);
  const uint64_t flags = in.var();
  if (flags & ~kKnownFlags) newer("a flag of the header");
  h.embeds_models = in.var() & kEmbedsModels;
  h.width = static_cast<int>(in.var(kMostSide));
  h.height = static_cast<int>(in.var(kMostSide));
  h.rate = ratio(in);
  h.tick = ratio(in);
  h.start = in.svar();
  h.primaries = in.u8(), h.transfer = in.u8(), h.matrix = in.u8();
  const int bits = in.u8();
  h.full_range = bits & kFullRange;
  h.bits = bits & kTenBits ? 10 : 8;
  h.chroma_location = bits >> 2 & 7;
  h.sar = ratio(in);
  const int base = in.u8();
  h.scale = in.u8();
  h.q = in.u8();
  h.base_model = id(in, flags & kHasBaseModel);
  h.painter = id(in, flags & kHasPainter);
  h.gvc1d = id(in, flags & kHasLatents);
  if (flags & kReducedForm)
    throw StreamError(Fault::newer, "GVC1D's reduced form, which release 1.0 alone reads");
  h.base = base_of(base);
  if (h.scale > 2) newer("scale " + std::to_string(h.scale));
  if (bits > kKnownBits) newer("a bit of the header");
  require(h.start <= kMostPts && h.start >= -kMostPts, "header: field out of range");
  h.bundled = flags & kBundled;
  check(h);
  return h;
}

}  // namespace

size_t header_size(Bytes data) {
  const size_t known = std::min(data.size, sizeof kMagic);
  require(std::equal(data.data, data.data + known, kMagic),
          "not a gvcodec file (wrong first bytes)");
  size_t end = kVersionEnd;
  do {
    if (end >= data.size) return 0;
  } while (data.data[end++] >= 128 && end - kVersionEnd < kMostVarBytes);
  const uint64_t size = Cursor(data.first(end).from(kVersionEnd), "header").var(kMostFields);
  return end + static_cast<size_t>(size) + kCrcBytes;
}

Header parse_header(Bytes whole) {
  Cursor in(whole, "header");
  in.take(sizeof kMagic);
  const int major = in.u8(), minor = in.u8();
  const Cursor fields(in.take(in.var(kMostFields)), "header");
  require(crc32(whole.first(whole.size - kCrcBytes)) == in.uint(kCrcBytes),
          "header: checksum differs (nothing can be decoded)");
  if (major == 0)
    throw StreamError(Fault::newer, "format " + dotted(0, minor) + " is of an earlier release");
  Cursor needed = fields;
  const int needs = needed.u8() << 8, least = needs | needed.u8();
  if (least > (kVersionMajor << 8 | kVersionMinor))
    throw StreamError(Fault::newer, "needs format " + dotted(least >> 8, least & 255) +
                                        "; this release reads up to " +
                                        dotted(kVersionMajor, kVersionMinor));
  return parse_fields(fields);
}

int coded_side(int side, int scale) {
  constexpr int kNumerator[] = {1, 3, 1}, kDenominator[] = {1, 4, 2};
  const int p = kNumerator[scale], q = kDenominator[scale], multiple = 2 * q;
  return ceil_div(std::max(side, 64 * q / p), multiple) * multiple * p / q;
}

}  // namespace gv
