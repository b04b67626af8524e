// KLT structure layer: one frame in, one payload out, and back; both sides keep equal loop frames.
//
// Payload of a frame: one byte (bits 0-5: q, bit 6: key frame, bit 7: in key frames, the GOP has a
// golden frame; in others, the rANS bytes are trimmed), then the rANS bytes of syntax.hpp. Key
// frames predict mid-grey, restore the model's initial state and forget all that was decoded
// before.
#pragma once

#include <memory>

#include "klt/syntax.hpp"

namespace gv {

struct Model {
  // [key, inter]; level 0 has 384 rows, coarser levels 64.
  std::array<std::array<Basis, kLevels>, 2> basis;
  MixState initial{slots::kCount, slots::kSetCount};
  RefinerModel refiner;  // empty: without
};

// Y, U, V of one padded frame.
struct Picture {
  std::array<Plane, 3> plane;
  Picture() = default;
  Picture(
      int width,
      int height);  // of the picture before padding; planes are multiples of 16 / 8 with margins
  void extend() {
    for (Plane& p : plane) p.extend();
  }
};

// Signed residual planes of the padded frame, without margins.
struct Residual {
  std::array<int, 3> width{}, height{};
  std::array<std::vector<int16_t>, 3> data;
  Residual() = default;
  Residual(int blocks_wide, int blocks_high);
  // The 384 samples of the 16×16 region (x, y), and back (added).
  void gather(int x, int y, int16_t* block) const;
  void add(int x, int y, const int16_t* block);
  void clear();
};

// A coarse token's samples at full size: each component doubled `level` times (bilinear, weights
// 3/4 and 1/4; the region's own edges are repeated, so that nothing leaks into its neighbours).
struct Expanded {
  std::array<std::vector<int16_t>, 3> data;  // sides 16 << level and 8 << level
  Expanded(const int16_t* block, int level);
};

// What encoder and decoder share: everything that a frame's reconstruction depends on.
class LoopState {
 public:
  LoopState(const Model& model, int width, int height, int threads);

  const Model& model;
  int width, height, threads;
  bool deblocks = true;
  MixState mix;
  FrameTokens now, before;
  Picture loop;                           // last reconstructed frame with margins
  std::shared_ptr<const Picture> golden;  // null in GOPs without one
  Picture prediction;                     // of the current frame

  void begin_frame(bool key, bool has_golden);  // resets at key frames, swaps tokens; has_golden:
                                                // of the GOP that a key frame starts
  void predict(bool key);                       // prediction from loop, golden and now.motion
  void reconstruct(int q, bool key);  // loop = deblocked(prediction + tokens), golden with it
  // Adds what the tokens of levels 4…1 describe in window (wx, wy).
  void add_coarse(int wx, int wy, int q, bool key, Residual& full) const;
  // Dequantises and transforms one token back to samples.
  void inverse_token(int l, int node, int q, bool key, int16_t* samples) const;

 private:
  Residual residual_;
  void deblock(int q, bool key);
};

// Codes or decodes the tokens `now` of a frame in the way that the model wants: see
// FrameSyntax::code.
template <class Coder, class Done, class Moved>
void code_frame(Coder& coder, const Model& model, const Picture& prediction, FrameTokens& now,
                const FrameTokens& before, int q, bool key, Done done, Moved moved) {
  if (model.refiner.empty()) {
    FrameSyntax<Coder>(coder, now, before, q, key).code(done, moved);
    return;
  }
  Refiner refiner(model, prediction, now, before, q, key);
  FrameSyntax<Coder>(coder, now, before, q, key, &refiner).code(done, moved);
}

// Code lengths of the windows, from those of the pieces between one `done()` and the next.
std::vector<float> of_windows(std::vector<float> pieces, const FrameTokens& tokens);

class KltDecoder {
 public:
  KltDecoder(const Model& model, int width, int height, int threads)
      : state_(model, width, height, threads) {}
  // Raises DamagedStream; the state is unusable until the next key frame then.
  void decode(const uint8_t* data, size_t size);
  const Picture& loop() const { return state_.loop; }
  // Code length of each window of the last frame, row by row: its tokens are coded again from where
  // it began.
  std::vector<float> window_bits() const;
  const FrameTokens& tokens() const { return state_.now; }
  const FrameTokens& tokens_before() const { return state_.before; }
  int q() const { return q_; }
  const Picture& prediction() const { return state_.prediction; }

 private:
  LoopState state_;
  MixState began_;
  int q_ = 0;
  bool key_ = false, started_ = false;
};

}  // namespace gv
