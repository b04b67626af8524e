// What the renderer sees: samples as floats, what moves along from the frame before, and the filter
// bank.
#include <cmath>
#include <cstring>

#include "common/pool.hpp"
#include "painter/rows.hpp"

namespace gv {

// The loop frame as floats, padded to the size of the fields by repeating its edges.
void FramePainter::load(const PaintSource& loop) {
  parallel_for(h8_, threads_, [&](int row8) {
    std::vector<uint16_t> line(static_cast<size_t>(2 * w_));
    for (int y = 4 * row8; y < 4 * row8 + 4; ++y) {
      for (int py = 0; py < 2; ++py) {
        std::copy_n(loop.plane[0] + static_cast<size_t>(std::min(2 * y + py, height_ - 1)) * width_,
                    width_, line.data());
        std::fill(line.begin() + width_, line.end(), line[width_ - 1]);
        float *even = now_.loop.row(2 * py, y), *odd = now_.loop.row(2 * py + 1, y);
        split_codes(line.data(), w_, even, odd);
        repeat_edges(even, w_, 2);
        repeat_edges(odd, w_, 2);
      }
      const int cw = (width_ + 1) / 2, ch = (height_ + 1) / 2;
      for (int c = 0; c < 2; ++c) {
        float* out = chroma_.row(c, y);
        from_codes(loop.plane[1 + c] + static_cast<size_t>(std::min(y, ch - 1)) * cw, cw, out);
        std::fill(out + cw, out + w_, out[cw - 1]);
        repeat_edges(out, w_, 1);
      }
    }
  });
}

// New noise for one row of 16×16 blocks.
void FramePainter::draw_noise(int corner_y, int corner_x, int by) {
  for (int y = 8 * by; y < 8 * by + 8; ++y)
    for (int p = 0; p < 4; ++p)
      for (int x = 0; x < w_; x += NoiseTile::kRun)
        std::copy_n(
            tile_.values.data() + tile_.place(2 * y + p / 2 + corner_y, 2 * x + p % 2 + corner_x),
            NoiseTile::kRun, now_.noise.row(p, y) + x);
}

// Moves one row of blocks from the frame before: noise, what was added, and how far the loop frames
// agree.
void FramePainter::fetch(const int16_t* motion, int corner_y, int corner_x, int by) {
  for (int bx = 0; bx < w_ / 8; ++bx) fetch_block(motion, corner_y, corner_x, by, bx);
}

void FramePainter::fetch_block(const int16_t* motion, int corner_y, int corner_x, int by, int bx) {
  constexpr int kSide = 8;  // of a block in each phase
  static_assert(kSide == NoiseTile::kRun);
  const int16_t* v = motion + (static_cast<size_t>(by) * (w_ / kSide) + bx) * 2;
  const int dy = v[0], dx = v[1], top = 16 * by + dy, left = 16 * bx + dx, high = 2 * h_,
            wide = 2 * w_, x0 = kSide * bx;
  const bool whole = top >= 0 && left >= 0 && top + 16 <= high && left + 16 <= wide;
  float mismatch[kSide / 4][kSide] = {};
  int32_t share[kSide / 4][kSide] = {};
  for (int p = 0; p < 4; ++p)
    for (int y = 0; y < kSide; ++y) {
      const int to_y = kSide * by + y, row = 2 * to_y + p / 2 + dy, column = 2 * x0 + p % 2 + dx;
      float edge[3][kSide];  // loop frame, noise and added detail where they are not in one piece
      const float *loop = edge[0], *noise = edge[1], *added = edge[2];
      int32_t inside[kSide];
      if (whole) {
        const int phase = (row & 1) * 2 + (column & 1), x = column >> 1;
        loop = before_.loop.row(phase, row >> 1) + x;
        noise = before_.noise.row(phase, row >> 1) + x;
        added = before_.added.row(phase, row >> 1) + x;
        std::fill_n(inside, kSide, 1);
      } else {
        const int r = clamp(row, 0, high - 1);
        for (int x = 0; x < kSide; ++x) {
          const int c = clamp(column + 2 * x, 0, wide - 1), phase = (r & 1) * 2 + (c & 1);
          edge[0][x] = before_.loop.row(phase, r >> 1)[c >> 1];
          edge[1][x] = before_.noise.row(phase, r >> 1)[c >> 1];
          edge[2][x] = before_.added.row(phase, r >> 1)[c >> 1];
          inside[x] = row == r && column + 2 * x == c;
        }
      }
      const size_t drawn = tile_.place(2 * to_y + p / 2 + corner_y, 2 * x0 + p % 2 + corner_x);
      const float *fresh = tile_.values.data() + drawn, *current = now_.loop.row(p, to_y) + x0;
      const int32_t* redraw = tile_.redraws.data() + drawn;
      float *out = now_.noise.row(p, to_y) + x0, *sum = mismatch[y / 4];
      for (int x = 0; x < kSide; ++x) {
        out[x] = inside[x] > redraw[x] ? noise[x] : fresh[x];
        sum[x] += std::fabs(current[x] - loop[x]);
        share[y / 4][x] += inside[x];
      }
      std::memcpy(fetched_.row(p, to_y) + x0, added, sizeof edge[2]);
    }
  for (int y = 0; y < 2; ++y)
    for (int x = 0; x < 2; ++x) {
      float sum = 0;
      int count = 0;
      for (int i = 4 * x; i < 4 * x + 4; ++i) sum += mismatch[y][i], count += share[y][i];
      measures_.row(kMismatch, 2 * by + y)[2 * bx + x] = sum * (1.f / 64);
      measures_.row(kKnown, 2 * by + y)[2 * bx + x] = static_cast<float>(count) * (1.f / 64);
    }
  // Chroma moves by half the vector, rounded.
  const int cy = (dy + 1) >> 1, cx = (dx + 1) >> 1;
  for (int c = 0; c < 2; ++c)
    for (int y = kSide * by; y < kSide * (by + 1); ++y) {
      const float* from = before_.tint.row(c, clamp(y + cy, 0, h_ - 1));
      float* out = fetched_.row(4 + c, y);
      for (int x = x0; x < x0 + kSide; ++x) out[x] = from[clamp(x + cx, 0, w_ - 1)];
    }
}

// Fine bands of the full-resolution row 2y + py: `bands` are three bands × two phases of columns.
// `scratch` is made here.
void FramePainter::fine_bands(const Field& luma, int y, int py, std::vector<float>& scratch,
                              float* const* bands) const {
  const int stride = luma.stride;
  scratch.resize(static_cast<size_t>(6) * stride);
  const auto line = [&](int i) {
    return scratch.data() + static_cast<size_t>(i) * stride + Field::kMargin;
  };
  const float* centre[2];
  for (int px = 0; px < 2; ++px) {
    const float* rows[5];
    for (int d = -2; d <= 2; ++d) {
      const int f = 2 * y + py + d;
      rows[d + 2] = luma.row((f & 1) * 2 + px, clamp(f >> 1, 0, h_ - 1));
    }
    centre[px] = rows[2];
    low_rows(rows, w_, line(px));
    repeat_edges(line(px), w_, 1);
  }
  low_phases(line(0), line(1), w_, line(2), line(3));
  low_phases(centre[0], centre[1], w_, line(4), line(5));
  for (int px = 0; px < 2; ++px)
    bands_of(centre[px], line(px), line(4 + px), line(2 + px), w_, bands[px], bands[2 + px],
             bands[4 + px]);
}

// First stage of the filter bank for four rows of luma and noise; colour.
void FramePainter::split_bands(int row8) {
  std::vector<float> scratch;
  Rows lines(8, w_), sums(7, w_);
  float* bands[6] = {lines[0], lines[1], lines[2], lines[3], lines[4], lines[5]};
  for (int y = 4 * row8; y < 4 * row8 + 4; ++y) {
    for (int field = 0; field < 2; ++field) {
      const Field& luma = field ? now_.noise : now_.loop;
      for (int py = 0; py < 2; ++py) {
        fine_bands(luma, y, py, scratch, bands);
        for (int px = 0; px < 2; ++px) {
          float* out = field ? grain_.row(2 * py + px, y) : signal_.row(kCoarse + 2 * py + px, y);
          sum_of_bands(bands[px], bands[2 + px], bands[4 + px], w_, out);
          zero_edges(out, w_);
        }
        for (int i = 0; i < 6 && field == 0; ++i) add_size(bands[i], w_, sums[i / 2]);
      }
      const float *even[4], *odd[4];
      for (int d = 0; d < 4; ++d) {
        const int f = 2 * y - 1 + d, r = clamp(f >> 1, 0, h_ - 1);
        even[d] = luma.row((f & 1) * 2, r);
        odd[d] = luma.row((f & 1) * 2 + 1, r);
      }
      decimate(even, odd, w_, lines[6], lines[7], low_.row(field, y));
      repeat_edges(low_.row(field, y), w_, 2);
    }
    for (int c = 0; c < 2; ++c) {
      const float* row = chroma_.row(c, y);
      float* colour = signal_.row(kCoarse + 4 + c, y);
      blur(chroma_.row(c, std::max(y - 1, 0)), row, chroma_.row(c, std::min(y + 1, h_ - 1)), w_,
           lines[6], lines[7]);
      subtract(row, lines[7], w_, colour);
      zero_edges(colour, w_);
      add_size(colour, w_, sums[kFine + c]);
      add_row(lines[7], w_, sums[5 + c]);
    }
  }
  for (int i = 0; i < kFine; ++i) pool(sums[i], w8_, 1.f / 64, measures_.row(i, row8));
  for (int c = 0; c < 2; ++c) {
    pool(sums[kFine + c], w8_, 1.f / 16, measures_.row(kBands + c, row8));
    pool(sums[5 + c], w8_, 1.f / 16, measures_.row(kBase + 1 + c, row8));
  }
}

void FramePainter::second_bands(int row8) {
  Rows lines(2, w_), sums(3, w_);
  for (int y = 4 * row8; y < 4 * row8 + 4; ++y)
    for (int field = 0; field < 2; ++field) {
      const float* rows[5];
      for (int d = 0; d < 5; ++d) rows[d] = low_.row(field, clamp(y + d - 2, 0, h_ - 1));
      float *out[3], *both = lower_.row(field, y);
      for (int i = 0; i < 3; ++i)
        out[i] = field ? grain_.row(kGrainPlace[i], y) : signal_.row(i, y);
      low_rows(rows, w_, lines[0]);
      repeat_edges(lines[0], w_, 2);
      low_along(rows[2], 1, w_, lines[1]);
      low_along(lines[0], 1, w_, both);
      repeat_edges(both, w_, 4);
      bands_of(rows[2], lines[0], lines[1], both, w_, out[0], out[1], out[2]);
      for (int i = 0; i < 3; ++i) {
        zero_edges(out[i], w_);
        if (field == 0) add_size(out[i], w_, sums[i]);
      }
    }
  for (int i = 0; i < 3; ++i) pool(sums[i], w8_, 1.f / 16, measures_.row(kFine + i, row8));
}

void FramePainter::third_bands(int row8) {
  Rows lines(3, w_), sums(4, w_);
  for (int y = 4 * row8; y < 4 * row8 + 4; ++y)
    for (int field = 0; field < 2; ++field) {
      const float* rows[5];
      for (int d = 0; d < 5; ++d) rows[d] = lower_.row(field, clamp(y + 2 * (d - 2), 0, h_ - 1));
      float* out[3];
      for (int i = 0; i < 3; ++i)
        out[i] = field ? grain_.row(kGrainPlace[3 + i], y) : signal_.row(3 + i, y);
      low_rows(rows, w_, lines[0]);
      repeat_edges(lines[0], w_, 4);
      low_along(rows[2], 2, w_, lines[1]);
      low_along(lines[0], 2, w_, lines[2]);
      bands_of(rows[2], lines[0], lines[1], lines[2], w_, out[0], out[1], out[2]);
      for (int i = 0; i < 3; ++i) {
        zero_edges(out[i], w_);
        if (field == 0) add_size(out[i], w_, sums[i]);
      }
      if (field == 0) add_row(lines[2], w_, sums[3]);
    }
  for (int i = 0; i < 3; ++i) pool(sums[i], w8_, 1.f / 16, measures_.row(kFine + 3 + i, row8));
  pool(sums[3], w8_, 1.f / 16, measures_.row(kBase, row8));
}

}  // namespace gv
