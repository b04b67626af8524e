// The painter, row by row, with the samples of its definition (docs/spec/painter.md). Rows are
// worked on by any number of threads, each in the same way.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "common/basics.hpp"
#include "painter/changed.hpp"
#include "painter/forms.hpp"

namespace gv {

struct PaintSource {
  const uint16_t* plane[3];  // 10-bit samples, rows without gaps
  int width, height;         // of luma
};

// Numbers of a layer as a file has them: weights by (output, input, row, column).
struct PainterLayer {
  int outputs = 0, inputs = 0, side = 1;
  std::vector<int8_t> weight;
  std::vector<int32_t> bias, multiplier, shift, step;
};

struct PainterBlock {
  PainterLayer depthwise, expand, project;
  std::vector<int32_t> condition;  // (channels, entries)
};

struct PainterLayers {
  PainterLayer stem, stem2, statistics, view, style, head;
  std::vector<PainterBlock> blocks;
};

// Steering of `style`: levels of ±63 of regions of 64×64 samples, (channels, rows, columns), and
// the weight of a level in each sum, (outputs, channels), ±508. Nothing where `channels` is 0.
struct PainterSteering {
  int channels = 0, rows = 0, columns = 0;
  std::vector<int16_t> weight;
  std::vector<int8_t> levels;
};

// Levels of ±63 at each block of 8×8 samples, (channels, rows, columns), bilinear between the
// centres of regions. Throws std::invalid_argument for levels of another shape.
std::vector<int8_t> levels_at_blocks(const PainterSteering& steering, int rows, int columns);

// Rows of samples with room at both sides.
template <class T>
struct Rows2 {
  int channels = 0, height = 0, width = 0, stride = 0;
  Lines<T> data;

  Rows2() = default;
  Rows2(int channels_, int height_, int width_, T fill = 0)
      : channels(channels_),
        height(height_),
        width(width_),
        stride((width_ + 63) / 64 * 64 + 2 * kRowMargin),
        data(static_cast<size_t>(channels_) * height_ * stride, fill) {}
  T* row(int channel, int y) {
    return data.data() + (static_cast<size_t>(y) * channels + channel) * stride + kRowMargin;
  }
  const T* row(int channel, int y) const {
    return data.data() + (static_cast<size_t>(y) * channels + channel) * stride + kRowMargin;
  }
};
using Samples16 = Rows2<int16_t>;
using Quads = Rows2<uint32_t>;

class FramePainter {
 public:
  FramePainter(int width, int height, int threads);

  // Forget the past and take these numbers. `entries`: the stream's condition; the last one is each
  // frame's own. Throws std::invalid_argument for layers or steering that do not fit together.
  void start(const PainterLayers& layers, const std::vector<int32_t>& entries,
             const PainterSteering& steering = {});

  // Paints the next frame. `motion`: (dy, dx) of each 16×16 block, null for none;
  // `frame_condition`: the frame's entry of the condition.
  void paint(const PaintSource& loop, const int16_t* motion, int frame_condition,
             uint16_t* const* planes);

  // The next frame without painting, for players that fall behind: detail of the previous frame
  // moves along, and fades where the base frame has changed. Samples differ from those of `paint`.
  // Without `motion`, or for the first frame, the base frame.
  void reuse_detail(const PaintSource& loop, const int16_t* motion, uint16_t* const* planes);

  int width() const { return width_; }
  int height() const { return height_; }

 private:
  struct Block {
    DotLayer expand, project;
    std::vector<int8_t> depthwise;
    std::vector<int32_t> bias, multiplier, shift, condition,
        entered;  // entered: bias with the condition
  };
  struct Frame {
    Samples16 loop, noise, detail, tint;
  };
  struct Strip;
  struct BlockScratch;
  struct InputScratch;
  struct MapScratch;

  void load(const PaintSource& loop, int by);
  void fresh(int corner_y, int corner_x, int by);
  void fetch(const int16_t* motion, int corner_y, int corner_x, int by);
  void fetch_row(const Samples16& plane, int channel, int y, int half, const int16_t* motion,
                 const Span& span, int16_t* out) const;
  const int16_t* drawn(int y, int x) const {
    return &tile_[static_cast<size_t>(y & 511) * kTileStride + (x & 511)];
  }
  void see(const PaintSource& loop, const int16_t* motion);
  void take(const PaintSource& loop, const int16_t* motion, uint32_t bits, int by);
  void carry_rows(int y, const int16_t* motion, uint16_t* const* planes);
  void split(int row8, InputScratch& s);
  void coarse(int row8, bool third, InputScratch& s);
  void directions(int y);
  void run_stem(int y, InputScratch& s);
  void enter_trunk(int row8, InputScratch& s);
  void find_changed();
  void run_block(const Block& b, int reach, int first, BlockScratch& s);
  void spread(const PainterSteering& steering);
  void make_maps(int row8, MapScratch& s);
  void widen(int map, int y, const Span& span, int16_t* scratch, int16_t* out) const;
  void below_row(Strip& s, int y);
  void paint_rows(Strip& s, int y, const int16_t* motion, uint16_t* const* planes);
  void paint_span(Strip& s, int y, const Span& span, const int16_t* motion,
                  uint16_t* const* planes);
  // Row y of an output, null below its end.
  uint16_t* luma_row(uint16_t* const* planes, int y) const {
    return y < height_ ? planes[0] + static_cast<size_t>(y) * width_ : nullptr;
  }
  uint16_t* chroma_row(uint16_t* const* planes, int c, int y) const {
    const int width = (width_ + 1) / 2, height = (height_ + 1) / 2;
    return y < height ? planes[1 + c] + static_cast<size_t>(y) * width : nullptr;
  }
  void keep_span(Strip& s, int y, const Span& span, const int16_t* motion,
                 uint16_t* const* planes);

  static constexpr int kTileStride = 512 + 16;
  int width_, height_, h_, w_, h8_, w8_,
      threads_;  // of the picture; of half and eighth resolution, padded
  const PainterForms* forms_ = nullptr;
  std::vector<int16_t> tile_;  // noise in the low ten bits, negative where older noise may stay
  std::vector<int32_t> entries_;
  DotLayer stem_, stem2_, statistics_, style_, head_;
  PainterLayer view_;
  std::vector<Block> blocks_;
  uint32_t position_ = 0;
  bool known_ = false;
  ChangedBlocks changed_;

  Frame now_, before_;
  Samples16 chroma_, colour_, half_, low_;  // half_, low_: of picture, noise
  Samples16 three_;                         // H, V, D of the coarse scales of the picture
  Quads signal_;  // coarse bands and colour (2 quads), phases of N; row y is y + 1 here
  Rows2<int32_t> slopes_,
      measures_;  // gradient products in pairs of columns; inputs of trunk and maps
  Quads quarter_;
  Quads steered_;  // inputs of `style` besides the trunk, the same for every frame
  Samples16 trunk_, next_, maps_;
};

}  // namespace gv
