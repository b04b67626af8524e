// libgvc through its C interface: pieces of any size, seeking, models, misuse, limits.

#include <cstring>

#include "fuzz/failing_new.hpp"
#include "fuzz/host.hpp"
#include "fuzz/sealed.hpp"
#include "tests/check.hpp"

namespace {

using gvfuzz::Host;

// OBU_FRAME without a size, whose header shows a frame; `tail` makes payloads differ.
gv::Buffer frame(uint8_t tail) { return {6 << 3, 0x10, tail}; }

gv::Buffer painter() { return gvfuzz::small_painter(); }

// Three GOPs of four frames, the first two with `fit` packets of a strength of their own.
gv::Buffer stream(int base, bool painted) {
  const gv::Id id = gvfuzz::id_of_file(painter());
  gvfuzz::StreamWriter out(
      gvfuzz::sealed_header(gvfuzz::usual_fields(base, false, painted ? &id : nullptr)));
  for (uint8_t n = 0; n < 12; ++n) {
    const gv::Buffer fit = {16 + 4, static_cast<uint8_t>(10 * n), 0};
    if (n == 0 || n == 4) out.add(gv::kFit, fit, 0);
    out.add(n % 4 ? gv::kInter : gv::kKey, frame(n), 1);
  }
  return out.finish();
}

struct Seen {
  std::vector<gv::Buffer> units;
  std::vector<int64_t> frames, times;
  gv::Id hash = {};
};

// Everything that comes, up to the end.
Seen read_all(Host& host, const gv::Buffer& file, size_t piece) {
  Seen seen;
  gvc_unit unit;
  for (gvc_code code; (code = gvc_next_unit(host.decoder, &unit)) != GVC_END;) {
    EXPECT(code == GVC_OK || code == GVC_AGAIN);
    if (code == GVC_AGAIN) {
      const size_t at = static_cast<size_t>(gvc_offset(host.decoder));
      EXPECT(at < file.size());
      EXPECT(gvc_send(host.decoder, file.data() + at, std::min(piece, file.size() - at)) == GVC_OK);
      continue;
    }
    uint8_t id[8];
    if (gvc_missing_model(host.decoder, id) == GVC_OK)
      EXPECT(gvc_set_model(host.decoder, painter().data(), painter().size()) == GVC_OK);
    seen.units.emplace_back(unit.data, unit.data + unit.size);
    seen.frames.push_back(unit.frame);
    EXPECT(unit.key == (unit.frame % 4 == 0));
    EXPECT(host.show() == GVC_OK);
  }
  gvc_hashes hashes;
  const gvc_code code = gvc_get_hashes(host.decoder, &hashes);
  EXPECT(code == GVC_OK || code == GVC_OTHER_HASH);  // pictures are made up
  seen.times.push_back(hashes.end_pts);
  std::copy_n(hashes.painted, 8, seen.hash.begin());
  return seen;
}

void test_pieces() {
  const gv::Buffer file = stream(1, true);
  gv::Id hash = {};
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{7}, size_t{64}, file.size()}) {
    Host host(GVC_HASH, file.size());
    const Seen seen = read_all(host, file, piece);
    EXPECT(seen.units.size() == 12 && seen.times.back() == 480);
    for (size_t n = 0; n < 12; ++n) {
      const gv::Buffer unit = {0x12, 0, 0x32, 2, 0x10, static_cast<uint8_t>(n)};
      EXPECT(seen.units[n] == unit);
    }
    EXPECT(piece == 1 || seen.hash == hash);
    hash = seen.hash;
  }
}

