// Golden files painted from vectors: base frames, `fit` payloads and the painted hash, as
// scripts/golden_machines.py takes them out of a stream. `golden_test FILE...` paints vectors in
// every form of the loops that this machine has; without arguments the file next to this source.
//
//   vector = var width  var height  var base  var scale  var q  var size  size bytes painter's file
//            var gops  { gop }  8 bytes painted hash
//   gop    = var count  { count - 1 bytes `fit` payload; 0: none }  var frames  { frame }
//   frame  = var bytes of its packet  { svar sample less the one before, at first 512 }
//
// Base and scale are numbers of a header, integers those of docs/spec/container.md; planes follow
// each other. Where painting begins with 0, painted frames are base frames.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"

using namespace gvtest;

// The core as a page calls it: web/core.
struct Model;
struct Painter;
struct Hash;
extern "C" {
const char* last_text();
Model* model_open(const uint8_t* file, size_t size);
void model_close(Model* model);
Painter* painter_open(const Model* model, int width, int height, int base, int scale, int q,
                      int threads);
void painter_close(Painter* painter);
int painter_start(Painter* painter, const uint8_t* fit, size_t size, int look, int here);
int painter_move(Painter* painter, const uint16_t* base);
int painter_paint(Painter* painter, const uint16_t* base, double bytes, uint16_t* out);
Hash* hash_open();
void hash_close(Hash*);
void hash_take(Hash* hash, const uint8_t* data, uint32_t size);
void hash_digest(const Hash* hash, uint8_t* out);
}

namespace {

constexpr int kGrey = 512, kHashBytes = 8;

class Vector {
 public:
  explicit Vector(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    data_.assign(std::istreambuf_iterator<char>(file), {});
  }
  uint64_t var() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const uint64_t byte = static_cast<uint8_t>(data_.at(at_++));
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  }
  int32_t svar() {
    const uint64_t v = var();
    const int64_t half = static_cast<int64_t>(v / 2);
    return static_cast<int32_t>(v % 2 ? -half - 1 : half);
  }
  int number() { return static_cast<int>(var()); }
  std::vector<uint8_t> bytes(size_t count) {
    std::vector<uint8_t> found(count);
    for (uint8_t& byte : found) byte = static_cast<uint8_t>(data_.at(at_++));
    return found;
  }
  std::string hex(int bytes) {
    std::string found;
    for (int i = 0; i < bytes; ++i) found += hexadecimal(static_cast<uint8_t>(data_.at(at_++)));
    return found;
  }
  static std::string hexadecimal(uint8_t byte) {
    return {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
  }

 private:
  std::vector<char> data_;
  size_t at_ = 0;
};

// The painted hash, and that of the vector.
std::pair<std::string, std::string> painted(const std::string& path) {
  Vector in(path);
  const auto checked = [](int code) {
    if (code < 0) throw std::runtime_error(last_text());
    return code;
  };
  const int width = in.number(), height = in.number();
  const int base_codec = in.number(), scale = in.number(), q = in.number();
  const size_t size = static_cast<size_t>(width) * height +
                      2 * static_cast<size_t>((width + 1) / 2) * ((height + 1) / 2);
  const std::vector<uint8_t> file = in.bytes(in.var());
  Model* model = model_open(file.data(), file.size());
  if (!model) throw std::runtime_error(last_text());
  Painter* painter = painter_open(model, width, height, base_codec, scale, q, 1);
  Hash* hash = hash_open();
  std::vector<uint16_t> base(size), out(size);
  for (uint64_t gops = in.var(); gops; --gops) {
    const uint64_t count = in.var();
    const std::vector<uint8_t> fit = in.bytes(count ? count - 1 : 0);
    const int paints =
        checked(painter_start(painter, count ? fit.data() : nullptr, fit.size(), -1, 1));
    for (uint64_t frames = in.var(); frames; --frames) {
      const double bytes_of_frame = static_cast<double>(in.var());
      int before = kGrey;
      for (uint16_t& sample : base) sample = static_cast<uint16_t>(before += in.svar());
      out = base;
      if (paints) {
        checked(painter_move(painter, base.data()));
        checked(painter_paint(painter, base.data(), bytes_of_frame, out.data()));
      }
      std::vector<uint8_t> bytes;
      for (const uint16_t sample : out) {
        bytes.push_back(static_cast<uint8_t>(sample & 255));
        bytes.push_back(static_cast<uint8_t>(sample >> 8));
      }
      hash_take(hash, bytes.data(), static_cast<uint32_t>(bytes.size()));
    }
  }
  uint8_t digest[32];
  hash_digest(hash, digest);
  hash_close(hash);
  painter_close(painter);
  model_close(model);
  std::string found;
  for (int i = 0; i < kHashBytes; ++i) found += Vector::hexadecimal(digest[i]);
  return {found, in.hex(kHashBytes)};
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> paths(argv + 1, argv + argc);
  if (paths.empty()) paths.push_back(GV_GOLDEN);
  for (const std::string& path : paths)
    in_every_form([&](const std::string& form) {
      const auto [found, wanted] = painted(path);
      std::printf("%s %s %s\n", path.c_str(), form.c_str(), found.c_str());
      EXPECT(found == wanted);
    });
  return verdict("golden_test");
}
