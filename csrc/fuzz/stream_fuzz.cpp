// Fuzzing of libgvc on .gvc streams: build/fuzz/stream_fuzz CORPUS.
//
// An input is that of tests/fuzz/stream_fuzz.py: u8 base, then { u8 kind, u16 size, payload },
// sealed with right checksums; base 255: a raw stream. Here bit 1 of the base names a painter, bit 2
// says that frames come in bundles, and the rest is where to seek and how large pieces are.
#include "fuzz/host.hpp"
#include "fuzz/sealed.hpp"

namespace {

constexpr uint8_t kRaw = 255;
// Bytes a piece: few inputs come byte by byte, since every read costs as much as a small file.
constexpr size_t kPieces[] = {1, 13, 61, 256, 1024, 4096, 16384, 65536};
constexpr int kSeeks[] = {0, 1, 2, 5};  // frames, the last of them beyond small files
constexpr int kKinds[] = {gv::kInter, gv::kKey,    gv::kFit,           gv::kTiming, gv::kTracks,
                          gv::kLatent, gv::kFirstSkippable, gv::kPainted, gv::kModel, 40};

const gv::Buffer& painter() {
  static const gv::Buffer file = gvfuzz::small_painter();
  return file;
}

gv::Buffer stream_of(gvfuzz::Bytes& in, uint8_t kind) {
  static const gv::Id id = gvfuzz::id_of_file(painter());
  const bool painted = kind & 2, bundled = kind & 4;
  gvfuzz::StreamWriter out(gvfuzz::sealed_header(
      gvfuzz::usual_fields(kind & 1 ? 3 : 1, bundled && !(kind & 1), painted ? &id : nullptr)));
  while (in.left() >= 3) {
    const int packet = kKinds[in.below(sizeof kKinds / sizeof *kKinds)];
    const std::vector<uint8_t> payload = in.take(in.value<uint16_t>());
    const bool is_frame = packet == gv::kKey || packet == gv::kInter;
    const int frames = is_frame ? bundled && !payload.empty() ? payload[0] + 1 : 1 : 0;
    out.add(packet, payload, frames);
  }
  return out.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gvfuzz::Bytes in(data, size);
  const uint8_t kind = in.byte();
  const gv::Buffer file = kind == kRaw ? in.take(in.left()) : stream_of(in, kind);
  const size_t piece = kPieces[kind == kRaw ? 4 : kind >> 3 & 7];
  gvfuzz::Host host(GVC_HASH, file.size());
  host.read(file, 4 * piece);
  uint8_t id[8];
  if (gvc_wants_model(host.decoder, id) == GVC_OK)
    gvc_give_model(host.decoder, painter().data(), painter().size());
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
