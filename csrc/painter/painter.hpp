// The renderer of `gvcodec/appearance/renderer.py` as it runs in a decoder: the same network with
// the same parameters, row by row instead of layer by layer, so that what one row needs of another
// stays in the cache. The Python text says what is computed and why.
//
// Everything lies at half resolution or below. A luma plane is four phases (even and odd rows ×
// even and odd columns); repeating the edges of the picture means repeating the edges of each
// phase. Every row is computed in the same way whatever thread does it: pictures do not depend on
// the number of threads.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "painter/dense.hpp"

namespace gv {

// Planes of floats with room on both sides of each row: for filters that look there, and for whole
// blocks of `dense.hpp`.
struct Field {
  static constexpr int kMargin = 16;
  int channels = 0, height = 0, width = 0, stride = 0;
  std::vector<float> data;

  Field() = default;
  Field(int channels_, int height_, int width_)
      : channels(channels_),
        height(height_),
        width(width_),
        stride(whole_blocks(width_) + 2 * kMargin),
        data(static_cast<size_t>(channels_) * height_ * stride) {}
  float* row(int channel, int y) {
    return data.data() + (static_cast<size_t>(channel) * height + y) * stride + kMargin;
  }
  const float* row(int channel, int y) const {
    return data.data() + (static_cast<size_t>(channel) * height + y) * stride + kMargin;
  }
};

struct PaintBlock {
  std::vector<float> depthwise;  // (channels, 25)
  std::vector<float> bias;       // of the depthwise convolution and the condition
  Dense expand, project;
};

// Parameters. Inputs of a convolution are ordered by (channel, row, column). All constant factors
// are in them: bands go in as they are, heads give gains (9), amplitudes (9), tint (2), and what
// the sigmoid of `keep` takes (1); gates give the factor itself.
struct PaintLayers {
  Dense stem, stem2, statistics, style, head, gate, enter, middle, leave;
  std::vector<PaintBlock> blocks;
};

// White noise (side × side) to be laid out again and again, and where older noise is redrawn (1,
// else 0); side is a power of two, at least 16. Kept as even and odd columns, each with the
// beginning of its row repeated at the end.
class NoiseTile {
 public:
  static constexpr int kRun = 8;
  NoiseTile(int side, const float* value, const bool* redraw);

  // Where row y, column x of the endless field lies in `values` and `redraws`: kRun samples from
  // there on are columns x, x + 2, …
  size_t place(int y, int x) const {
    return static_cast<size_t>((y & (side_ - 1)) * 2 + (x & 1)) * (half() + kRun) +
           static_cast<size_t>((x >> 1) & (half() - 1));
  }
  std::vector<float> values;
  std::vector<int32_t> redraws;

 private:
  int half() const { return side_ / 2; }
  int side_;
};

struct PaintSource {
  const uint16_t* plane[3];  // 10-bit samples, rows without gaps
  int width, height;         // of luma
};

class FramePainter {
 public:
  // `width` and `height` of luma; the noise tile as above.
  FramePainter(int width, int height, NoiseTile tile, int threads);

  // Forget the past and take these parameters.
  void start(PaintLayers layers);

  // Takes a loop frame up to the first block of the trunk. `motion`: (dy, dx) of each 16×16 block
  // against the frame before, null for none; `corner_y`, `corner_x`: where in the tile the new
  // noise begins.
  void begin(const PaintSource& loop, const int16_t* motion, int corner_y, int corner_x);
  // Runs blocks [first, last) of the trunk.
  void run_blocks(int first, int last);
  // Paints; planes as in PaintSource.
  void finish(uint16_t* const* planes);

  int blocks() const { return static_cast<int>(layers_.blocks.size()); }
  int width() const { return width_; }
  int height() const { return height_; }

 private:
  struct Frame {
    Field loop, noise, added;  // four phases of luma
    Field tint;                // what was added to chroma
  };
  struct Strip;

  void load(const PaintSource& loop);
  void fetch(const int16_t* motion, int corner_y, int corner_x, int by);
  void fetch_block(const int16_t* motion, int corner_y, int corner_x, int by, int bx);
  void draw_noise(int corner_y, int corner_x, int by);
  void fine_bands(const Field& luma, int y, int py, std::vector<float>& scratch,
                  float* const* bands) const;
  void split_bands(int row8);
  void second_bands(int row8);
  void third_bands(int row8);
  void run_stem(int y);
  void enter_trunk(int row8);
  void run_block(const PaintBlock& b, int row8);
  void read_heads(int row8);
  void interpolate(int first, int count, int y, Strip& s, int to);
  void enter_row(Strip& s, int y);
  void middle_row(Strip& s, int y);
  void leave_row(Strip& s, int y);
  void paint_row(Strip& s, int y, uint16_t* const* planes);
  void write_luma(Strip& s, int y, int py, uint16_t* plane);

  int width_, height_;   // of the picture
  int h_, w_, h8_, w8_;  // of half and eighth resolution, padded
  int threads_;
  NoiseTile tile_;
  PaintLayers layers_;
  Frame now_, before_;
  bool known_ = false;      // there is a frame before
  Field chroma_, fetched_;  // 2 channels; 4 phases of luma and 2 of chroma: what was added to the
                            // frame before, moved
  Field signal_;            // six coarse bands, four phases of their fine sum, two of colour
  Field grain_;  // of noise: four phases of the fine sum, coarse bands 0, 3, then 1, 2, 4, 5
  Field low_,
      lower_;  // (luma, noise): at half resolution, and what is left of it after the second bands
  Field measures_;  // means of |band| (11), base, blurred chroma (2), mismatch, share known
  Field quarter_;   // after the stem
  Field trunk_, next_, maps_;  // maps: 21 heads, gates, trust
};

}  // namespace gv
