// Decoder robustness: cut, flipped and made-up frames are refused or decode to some frame; the next
// key frame heals.
#include "check.hpp"

using namespace gvtest;

namespace {

using Bytes = std::vector<uint8_t>;

struct Stream {
  int width, height;
  std::vector<Bytes> frames;
  gv::Picture last;  // loop frame of the final frame, which is a key frame
};

Stream make_stream(const gv::Model& model, int width, int height, int q) {
  Stream s{width, height, {}, {}};
  gv::KltEncoder encoder(model, width, height, 1, {});
  for (int t = 0; t < 4; ++t)
    s.frames.push_back(
        encoder.encode(picture(width, height, t, 3), q, std::max(0, q - 7), t % 3 == 0, false)
            .payload);
  s.last = encoder.loop();
  return s;
}

// True when the frame was decoded, false when it was refused; anything else ends the program.
bool decodes(gv::KltDecoder& decoder, const Bytes& frame) {
  const Bytes exact(frame);  // its own allocation, so that the sanitizer sees a read beyond it
  try {
    decoder.decode(exact.data(), exact.size());
    return true;
  } catch (const gv::DamagedStream&) {
    return false;
  }
}

void with_frame(const gv::Model& model, const Stream& s, size_t which, const Bytes& damaged) {
  gv::KltDecoder decoder(model, s.width, s.height, 1);
  for (size_t t = 0; t < s.frames.size(); ++t) {
    const bool good = decodes(decoder, t == which ? damaged : s.frames[t]);
    if (t == which && !good && t + 1 < s.frames.size() && !(s.frames[t + 1][0] & 0x40))
      EXPECT(!decodes(decoder, s.frames[t + 1]));
  }
  if (which + 1 < s.frames.size()) EXPECT(equal(decoder.loop(), s.last));
}

void damage(const gv::Model& model, const Stream& s, Random& random) {
  for (size_t t = 0; t < s.frames.size(); ++t) {
    const Bytes& whole = s.frames[t];
    const size_t step = 1 + whole.size() / 60;
    for (size_t n = 0; n < whole.size(); n += step) {
      with_frame(model, s, t, Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n)));
      Bytes flipped = whole;
      flipped[n] = static_cast<uint8_t>(flipped[n] ^ uniform(random, 1, 255));
      with_frame(model, s, t, flipped);
    }
    Bytes longer = whole;
    longer.push_back(static_cast<uint8_t>(uniform(random, 0, 255)));
    gv::KltDecoder decoder(model, s.width, s.height, 1);
    for (size_t before = 0; before < t; ++before) EXPECT(decodes(decoder, s.frames[before]));
    // A trimmed one may end in many ways.
    EXPECT(!decodes(decoder, longer) || (t % 3 != 0 && whole[0] & 0x80));
  }
}

void made_up(const gv::Model& model, int width, int height, int count, int bytes, Random& random) {
  for (int turn = 0; turn < count; ++turn) {
    gv::KltDecoder decoder(model, width, height, 1);
    for (int t = 0; t < 3; ++t) {
      Bytes frame(static_cast<size_t>(uniform(random, 0, bytes)));
      for (uint8_t& b : frame)
        b = static_cast<uint8_t>(turn % 4 == 0   ? 255
                                 : turn % 4 == 1 ? 0x55
                                                 : uniform(random, 0, 255));
      if (!frame.empty())
        frame[0] = static_cast<uint8_t>((frame[0] & 0x3f) | (t > 0 ? 0 : turn & 8 ? 0xc0 : 0x40));
      decodes(decoder, frame);
    }
  }
}

}  // namespace

int main() {
  const gv::Model model = cosine_model();
  Random random(11);
  damage(model, make_stream(model, 48, 32, 30), random);
  damage(model, make_stream(model, 40, 24, 4), random);
  damage(model, make_stream(model, 270, 18, 50), random);
  made_up(model, 1, 1, 200, 40, random);
  made_up(model, 64, 48, 100, 3000, random);
  made_up(model, 520, 300, 4, 60000, random);
  // An inter frame that nothing precedes, an empty payload, the reserved bit.
  gv::KltDecoder decoder(model, 16, 16, 1);
  EXPECT(!decodes(decoder, {0x20}));
  EXPECT(!decodes(decoder, {}));
  EXPECT(!decodes(decoder, {0x80}));
  EXPECT(decodes(decoder, {0x40}));  // a key frame of nothing: mid-grey
  EXPECT(decoder.loop().plane[0].row(5)[5] == 512);
  return verdict("damage");
}
