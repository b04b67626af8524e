// Frames of base motion: where each cell of 4×4 luma samples lies in the standard pictures, and the
// samples that motion compensation makes of that.
//
// A frame lies between two standard pictures, A before and B after it. Each cell comes from A, from
// B or from the mean of both, at its own place + (x, y) quarter luma samples. Motion against
// another frame moves those places, so samples are interpolated once, however many frames lie
// between. Samples are mixed from what the places of the four cells around them fetch (OBMC):
// weights of eighths along either axis for luma, quarters for chroma.
//
// All arithmetic is on integers and each sample depends on its cells alone: the same samples on
// every machine, with any number of threads and in every form of the loops. Ranges: samples 0…1023;
// a place is clamped so that its cell begins at most kBeyond samples outside the picture, whatever
// the steps are, so that filters read inside the margin of a picture. Vectors stay below 2^21.
#pragma once

#include <memory>

#include "motion_tree/tree.hpp"

namespace gv::motion_tree {

constexpr int kBeyond = 16;
// Margin of luma: kBeyond, the overlap of blocks and the filter; and what the motion search needs.
constexpr int kPictureMargin = 88;

struct Still {
  Plane plane[3];
};

// Which pictures a cell comes from.
enum : uint8_t { kFromA = 1, kFromB = 2 };

struct Places {
  std::vector<uint8_t> from;     // cells, row by row
  std::vector<Vector> place[2];  // in A and in B; zero where it does not come from there
};

class Frame {
 public:
  // A standard picture: `picture` 0 = A or 1 = B of the frames that go on from it.
  Frame(std::shared_ptr<const Still> still, int width, int height, int picture);

  // The frame that `values` (windows × kValues) make of its reference frames, `far` null where
  // there is one. Windows of level 0 are as in `near`. Raises std::invalid_argument where both lie
  // between other pictures.
  Frame(const Frame& near, const Frame* far, Times times, const int16_t* values,
        const uint8_t* levels, int threads);

  int width() const { return width_; }
  int height() const { return height_; }
  int cell_columns() const { return ceil_div(width_, kCell); }
  int cell_rows() const { return ceil_div(height_, kCell); }
  int window_columns() const { return ceil_div(width_, kWindow); }
  int windows() const { return window_columns() * ceil_div(height_, kWindow); }
  const Still& shown() const { return *shown_; }
  const Places& places() const { return places_; }

 private:
  void move(const Frame& near, const Frame* far, Times times, const int16_t* values,
            const uint8_t* levels);
  void move_cell(int row, int column, const Frame& near, const Frame* far,
                 const QuarterMotion& motion);
  void compensate(int threads);

  int width_, height_;
  std::shared_ptr<const Still> picture_[2];
  std::shared_ptr<const Still> shown_;
  Places places_;
};

// The picture of a frame as planes of `width` × `height` with margins.
std::shared_ptr<Still> make_still(int width, int height);

// Sums of absolute differences of luma and both chroma planes, window by window.
std::vector<int64_t> window_errors(const Still& a, const Still& b, int width, int height);

}  // namespace gv::motion_tree
