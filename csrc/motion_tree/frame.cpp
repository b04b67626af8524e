#include "motion_tree/frame.hpp"

#include "common/pool.hpp"
#include "motion_tree/compensation.hpp"

namespace gv::motion_tree {

std::shared_ptr<Still> make_still(int width, int height) {
  auto made = std::make_shared<Still>();
  const int w = ceil_div(width, 16) * 16, h = ceil_div(height, 16) * 16;
  made->plane[0] = Plane(w, h, kPictureMargin);
  for (int p = 1; p < 3; ++p) made->plane[p] = Plane(w / 2, h / 2, kPictureMargin / 2);
  return made;
}

Frame::Frame(std::shared_ptr<const Still> still, int width, int height, int picture)
    : width_(width), height_(height), shown_(still) {
  picture_[picture] = std::move(still);
  const size_t cells = static_cast<size_t>(cell_columns()) * cell_rows();
  places_.from.assign(cells, picture == 0 ? kFromA : kFromB);
  for (auto& place : places_.place) place.assign(cells, {});
}

Frame::Frame(const Frame& near, const Frame* far, Times times, const int16_t* values,
             const uint8_t* levels, int threads)
    : width_(near.width_), height_(near.height_) {
  if (far && (far->width_ != width_ || far->height_ != height_))
    throw std::invalid_argument("reference frames of different sizes");
  for (int p = 0; p < 2; ++p) {
    picture_[p] = near.picture_[p] ? near.picture_[p] : far ? far->picture_[p] : nullptr;
    if (far && far->picture_[p] && far->picture_[p] != picture_[p])
      throw std::invalid_argument("reference frames between other pictures");
  }
  places_ = near.places_;
  move(near, far, times, values, levels);
  compensate(threads);
}

void Frame::move(const Frame& near, const Frame* far, Times times, const int16_t* values,
                 const uint8_t* levels) {
  if (!far) times.far = 0;
  constexpr int kSide = kWindowCells;
  QuarterMotion motion[kLeaves * kQuarters];
  for (int window = 0; window < windows(); ++window) {
    if (levels[window] == 0) continue;
    quarter_motion(values + static_cast<size_t>(window) * kValues, times, motion);
    const int top = window / window_columns() * kSide, left = window % window_columns() * kSide;
    for (int q = 0; q < kLeaves * kQuarters; ++q) {
      const Rectangle r = rectangle(kFirstQuarter + q, kSide);
      const int bottom = std::min(top + r.top + r.height, cell_rows()),
                right = std::min(left + r.left + r.width, cell_columns());
      for (int row = top + r.top; row < bottom; ++row)
        for (int column = left + r.left; column < right; ++column)
          move_cell(row, column, near, far, motion[q]);
    }
  }
}

void Frame::move_cell(int row, int column, const Frame& near, const Frame* far,
                      const QuarterMotion& motion) {
  const int columns = cell_columns(), rows = cell_rows();
  const size_t here = static_cast<size_t>(row) * columns + column;
  uint8_t from = 0;
  Vector place[2];
  // The cell at the other end of a vector; four quarters of a sample, four samples to a cell.
  auto take = [&](const Frame& reference, Vector v) {
    const int r = clamp((16 * row + 8 + v.y) >> 4, 0, rows - 1),
              c = clamp((16 * column + 8 + v.x) >> 4, 0, columns - 1);
    const size_t there = static_cast<size_t>(r) * columns + c;
    for (int p = 0; p < 2; ++p) {
      const uint8_t bit = static_cast<uint8_t>(1 << p);
      if (!(reference.places_.from[there] & bit) || (from & bit)) continue;
      const Vector at = reference.places_.place[p][there];
      const int x = 4 * kCell * column, y = 4 * kCell * row;
      place[p] = {clamp(at.x + v.x, -4 * kBeyond - x, 4 * (width_ + kBeyond) - x),
                  clamp(at.y + v.y, -4 * kBeyond - y, 4 * (height_ + kBeyond) - y)};
      from |= bit;
    }
  };
  if (motion.source != kFar) take(near, motion.near);
  if (motion.source != kNear) take(*far, motion.far);
  places_.from[here] = from;
  for (int p = 0; p < 2; ++p) places_.place[p][here] = place[p];
}

void Frame::compensate(int threads) {
  auto made = make_still(width_, height_);
  const Compensation job{width_, height_, {picture_[0].get(), picture_[1].get()}, &places_};
  constexpr int kBand = 16;  // rows of cells, of which two more are made at either end
  parallel_for(ceil_div(cell_rows(), kBand), threads, [&](int band) {
    job.rows(*made, band * kBand, std::min((band + 1) * kBand, cell_rows()));
  });
  finish_planes(*made, width_, height_);
  shown_ = std::move(made);
}

void finish_planes(Still& still, int width, int height) {
  for (int p = 0; p < 3; ++p) {
    Plane& plane = still.plane[p];
    const int w = p ? ceil_div(width, 2) : width, h = p ? ceil_div(height, 2) : height;
    for (int y = 0; y < h; ++y)
      std::fill(plane.row(y) + w, plane.row(y) + plane.width, plane.row(y)[w - 1]);
    for (int y = h; y < plane.height; ++y) std::copy_n(plane.row(h - 1), plane.width, plane.row(y));
    plane.extend();
  }
}

GV_SIMD(int64_t, row_error, (const uint16_t* a, const uint16_t* b, int count), (a, b, count)) {
  int32_t sum = 0;  // at most 256 · 1023
  for (int x = 0; x < count; ++x) sum += a[x] > b[x] ? a[x] - b[x] : b[x] - a[x];
  return sum;
}

std::vector<int64_t> window_errors(const Still& a, const Still& b, int width, int height) {
  const int columns = ceil_div(width, kWindow);
  std::vector<int64_t> errors(static_cast<size_t>(columns) * ceil_div(height, kWindow));
  for (int p = 0; p < 3; ++p) {
    const int w = p ? ceil_div(width, 2) : width, h = p ? ceil_div(height, 2) : height,
              side = p ? kWindow / 2 : kWindow;
    for (int y = 0; y < h; ++y)
      for (int c = 0; c < columns && c * side < w; ++c)
        errors[static_cast<size_t>(y / side) * columns + c] +=
            row_error(a.plane[p].row(y) + c * side, b.plane[p].row(y) + c * side,
                      std::min(side, w - c * side));
  }
  return errors;
}

}  // namespace gv::motion_tree
