// Maps of the judge's network, in the form that its convolutions read: see `judge_forms.hpp`.
#pragma once

#include <algorithm>
#include <vector>

#include "common/basics.hpp"
#include "token_trial/judge_forms.hpp"

namespace gv {

// Channels of height × width values as four phases of `places` each, zeros around.
class JudgeMap {
 public:
  // Makes room; everything is 0.
  void reset(int channels, int height, int width) {
    channels_ = channels, height_ = height, width_ = width;
    row_ = ceil_div(width, 2) + 1;
    places_ = ceil_div(height, 2) * row_;
    // A row and a column before the first place; after the last one as much, and whole blocks.
    margin_ = (row_ + 1 + 31) / 32 * 32;
    stride_ = margin_ + ceil_div(places_, kJudgeTiles) * kJudgeTiles + margin_;
    values_.assign(static_cast<size_t>(channels) * 4 * stride_ + 2 * kJudgeTiles, 0);
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

  // Zeros where a channel has no values: columns between rows, beyond odd sides, after the end.
  void clear_margins(int channel) {
    const int rows = ceil_div(height_, 2);
    for (int n = 0; n < 4; ++n) {
      int16_t* values = phase(channel, n);
      const int filled = (width_ + 1 - (n & 1)) / 2, whole = (height_ + 1 - n / 2) / 2;
      for (int y = 0; y < whole; ++y) std::fill(values + y * row_ + filled, values + (y + 1) * row_, 0);
      const int end = ceil_div(places_, kJudgeTiles) * kJudgeTiles;
      if (whole < rows || end > places_) std::fill(values + whole * row_, values + end, 0);
    }
  }

 private:
  int channels_ = 0, height_ = 0, width_ = 0, row_ = 0, places_ = 0, margin_ = 0;
  size_t stride_ = 0;
  std::vector<int16_t> values_;
};

}  // namespace gv