void test_seeking() {
  const gv::Buffer file = stream(1, true);
  Host host(0, file.size());
  EXPECT(gvc_seek(host.decoder, 0) == GVC_MISUSE);
  gvc_send(host.decoder, file.data(), 60);
  gvc_header header;
  EXPECT(gvc_get_header(host.decoder, &header) == GVC_OK && header.frames == -1);
  for (const int64_t target : {11, 0, 5, 4, 8, 3}) {
    EXPECT(gvc_seek(host.decoder, target) == GVC_OK);
    const Seen seen = read_all(host, file, 13);
    EXPECT(seen.frames.front() == target / 4 * 4 && seen.frames.back() == 11);
  }
  EXPECT(gvc_get_header(host.decoder, &header) == GVC_OK && header.frames == 12);
  EXPECT(gvc_seek(host.decoder, 12) == GVC_MISUSE && gvc_seek(host.decoder, -1) == GVC_MISUSE);
  Host pipe(0, 0);
  gvc_send(pipe.decoder, file.data(), 60);
  EXPECT(gvc_get_header(pipe.decoder, &header) == GVC_OK &&
         gvc_seek(pipe.decoder, 0) == GVC_MISUSE);
}

void test_models() {
  const gv::Buffer file = stream(1, true);
  Host host(0, file.size());
  gvc_send(host.decoder, file.data(), file.size());
  gvc_unit unit;
  EXPECT(gvc_next_unit(host.decoder, &unit) == GVC_OK);
  EXPECT(host.show() == GVC_NO_MODEL);
  gv::Buffer other = painter();
  other.back() ^= 1;
  EXPECT(gvc_set_model(host.decoder, other.data(), other.size()) == GVC_NO_MODEL);
  EXPECT(gvc_set_model(host.decoder, painter().data(), painter().size()) == GVC_OK);
  uint8_t id[8];
  EXPECT(gvc_missing_model(host.decoder, id) == GVC_AGAIN);
  EXPECT(host.show() == GVC_OK);
}

void test_limits_and_misuse() {
  const gv::Buffer file = stream(1, false), other = stream(3, false);
  gvc_settings settings = {sizeof(gvc_settings), 0, 1, 0, 40 * 24 - 1, 0};
  gvc_decoder* decoder = nullptr;
  EXPECT(gvc_open(&settings, &decoder) == GVC_OK);
  gvc_unit unit;
  EXPECT(gvc_next_unit(decoder, &unit) == GVC_AGAIN);
  EXPECT(gvc_send(decoder, file.data(), file.size()) == GVC_OK);
  EXPECT(gvc_next_unit(decoder, &unit) == GVC_LIMIT);
  EXPECT(gvc_send(decoder, file.data(), file.size()) == GVC_LIMIT);  // final
  EXPECT(gvc_send_unit(decoder, file.data(), file.size()) == GVC_LIMIT);
  gvc_close(decoder);
  gvc_close(nullptr);

  Host vvc(0, 0);
  gvc_send(vvc.decoder, other.data(), other.size());
  gvc_header header;
  EXPECT(gvc_get_header(vvc.decoder, &header) == GVC_OK && header.base == GVC_BASE_VVC);
  EXPECT(gvc_next_unit(vvc.decoder, &unit) == GVC_UNSUPPORTED);

  Host plain(0, 0);
  gvc_send(plain.decoder, file.data(), file.size());
  EXPECT(gvc_next_unit(plain.decoder, &unit) == GVC_OK);
  gvc_picture picture = {};
  EXPECT(gvc_send_base(plain.decoder, &picture) == GVC_MISUSE);  // no planes
  EXPECT(gvc_get_picture(plain.decoder, &picture) == GVC_AGAIN);
  EXPECT(gvc_set_look(plain.decoder, 101, 1) == GVC_MISUSE);
  EXPECT(gvc_send_unit(plain.decoder, file.data(), 9) == GVC_MISUSE);
  uint8_t small[3] = {};
  for (void*& plane : picture.plane) plane = small;
  picture.width = 40, picture.height = 22, picture.bits = 8;
  EXPECT(gvc_send_base(plain.decoder, &picture) == GVC_DAMAGED);
  picture.height = 24, picture.bits = 12;
  EXPECT(gvc_send_base(plain.decoder, &picture) == GVC_DAMAGED);
  EXPECT(plain.show() == GVC_OK);  // another picture may be sent
  EXPECT(gvc_next_unit(plain.decoder, &unit) == GVC_OK);
}

