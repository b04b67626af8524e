// Fuzzing of libgvc on .gvc streams: build/fuzz/stream_fuzz CORPUS.
//
// An input is that of tests/fuzz/stream_fuzz.py: u8 base, then { u8 kind, u16 size, payload },
// sealed with right checksums; base 255: a raw stream. Here bit 1 of the base names a painter, bit 2
// says that frames come in bundles, and the rest is where to seek and how large pieces are.
#include "fuzz/host.hpp"
#include "fuzz/inputs.hpp"

namespace {

constexpr uint8_t kRaw = 255;
// Bytes a piece: few inputs come byte by byte, since every read costs as much as a small file.
constexpr size_t kPieces[] = {1, 13, 61, 256, 1024, 4096, 16384, 65536};
constexpr int kSeeks[] = {0, 1, 2, 5};  // frames, the last of them beyond small files

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gvfuzz::Bytes in(data, size);
  const uint8_t kind = in.byte();
  const gv::Buffer file = kind == kRaw ? in.take(in.left()) : gvfuzz::stream_of(in, kind);
  const size_t piece = kPieces[kind == kRaw ? 4 : kind >> 3 & 7];
  gvfuzz::Host host(GVC_HASH, file.size());
  host.read(file, 4 * piece);
  uint8_t id[8];
  if (gvc_missing_model(host.decoder, id) == GVC_OK)
    gvc_set_model(host.decoder, gvfuzz::painter().data(), gvfuzz::painter().size());
  host.read(file, 4 * piece);
  gvc_hashes hashes;
  gvc_get_hashes(host.decoder, &hashes);
  const int frame = kSeeks[kind >> 6];
  gvc_set_look(host.decoder, 8 * frame, frame & 1);
  if (gvc_seek(host.decoder, frame) == GVC_OK) host.read(file, piece);
  gvc_error error;
  gvc_get_error(host.decoder, &error);
  gvfuzz::require(error.text != nullptr);
  return 0;
}
