// Fuzzing of bundles: build/fuzz/bundles_fuzz CORPUS.
//
// The first byte of an input says what the rest is: 0 a sample that primes a model, 1 coded symbols
// of a number of frames, 2 symbols, 3 bundles { u16 size, bytes, u8 key }. Symbols that can be read
// are coded and read again as they are; frames of a bundle are not empty.
#include "entropy/bundles.hpp"
#include "format/unbundler.hpp"
#include "fuzz/bytes.hpp"

namespace gv {
extern const uint8_t kBundlesSample[];
extern const size_t kBundlesSampleSize;
}  // namespace gv

namespace {

using Symbols = std::vector<uint8_t>;

gv::BundleModel primed() {
  static const gv::BundleModel model(gv::kBundlesSample, gv::kBundlesSampleSize);
  return model;
}

void round_trip(const Symbols& symbols, int frames) {
  const Symbols coded = primed().encode(symbols.data(), symbols.size());
  gvfuzz::require(primed().decode(coded.data(), coded.size(), frames) == symbols);
}

// Frames that end in these symbols, which `encode` has accepted.
int count_frames(const Symbols& symbols) {
  int frames = 0;
  for (size_t at = 0; at < symbols.size();) {
    const int kind = symbols[at];
    size_t size = symbols[at + 1], head = at + 2;
    if (size == 255) {
      size = symbols[head] | symbols[head + 1] << 8 | symbols[head + 2] << 16;
      head += 3;
    }
    at = head + (kind == 255 ? 0 : std::min<size_t>(size, gv::kHead));
    frames += (kind & 16) != 0;
  }
  return frames;
}

void unbundle(gvfuzz::Bytes& in) {
  gv::Unbundler unbundler;
  for (bool key = true; in.left() > 2; key = in.byte() & 1) {
    try {
      for (const gv::Buffer& payload : unbundler.send(key, in.take(in.value<uint16_t>() % 2000)))
        gvfuzz::require(!payload.empty());
    } catch (const gv::StreamError&) {
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gvfuzz::Bytes in(data, size);
  const int what = in.below(4);
  try {
    if (what == 0) {
      const Symbols sample = in.take(in.left());
      gv::BundleModel model(sample.data(), sample.size());
    } else if (what == 1) {
      const int frames = in.below(gv::kMostBundled + 1);
      const Symbols coded = in.take(in.left());
      round_trip(primed().decode(coded.data(), coded.size(), frames), frames);
    } else if (what == 2) {
      const Symbols symbols = in.take(in.left());
      primed().encode(symbols.data(), symbols.size());
      round_trip(symbols, count_frames(symbols));
    } else {
      unbundle(in);
    }
  } catch (const std::invalid_argument&) {
  } catch (const gv::DamagedStream&) {
  }
  return 0;
}