// A program that was compiled with fewer settings gets the defaults of the others.
void test_settings() {
  EXPECT(gvc_version() == GVC_VERSION && GVC_VERSION >> 16 == GVC_VERSION_MAJOR);
  const gv::Buffer file = stream(1, false);
  struct {
    gvc_settings settings;
    uint32_t more;
  } given = {{0, 0, 1, 1, 40 * 24 - 1, 0}, 0};
  gvc_settings& settings = given.settings;
  const auto open = [&](size_t size) {
    settings.size = static_cast<uint32_t>(size);
    auto* decoder = reinterpret_cast<gvc_decoder*>(&settings);
    const gvc_code code = gvc_open(&settings, &decoder);
    EXPECT((code == GVC_OK) == (decoder != nullptr));
    if (code != GVC_OK) return code;
    EXPECT(gvc_send(decoder, file.data(), file.size()) == GVC_OK);
    gvc_unit unit;
    const gvc_code next = gvc_next_unit(decoder, &unit);
    gvc_close(decoder);
    return next;
  };
  EXPECT(open(sizeof settings) == GVC_LIMIT);  // max_pixels
  EXPECT(open(offsetof(gvc_settings, file_size)) == GVC_LIMIT);
  EXPECT(open(offsetof(gvc_settings, max_pixels)) == GVC_OK);
  EXPECT(open(sizeof settings.size) == GVC_OK);
  for (const size_t size : {size_t{0}, size_t{3}, sizeof given}) EXPECT(open(size) == GVC_MISUSE);
  for (const int threads : {-1, 1025, INT32_MAX}) {
    settings.threads = threads;
    EXPECT(open(sizeof settings) == GVC_MISUSE);
  }
  settings.threads = 1024, settings.max_pixels = 0;
  EXPECT(open(sizeof settings) == GVC_OK);
  settings.flags = 4;
  EXPECT(open(sizeof settings) == GVC_MISUSE);
  EXPECT(gvc_open(nullptr, nullptr) == GVC_MISUSE);
}

void test_null_pointers() {
  Host host(0, 0);
  gvc_decoder* d = host.decoder;
  const gv::Buffer file = stream(1, true);
  const auto all_refused = [&](gvc_decoder* of) {
    gvc_error error;
    gvc_get_error(of, &error);
    gvc_get_error(of, nullptr);
    for (const gvc_code code :
         {gvc_send(of, nullptr, 5), gvc_get_header(of, nullptr), gvc_missing_model(of, nullptr),
          gvc_set_model(of, nullptr, 0), gvc_next_unit(of, nullptr), gvc_send_base(of, nullptr),
          gvc_get_picture(of, nullptr), gvc_get_hashes(of, nullptr)})
      EXPECT(code == GVC_MISUSE);
  };
  EXPECT(gvc_send(d, file.data(), file.size()) == GVC_OK && gvc_send(d, nullptr, 0) == GVC_OK);
  gvc_unit unit;
  EXPECT(gvc_next_unit(d, &unit) == GVC_OK);
  all_refused(d);
  EXPECT(gvc_set_model(d, painter().data(), painter().size()) == GVC_OK);
  EXPECT(host.show() == GVC_OK && gvc_next_unit(d, &unit) == GVC_OK);

  all_refused(nullptr);
  gvc_error error;
  gvc_get_error(nullptr, &error);
  EXPECT(error.code == GVC_MISUSE && *error.text && gvc_offset(nullptr) == 0);
  EXPECT(gvc_send_unit(nullptr, nullptr, 0) == GVC_MISUSE && gvc_flush(nullptr) == GVC_MISUSE);
  EXPECT(gvc_seek(nullptr, 0) == GVC_MISUSE && gvc_set_look(nullptr, 50, 1) == GVC_MISUSE);
}

