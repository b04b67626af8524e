// Feature maps of the metric's network, as its convolutions read them (`convolution_forms.hpp`).
#pragma once

#include <algorithm>
#include <vector>

#include "common/basics.hpp"
#include "token_trial/convolution_forms.hpp"

namespace gv {

// Channels of height × width values as four phases of `places` each, zeros around.
class FeatureMap {
 public:
  // Makes room, with zeros around each phase; the inside is not set.
  void reset(int channels, int height, int width) {
    channels_ = channels, height_ = height, width_ = width;
    row_ = ceil_div(width, 2) + 1;
    places_ = ceil_div(height, 2) * row_;
    // A row and a column before the first place; after the last one as much, and whole blocks.
    margin_ = (row_ + 1 + 31) / 32 * 32;
    end_ = ceil_div(places_, kTiles) * kTiles;
    stride_ = static_cast<size_t>(margin_ + end_ + margin_);
    const size_t size = static_cast<size_t>(channels) * 4 * stride_;
    if (values_.size() < size) values_.resize(size);
    for (int n = 0; n < 4 * channels; ++n) {
      int16_t* values = phase(0, n);
      std::fill(values - margin_, values, int16_t{0});
      std::fill(values + end_, values + end_ + margin_, int16_t{0});
    }
  }

  int channels() const { return channels_; }
  int height() const { return height_; }
  int width() const { return width_; }
  int row() const { return row_; }
  int places() const { return places_; }

  // At the first place; `phase`: 2 for odd rows, 1 for odd columns.
  int16_t* phase(int channel, int phase) {
    return values_.data() + (static_cast<size_t>(channel) * 4 + phase) * stride_ + margin_;
  }
  const int16_t* phase(int channel, int phase) const {
    return values_.data() + (static_cast<size_t>(channel) * 4 + phase) * stride_ + margin_;
  }

  // Sets zeros where a channel has no values: columns between rows, beyond odd sides, after the
  // last row.
  void clear_margins(int channel) {
    for (int n = 0; n < 4; ++n) {
      int16_t* values = phase(channel, n);
      const int filled = (width_ + 1 - (n & 1)) / 2, whole = (height_ + 1 - n / 2) / 2;
      for (int y = 0; y < whole; ++y)
        std::fill(values + y * row_ + filled, values + (y + 1) * row_, int16_t{0});
      std::fill(values + whole * row_, values + end_, int16_t{0});
    }
  }

 private:
  int channels_ = 0, height_ = 0, width_ = 0, row_ = 0, places_ = 0, margin_ = 0, end_ = 0;
  size_t stride_ = 0;
  std::vector<int16_t> values_;
};

}  // namespace gv
