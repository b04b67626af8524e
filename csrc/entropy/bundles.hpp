// Context-mixing model of AV1 frame headers in bundles; gvcodec/bitstream/bundles.py describes the
// format.
//
// Each bit has a counter (16 bits of probability, and how often it was used) in each of five
// contexts. Their logits are weighed, and the weights follow the error (as in lpaq by M. Mahoney),
// in integers throughout. The range coder keeps an interval of 32 bits; bytes after its end are
// zero.
//
// A model is always 1.4 MB, and `decode` returns at most kMostObus OBUs of at most
// kBody + kHead symbols.
#pragma once

#include <array>

#include "common/basics.hpp"

namespace gv {

constexpr int kMostObus = 96;  // a frame of SVT-AV1 has eight at most, 32 of them about 64
constexpr int kHead = 20;      // frame headers have 15 to 17 bytes

class BundleModel {
 public:
  // The content of the sample: OBUs (place in the frame, number of symbols, symbols) and the byte
  // 255 before a number, 0, between GOPs. Throws std::invalid_argument.
  BundleModel(const uint8_t* sample, size_t size);

  // Frames of symbols, one OBU after another. Throws std::invalid_argument where they are no whole
  // frames, or too many OBUs.
  std::vector<uint8_t> encode(const uint8_t* symbols, size_t size);

  // The symbols of `frames` frames. Throws DamagedStream where they have too many OBUs.
  std::vector<uint8_t> decode(const uint8_t* data, size_t size, int frames);

 private:
  static constexpr int kContexts = 5, kSlots = 1 << 16, kRows = 9, kBody = 5;
  static constexpr int kLast = 16, kUnknown = 256;

  // Symbols of an OBU by their place: type, size, three bytes for a size above 254, head.
  struct Obu {
    int count = 0;
    std::array<uint8_t, kBody + kHead> symbols = {};

    bool last() const { return symbols[0] & kLast; }
    int at(int place) const {
      return place < count ? symbols[static_cast<size_t>(place)] : kUnknown;
    }
    void append_to(std::vector<uint8_t>& out) const;
  };
  class Given;
  class Encoder;
  class Decoder;

  void begin_gop();
  template <class Coder>
  int symbol(Coder& coder, int at, const std::array<uint32_t, kContexts>& contexts);
  template <class Coder>
  Obu obu(Coder& coder, int place);

  std::vector<uint32_t> counters_;  // kContexts × kSlots: probability of a one << 5 | times used
  // Of 2^16: a row for each place in an OBU and one for all from the last on.
  std::array<std::array<int64_t, kContexts>, kRows> weights_;
  uint32_t frame_ = 0;  // in the GOP
  // The last OBUs: of even and odd frames by place; by type << 7 | first byte >> 1.
  std::vector<Obu> by_place_, by_kind_;
};

}  // namespace gv