// Odd addresses and rows that overlap are refused; rows may follow each other upwards.
void test_planes_in_memory() {
  const gv::Buffer file = stream(1, false);
  Host host(0, 0);
  gvc_unit unit;
  gvc_send(host.decoder, file.data(), file.size());
  EXPECT(gvc_next_unit(host.decoder, &unit) == GVC_OK);
  constexpr int kSide = 64;  // of base pictures, the smallest that AV1 codes
  std::vector<uint16_t> samples((kSide + 2) * (kSide + 1));
  for (size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<uint16_t>(i % 1000);
  const auto picture = [&](int bits, ptrdiff_t stride, size_t at) {
    gvc_picture p = {};
    p.width = p.height = kSide, p.bits = bits;
    for (int i = 0; i < 3; ++i)
      p.plane[i] = reinterpret_cast<uint8_t*>(samples.data()) + at, p.stride[i] = stride;
    return p;
  };
  const ptrdiff_t row = 2 * kSide;
  for (const gvc_picture& wrong : {picture(10, row + 1, 0), picture(10, row, 1), picture(10, 0, 0),
                                   picture(10, row - 2, 0), picture(8, 63, 0), picture(8, -63, 0)})
    EXPECT(gvc_send_base(host.decoder, &wrong) == GVC_MISUSE);
  const gvc_picture upwards = picture(10, -row, 63 * static_cast<size_t>(row));
  EXPECT(gvc_send_base(host.decoder, &upwards) == GVC_OK);
  std::vector<uint16_t> out(40 * 24);
  gvc_picture shown = picture(10, 2 * 40, 0);
  shown.width = 40, shown.height = 24;
  for (void*& plane : shown.plane) plane = out.data();
  shown.stride[1] = 38;
  EXPECT(gvc_get_picture(host.decoder, &shown) == GVC_MISUSE);
  shown.stride[1] = 40;
  shown.plane[1] = shown.plane[2] = samples.data();
  EXPECT(gvc_get_picture(host.decoder, &shown) == GVC_OK);
  EXPECT(out[0] == 63 * kSide % 1000 && out[40] == 62 * kSide % 1000);
}

// Memory follows the pictures: a header may claim any size.
void test_memory_of_a_claimed_size() {
  gv::Buffer fields = gvfuzz::usual_fields(1, false, nullptr), side;
  const gv::Id id = gvfuzz::id_of_file(painter());
  fields = gvfuzz::usual_fields(1, false, &id);
  gv::append_var(side, 8192);
  fields.erase(fields.begin() + 6, fields.begin() + 8);
  for (int i = 0; i < 2; ++i) fields.insert(fields.begin() + 6, side.begin(), side.end());
  gvfuzz::StreamWriter out(gvfuzz::sealed_header(fields));
  out.add(gv::kKey, frame(0), 1);
  const gv::Buffer file = out.finish();
  const gvc_settings settings = {sizeof(gvc_settings), 0, 1, 0, 0, 0};
  gvc_decoder* decoder;
  EXPECT(gvc_open(&settings, &decoder) == GVC_OK);
  gvfuzz::largest = 0;
  gvc_send(decoder, file.data(), file.size());
  gvc_unit unit;
  gvc_header header;
  EXPECT(gvc_next_unit(decoder, &unit) == GVC_OK && gvc_get_header(decoder, &header) == GVC_OK);
  EXPECT(header.width == 8192 && header.height == 8192);
  const gv::Buffer model = painter();
  EXPECT(gvc_set_model(decoder, model.data(), model.size()) == GVC_OK);
  std::vector<uint8_t> samples(64 * 64);
  gvc_picture base = {};
  base.width = base.height = 64, base.bits = 8;
  for (int p = 0; p < 3; ++p) base.plane[p] = samples.data(), base.stride[p] = 64;
  EXPECT(gvc_send_base(decoder, &base) == GVC_DAMAGED);
  EXPECT(gvfuzz::largest < 1 << 20);
  gvc_close(decoder);
}

// Not the stream's fault.
void test_a_wrong_environment() {
  const gv::Buffer file = stream(1, false);
  Host host(0, 0);
  gvc_unit unit;
  gvc_send(host.decoder, file.data(), file.size());
  EXPECT(gvc_next_unit(host.decoder, &unit) == GVC_OK);
  setenv("GVCODEC_CPU", std::string(300, 'x').c_str(), 1);
  const int before = gv::cpu_in_use.exchange(-1);
  std::vector<uint8_t> samples(64 * 64);
  gvc_picture base = {};
  base.width = base.height = 64, base.bits = 8;
  for (int p = 0; p < 3; ++p) base.plane[p] = samples.data(), base.stride[p] = 64;
  EXPECT(gvc_send_base(host.decoder, &base) == GVC_INTERNAL);
  gvc_error error;
  gvc_get_error(host.decoder, &error);
  EXPECT(error.code == GVC_INTERNAL && std::strlen(error.text) == 255);
  gv::cpu_in_use = before;
  unsetenv("GVCODEC_CPU");
}

void test_cut_streams() {
  const gv::Buffer file = stream(1, false);
  for (size_t size = 0; size < file.size(); ++size) {
    Host host(GVC_BASE_ONLY, 0);
    const gv::Buffer cut(file.begin(), file.begin() + static_cast<ptrdiff_t>(size));
    EXPECT(host.read(cut, 16) == GVC_DAMAGED);
  }
  gv::Buffer longer = file;
  longer.push_back(0);
  Host host(0, longer.size());
  EXPECT(host.read(longer, longer.size()) == GVC_DAMAGED);
}

// Pictures so tall that several threads copy them.
void test_tall_pictures() {
  constexpr int kWidth = 64, kHeight = 400, kWidthAt = 6, kHeightAt = 7;
  gv::Buffer fields = gvfuzz::usual_fields(1, false, nullptr), height;
  gv::append_var(height, kHeight);
  EXPECT(fields[kWidthAt] == 40 && fields[kHeightAt] == 24);
  fields[kWidthAt] = kWidth;
  fields.erase(fields.begin() + kHeightAt);
  fields.insert(fields.begin() + kHeightAt, height.begin(), height.end());
  gvfuzz::StreamWriter out(gvfuzz::sealed_header(fields));
  for (uint8_t n = 0; n < 3; ++n) out.add(n ? gv::kInter : gv::kKey, frame(n), 1);
  const gv::Buffer file = out.finish();

  const gvc_settings settings = {sizeof(gvc_settings), 0, 3, 0, 0, 0};
  gvc_decoder* decoder = nullptr;
  EXPECT(gvc_open(&settings, &decoder) == GVC_OK);
  EXPECT(gvc_send(decoder, file.data(), file.size()) == GVC_OK);
  gvc_unit unit;
  for (int n = 0; n < 3; ++n) EXPECT(gvc_next_unit(decoder, &unit) == GVC_OK);
  std::vector<uint16_t> base(kWidth * kHeight), shown(base.size(), 0xffff), chroma(base.size());
  for (size_t i = 0; i < base.size(); ++i) base[i] = static_cast<uint16_t>(i * 37 % 1000);
  const auto picture = [&](std::vector<uint16_t>& samples, int bits) {
    gvc_picture p = {};
    p.width = kWidth, p.height = kHeight, p.bits = bits;
    for (int i = 0; i < 3; ++i)
      p.plane[i] = samples.data() + (i == 2 ? kWidth / 2 : 0),
      p.stride[i] = (bits == 8 ? 1 : 2) * kWidth;
    return p;
  };
  for (const int bits : {8, 10}) {
    const gvc_picture from = picture(base, bits);
    gvc_picture to = picture(shown, bits);
    to.plane[1] = to.plane[2] = chroma.data();
    EXPECT(gvc_send_base(decoder, &from) == GVC_OK);
    EXPECT(gvc_get_picture(decoder, &to) == GVC_OK);
    EXPECT(!std::memcmp(shown.data(), base.data(), base.size() * (bits == 8 ? 1 : 2)));
  }
  base.back() = 1024;
  const gvc_picture from = picture(base, 10);
  EXPECT(gvc_send_base(decoder, &from) == GVC_DAMAGED);
  gvc_close(decoder);
}

}  // namespace

int main() {
  test_pieces();
  test_seeking();
  test_models();
  test_limits_and_misuse();
  test_settings();
  test_null_pointers();
  test_planes_in_memory();
  test_memory_of_a_claimed_size();
  test_a_wrong_environment();
  test_cut_streams();
  test_tall_pictures();
  return gvtest::verdict("decoder");
}
