// Golden files painted from vectors: base frames, numbers of the painter and the painted hash, as
// scripts/golden_machines.py takes them out of a stream. `golden_test FILE...` paints vectors in
// every form of the loops that this machine has; without arguments the one beside this source.
//
//   vector = var width  var height  var gops  { gop }  8 bytes painted hash
//   gop    = var count  { svar number }  var frames  { frame }
//   frame  = svar own entry of the condition  { svar sample less the one before, at first 512 }
//
// count 0: painted frames are base frames. Numbers are those of `painter_start`
// (web/core/painter.cpp), integers those of docs/spec/container.md; planes follow each other.
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
struct Painter;
struct Hash;
extern "C" {
const char* painter_error();
Painter* painter_open(int width, int height, int threads);
void painter_close(Painter* painter);
int painter_start(Painter* painter, const int32_t* numbers, uint32_t count);
int painter_move(Painter* painter, const uint16_t* base);
int painter_paint(Painter* painter, const uint16_t* base, int own, uint16_t* out);
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

// The painted hash, and the one that the vector names.
std::pair<std::string, std::string> painted(const std::string& path) {
  Vector in(path);
  const int width = static_cast<int>(in.var()), height = static_cast<int>(in.var());
  const size_t size = static_cast<size_t>(width) * height +
                      2 * static_cast<size_t>((width + 1) / 2) * ((height + 1) / 2);
  Painter* painter = painter_open(width, height, 1);
  Hash* hash = hash_open();
  std::vector<uint16_t> base(size), out(size);
  for (uint64_t gops = in.var(); gops; --gops) {
    std::vector<int32_t> numbers(in.var());
    for (int32_t& number : numbers) number = in.svar();
    const uint32_t count = static_cast<uint32_t>(numbers.size());
    if (count && !painter_start(painter, numbers.data(), count))
      throw std::runtime_error(painter_error());
    for (uint64_t frames = in.var(); frames; --frames) {
      const int own = in.svar();
      int before = kGrey;
      for (uint16_t& sample : base) sample = static_cast<uint16_t>(before += in.svar());
      out = base;
      if (count && !(painter_move(painter, base.data()) &&
                     painter_paint(painter, base.data(), own, out.data())))
        throw std::runtime_error(painter_error());
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
