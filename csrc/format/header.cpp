#include "format/header.hpp"

#include <algorithm>
#include <cstdio>

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
  throw StreamError(Fault::newer,
                    what + " needs a newer format; this release reads up to " +
                        dotted(kVersionMajor, kVersionMinor),
                    code::kHeaderVersion);
}

[[noreturn]] void retired(const std::string& what) {
  throw StreamError(Fault::newer, what, code::kBaseRetired);
}

std::string hexadecimal(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "%#llx", static_cast<unsigned long long>(value));
  return text;
}

Ratio ratio(Cursor& in) {
  const uint64_t num = in.var(kMostRatio), den = in.var(kMostRatio);
  require(den, "header: ratio with denominator 0", code::kHeaderField);
  return {static_cast<int64_t>(num), static_cast<int64_t>(den)};
}

std::optional<Id> id(Cursor& in, bool there) {
  if (!there) return std::nullopt;
  Id out;
  std::copy_n(in.take(kIdBytes).data, kIdBytes, out.begin());
  return out;
}

// Numbers of retired bases are not used again, nor is 4, which no release of format 1 has written.
Base base_of(int number, const std::vector<int>& more) {
  if (std::find(more.begin(), more.end(), number) != more.end()) return static_cast<Base>(number);
  const std::string rest = "; this one reads bases av1, vvc, gvc1d";
  if (number == 0 || number == 2 || number == 5)
    retired(std::string("base ") + (number == 0 ? "klt" : number == 2 ? "hevc" : "none") +
            " was written by gvcodec before 0.7.0 and is read by release 0.1.0" + rest);
  if (number == 6)
    retired("base gvc1d of release 1.0, a learned transform, is read by that release alone" + rest);
  if (number != 1 && number != 3 && number != 7) newer("base " + std::to_string(number));
  return static_cast<Base>(number);
}

// Rules between fields.
void check(const Header& h) {
  const auto check = [](bool holds, const std::string& text) {
    if (!holds) refuse("header: " + text, code::kHeaderField);
  };
  check(h.width > 0 && h.height > 0 && int64_t{h.width} * h.height <= kMostPixels,
        "a picture of " + std::to_string(h.width) + "×" + std::to_string(h.height) +
            " is outside the limits (side 1…" + std::to_string(kMostSide) + ", " +
            std::to_string(kMostPixels) + " pixels)");
  check(h.rate.num, "frame rate 0 is outside the limits");
  check(h.tick.num, "time base 0 is outside the limits");
  check(h.sar.num, "aspect ratio 0 is outside the limits");
  check(h.q <= 63, "q is 0…63, not " + std::to_string(h.q));
  check(!h.bundled || h.base == Base::av1, "frames of base av1 alone travel in bundles");
  if (h.base != Base::gvc1d) return;
  check(h.base_model.has_value(), "base gvc1d names its model");
  check(!h.gvc1d, "frames of base gvc1d have no tokens with them");
  check(!h.painter, "frames of base gvc1d are not painted");
  check(h.needs_major > 1 || h.needs_minor >= 1, "base gvc1d needs format 1.1");
}

Header parse_fields(Cursor in, const std::vector<int>& more_bases) {
  Header h;
  // Reading needs 1.0 at least; profile and level inform.
  const int major = in.u8(), minor = in.u8();
  if (major >= 1) h.needs_major = major, h.needs_minor = minor;
  in.take(2);
  const uint64_t flags = in.var();
  if (flags & ~kKnownFlags)
    newer("flag " + hexadecimal(flags & ~kKnownFlags) + " of the header");
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
    retired("GVC1D's reduced form was written before release 1.1 and is read by release 1.0 alone");
  h.base = base_of(base, more_bases);
  if (h.scale > 2) newer("scale " + std::to_string(h.scale));
  if (bits > kKnownBits)
    newer("bits " + hexadecimal(static_cast<uint64_t>(bits)) + " of the header");
  require(h.start <= kMostPts && h.start >= -kMostPts, "header: field out of range",
          code::kHeaderField);
  h.bundled = flags & kBundled;
  check(h);
  return h;
}

}  // namespace

size_t header_size(Bytes data) {
  const size_t known = std::min(data.size, sizeof kMagic);
  require(std::equal(data.data, data.data + known, kMagic),
          "not a gvcodec file (wrong first bytes)", code::kNotGvcodec);
  size_t end = kVersionEnd;
  do {
    if (end >= data.size) return 0;
  } while (data.data[end++] >= 128 && end - kVersionEnd < kMostVarBytes);
  const uint64_t size = Cursor(data.first(end).from(kVersionEnd), "header").var(kMostFields);
  return end + static_cast<size_t>(size) + kCrcBytes;
}

Header parse_header(Bytes whole, const std::vector<int>& more_bases) {
  Cursor in(whole, "header");
  in.take(sizeof kMagic);
  const int major = in.u8(), minor = in.u8();
  const Cursor fields(in.take(in.var(kMostFields)), "header");
  require(crc32(whole.first(whole.size - kCrcBytes)) == in.uint(kCrcBytes),
          "header: checksum mismatch (nothing can be decoded)", code::kHeaderChecksum);
  if (major == 0)
    throw StreamError(Fault::newer,
                      "format " + dotted(0, minor) +
                          " is of an earlier release of gvcodec; this one reads 1.0 to " +
                          dotted(kVersionMajor, kVersionMinor),
                      code::kHeaderVersion);
  Cursor needed = fields;
  const int needs = needed.u8() << 8, least = needs | needed.u8();
  if (least > (kVersionMajor << 8 | kVersionMinor))
    throw StreamError(Fault::newer,
                      "needs format " + dotted(least >> 8, least & 255) +
                          "; this release reads up to " + dotted(kVersionMajor, kVersionMinor),
                      code::kHeaderVersion);
  return parse_fields(fields, more_bases);
}

int coded_side(int side, int scale) {
  constexpr int kNumerator[] = {1, 3, 1}, kDenominator[] = {1, 4, 2};
  const int p = kNumerator[scale], q = kDenominator[scale], multiple = 2 * q;
  return ceil_div(std::max(side, 64 * q / p), multiple) * multiple * p / q;
}

}  // namespace gv
