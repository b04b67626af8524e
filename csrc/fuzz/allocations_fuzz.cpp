// Fuzzing of libgvc with too little memory: build/fuzz/allocations_fuzz CORPUS.
//
// An input is u16 which allocation fails, u8 flags (bit 0: all later ones fail too, bit 1: units of
// a one-file, bit 2: pictures of 8 bits), then u8 kind and packets of `stream_of`, or { u8 size,
// entries } of units. A call that finds no memory says GVC_NO_MEMORY; after a seek, or in a new
// decoder, the same pictures come as with memory.
#include "fuzz/failing_new.hpp"
#include "fuzz/inputs.hpp"
#include "include/gvc.h"

namespace {

using gvfuzz::require;

constexpr int kWidth = 40, kHeight = 24;  // of `usual_fields`
constexpr int kSide = 64;                 // of its base pictures
constexpr int kMaxPictures = 3;           // a fuzzer that paints is slow

struct Input {
  bool units, eight_bits;
  gv::Buffer file;
  std::vector<gv::Buffer> pieces;  // units
};

struct Result {
  gvc_code code;  // that ended it
  int pictures;
  uint32_t hash;
};

bool operator==(const Result& a, const Result& b) {
  return a.code == b.code && a.pictures == b.pictures && a.hash == b.hash;
}

// Base picture and result of the next unit.
gvc_code show(gvc_decoder* decoder, const Input& input, Result& result) {
  static uint16_t samples[kSide * kSide], out[3][kWidth * kHeight];
  for (int i = 0; i < kSide * kSide; ++i)
    samples[i] =
        static_cast<uint16_t>((i * 37 + result.pictures) % (input.eight_bits ? 256 : 1024));
  gvc_picture base = {};
  base.width = base.height = kSide, base.bits = 10;
  for (int p = 0; p < 3; ++p) base.plane[p] = samples, base.stride[p] = 2 * kSide;
  const gvc_code code = gvc_send_base(decoder, &base);
  if (code != GVC_OK) return code;
  gvc_picture picture = {};
  picture.width = kWidth, picture.height = kHeight, picture.bits = input.eight_bits ? 8 : 10;
  for (int p = 0; p < 3; ++p) picture.plane[p] = out[p], picture.stride[p] = 2 * kWidth;
  const gvc_code taken = gvc_get_picture(decoder, &picture);
  if (taken != GVC_OK) return taken;
  ++result.pictures;
  for (const auto& plane : out)
    for (const uint16_t sample : plane) result.hash = result.hash * 31 + sample;
  return GVC_OK;
}

// Plays to the end or an error. Takes no memory of its own.
Result play(gvc_decoder* decoder, const Input& input) {
  Result result = {GVC_OK, 0, 0};
  gvc_code& code = result.code;
  size_t piece = 0;
  uint8_t id[8];
  gvc_unit unit;
  for (bool flushed = false; code >= 0 && result.pictures < kMaxPictures;) {
    code = gvc_next_unit(decoder, &unit);
    if (code == GVC_END) break;
    if (code == GVC_AGAIN && input.units) {
      if (piece == input.pieces.size()) break;
      const gv::Buffer& next = input.pieces[piece++];
      code = gvc_send_unit(decoder, next.data(), next.size());
    } else if (code == GVC_AGAIN) {
      const size_t at = static_cast<size_t>(gvc_offset(decoder));
      if (at >= input.file.size()) {
        if (flushed) break;
        flushed = true;
        code = gvc_flush(decoder);
      } else {
        code = gvc_send(decoder, input.file.data() + at, input.file.size() - at);
      }
    } else if (code == GVC_OK) {
      if (gvc_missing_model(decoder, id) == GVC_OK)
        code = gvc_set_model(decoder, gvfuzz::painter().data(), gvfuzz::painter().size());
      if (code == GVC_OK) code = show(decoder, input, result);
    }
  }
  gvc_error error;
  gvc_get_error(decoder, &error);
  require(code >= 0 || (error.code == code && *error.text));
  return result;
}

gvc_decoder* open(const Input& input) {
  const gvc_settings settings = {sizeof(gvc_settings), GVC_HASH,         1, 0,
                                 kWidth * kHeight,     input.file.size()};
  gvc_decoder* decoder = nullptr;
  const gvc_code code = gvc_open(&settings, &decoder);
  require(decoder ? code == GVC_OK : code == GVC_NO_MEMORY);
  return decoder;
}

Input read(gvfuzz::Bytes& in, uint8_t flags) {
  Input input = {(flags & 2) != 0, (flags & 4) != 0, {}, {}};
  for (int n = 0; input.units && in.left() && n < 16; ++n)
    input.pieces.push_back(gvfuzz::sealed_unit(in.take(in.byte()), n % 4 == 0));
  if (!input.units) input.file = gvfuzz::stream_of(in, in.byte() & ~1);
  return input;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gvfuzz::Bytes in(data, size);
  const uint16_t number = in.value<uint16_t>();
  const uint8_t flags = in.byte();
  const Input input = read(in, flags);

  const int64_t before = gvfuzz::allocations;
  gvc_decoder* decoder = open(input);
  const Result first = play(decoder, input);
  const int64_t count = gvfuzz::allocations - before;
  const bool seeks = gvc_seek(decoder, 0) == GVC_OK;
  const Result sought = seeks ? play(decoder, input) : first;
  gvc_close(decoder);

  Result poor = {GVC_NO_MEMORY, 0, 0};
  {
    const gvfuzz::FailingNew failing(number % count, flags & 1);
    decoder = open(input);
    if (decoder) poor = play(decoder, input);
  }
  if (!decoder) return 0;
  require(gvfuzz::failures > 0 || poor == first);
  require(poor.code == GVC_NO_MEMORY || poor.code == first.code);
  require(poor.code != GVC_NO_MEMORY || poor.pictures <= first.pictures);
  if (seeks && gvc_seek(decoder, 0) == GVC_OK) {
    const Result again = play(decoder, input);
    // A model inside the stream is read only once.
    require(again == sought || again.code == GVC_NO_MODEL);
  }
  gvc_close(decoder);
  return 0;
}
