// Which blocks of 8×8 samples differ from the previous frame, moved. Only their neighbourhood is
// painted: elsewhere detail moves along as it is (docs/spec/painter.md, keep 32767).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace gv {

// Columns of blocks, `to` not among them.
struct Span {
  int from, to;
};

class ChangedBlocks {
 public:
  // Whole lines of caches at every resolution: loops that work on whole vectors stay in them.
  static constexpr int kColumns = 32;

  ChangedBlocks(int height, int width)
      : height_(height), width_(width), changed_(static_cast<size_t>(height) * width, 1) {}

  uint8_t* row(int y) { return changed_.data() + static_cast<size_t>(y) * width_; }

  // The columns within `reach` of a changed block of rows first…last, from left to right:
  // whole kColumns up to the end of the row, at most `most` columns each.
  std::vector<Span> near(int first, int last, int reach, int most) const {
    std::vector<uint8_t> any(static_cast<size_t>(width_), 0);
    for (int y = std::max(first, 0); y <= std::min(last, height_ - 1); ++y) {
      const uint8_t* row = changed_.data() + static_cast<size_t>(y) * width_;
      for (int x = 0; x < width_; ++x) any[x] |= row[x];
    }
    std::vector<Span> spans;
    for (int from = 0; from < width_; from += kColumns) {
      const int to = std::min(from + kColumns, width_);
      const auto* begin = any.data() + std::max(from - reach, 0);
      const auto* end = any.data() + std::min(to + reach, width_);
      if (std::find(begin, end, 1) == end) continue;
      if (!spans.empty() && spans.back().to == from && to - spans.back().from <= most)
        spans.back().to = to;
      else spans.push_back({from, to});
    }
    return spans;
  }

 private:
  int height_, width_;
  std::vector<uint8_t> changed_;
};

}  // namespace gv
