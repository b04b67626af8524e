#include "core/painter.hpp"

#include <cmath>
#include <cstring>

#include "core/common.hpp"

namespace gv {

namespace {

constexpr int kFine = 3, kCoarse = 6, kBands = 9, kSignals = 12, kGrainSeen = 6, kGrain = 10;
constexpr int kTint = 2 * kBands, kKeep = kTint + 2, kHeads = kKeep + 1;
constexpr int kMeasures = 16, kBase = 11, kMismatch = 14, kKnown = 15;
constexpr int kResidual = 6;
constexpr float kTrustScale = 6.f / 255;  // these two as in renderer.py
constexpr float kKeepLimit = 0.8f;
constexpr float kScale = 1.f / kMaxSample;
// Where coarse band i lies in `grain_`.
constexpr int kGrainPlace[kCoarse] = {4, 6, 7, 5, 8, 9};

void repeat_edges(float* row, int width, int count) {
  std::fill(row - count, row, row[0]);
  std::fill(row + width, row + width + count, row[width - 1]);
}

void zero_edges(float* row, int width) {
  row[-1] = row[-2] = 0.f;
  row[width] = row[width + 1] = 0.f;
}

GV_SIMD void split_codes(const uint16_t* codes, int pairs, float* __restrict even, float* __restrict odd) {
  for (int x = 0; x < pairs; ++x) {
    even[x] = codes[2 * x] * kScale;
    odd[x] = codes[2 * x + 1] * kScale;
  }
}

GV_SIMD void from_codes(const uint16_t* codes, int width, float* __restrict out) {
  for (int x = 0; x < width; ++x) out[x] = codes[x] * kScale;
}

// Rounds to the nearest code, ties to even.
GV_INLINE uint16_t to_code(float v) {
  constexpr float kRound = 12582912.f;
  const float code = (v * kMaxSample + kRound) - kRound;
  return static_cast<uint16_t>(static_cast<int32_t>(code > 0.f ? (code < kMaxSample ? code : kMaxSample) : 0.f));
}

GV_SIMD void to_codes(const float* a, const float* b, int width, uint16_t* __restrict out) {
  for (int x = 0; x < width; ++x) out[x] = to_code(a[x] + b[x]);
}

GV_SIMD void join_codes(const uint16_t* even, const uint16_t* odd, int pairs, uint16_t* __restrict out) {
  for (int x = 0; x < pairs; ++x) {
    out[2 * x] = even[x];
    out[2 * x + 1] = odd[x];
  }
}

GV_SIMD void split_row(const float* row, int pairs, float* __restrict even, float* __restrict odd) {
  for (int x = 0; x < pairs; ++x) {
    even[x] = row[2 * x];
    odd[x] = row[2 * x + 1];
  }
}

// [1 4 6 4 1] / 16 over five rows.
GV_SIMD void low_rows(const float* const* r, int width, float* __restrict out) {
  const float *a = r[0], *b = r[1], *c = r[2], *d = r[3], *e = r[4];
  for (int x = 0; x < width; ++x) out[x] = ((a[x] + e[x]) + 4.f * (b[x] + d[x]) + 6.f * c[x]) * (1.f / 16);
}

// The same along two phases of a row.
GV_SIMD void low_phases(const float* even, const float* odd, int width, float* __restrict low_even, float* __restrict low_odd) {
  for (int x = 0; x < width; ++x) {
    low_even[x] = ((even[x - 1] + even[x + 1]) + 4.f * (odd[x - 1] + odd[x]) + 6.f * even[x]) * (1.f / 16);
    low_odd[x] = ((odd[x - 1] + odd[x + 1]) + 4.f * (even[x] + even[x + 1]) + 6.f * odd[x]) * (1.f / 16);
  }
}

// Bands of a row from the row itself, the row low-passed across rows, and both low-passed along the row.
GV_SIMD void bands_of(const float* row, const float* down, const float* along, const float* both, int width, float* __restrict b0,
                      float* __restrict b1, float* __restrict b2) {
  for (int x = 0; x < width; ++x) {
    b0[x] = down[x] - both[x];
    b1[x] = along[x] - both[x];
    b2[x] = (row[x] - down[x]) - b1[x];
  }
}

// [1 4 6 4 1] / 16 along a row, taps `step` apart.
GV_SIMD void low_along(const float* row, int step, int width, float* __restrict out) {
  for (int x = 0; x < width; ++x)
    out[x] = ((row[x - 2 * step] + row[x + 2 * step]) + 4.f * (row[x - step] + row[x + step]) + 6.f * row[x]) * (1.f / 16);
}

GV_SIMD void sum_of_bands(const float* a, const float* b, const float* c, int width, float* __restrict out) {
  for (int x = 0; x < width; ++x) out[x] = a[x] + b[x] + c[x];
}

GV_SIMD void add_size(const float* row, int width, float* __restrict sum) {
  for (int x = 0; x < width; ++x) sum[x] += std::fabs(row[x]);
}

GV_SIMD void add_row(const float* row, int width, float* __restrict sum) {
  for (int x = 0; x < width; ++x) sum[x] += row[x];
}

// [1 3 3 1] / 8 over the phases of four rows (even, odd columns each), then along them, decimated by two.
GV_SIMD void decimate(const float* const* even, const float* const* odd, int width, float* __restrict down_even,
                      float* __restrict down_odd, float* __restrict out) {
  for (int x = -1; x <= width; ++x) {
    down_even[x] = (even[0][x] + even[3][x]) + 3.f * (even[1][x] + even[2][x]);
    down_odd[x] = (odd[0][x] + odd[3][x]) + 3.f * (odd[1][x] + odd[2][x]);
  }
  for (int x = 0; x < width; ++x)
    out[x] = ((down_odd[x - 1] + down_even[x + 1]) + 3.f * (down_even[x] + down_odd[x])) * (1.f / 64);
}

// Mean of 3×3 samples.
GV_SIMD void blur(const float* above, const float* row, const float* below, int width, float* __restrict column, float* __restrict out) {
  for (int x = -1; x <= width; ++x) column[x] = above[x] + row[x] + below[x];
  for (int x = 0; x < width; ++x) out[x] = (column[x - 1] + column[x] + column[x + 1]) * (1.f / 9);
}

GV_SIMD void subtract(const float* a, const float* b, int width, float* __restrict out) {
  for (int x = 0; x < width; ++x) out[x] = a[x] - b[x];
}

GV_SIMD void multiply(float* __restrict a, const float* b, int width) {
  for (int x = 0; x < width; ++x) a[x] *= b[x];
}

GV_SIMD void weigh(const float* a, const float* b, float share, int width, float* __restrict out) {
  for (int x = 0; x < width; ++x) out[x] = a[x] + share * (b[x] - a[x]);
}

// Four samples of linear interpolation from each one of a row whose edges are repeated.
GV_SIMD void widen(const float* row, int width, float* __restrict out) {
  for (int x = 0; x < width; ++x) {
    const float a = row[x - 1], b = row[x], c = row[x + 1];
    out[4 * x] = 0.375f * a + 0.625f * b;
    out[4 * x + 1] = 0.125f * a + 0.875f * b;
    out[4 * x + 2] = 0.875f * b + 0.125f * c;
    out[4 * x + 3] = 0.625f * b + 0.375f * c;
  }
}

GV_SIMD void add_products(const float* a, const float* b, const float* c, const float* d, int width, float* __restrict sum) {
  for (int x = 0; x < width; ++x) sum[x] += a[x] * b[x] + c[x] * d[x];
}

// Linear interpolation of the coarse detail between rows (near: the row itself), then along both phases of columns.
GV_SIMD void raise(const float* near, const float* far, int width, float* __restrict row, float* __restrict even, float* __restrict odd) {
  for (int x = -1; x <= width; ++x) row[x] = 0.75f * near[x] + 0.25f * far[x];
  for (int x = 0; x < width; ++x) {
    even[x] = 0.75f * row[x] + 0.25f * row[x - 1];
    odd[x] = 0.75f * row[x] + 0.25f * row[x + 1];
  }
}

// [1 2 1] / 4 over three rows (even and odd columns each) and along them, added to both phases.
GV_SIMD void soften(const float* const* even, const float* const* odd, int width, float* __restrict row_even,
                    float* __restrict row_odd, float* __restrict out_even, float* __restrict out_odd) {
  for (int x = -1; x <= width; ++x) {
    row_even[x] = (even[0][x] + 2.f * even[1][x] + even[2][x]) * (1.f / 4);
    row_odd[x] = (odd[0][x] + 2.f * odd[1][x] + odd[2][x]) * (1.f / 4);
  }
  for (int x = 0; x < width; ++x) {
    out_even[x] += (row_odd[x - 1] + 2.f * row_even[x] + row_odd[x]) * (1.f / 4);
    out_odd[x] += (row_even[x] + 2.f * row_odd[x] + row_even[x + 1]) * (1.f / 4);
  }
}

GV_SIMD void blend(float* __restrict a, const float* before, const float* keep, int width) {
  for (int x = 0; x < width; ++x) a[x] += keep[x] * (before[x] - a[x]);
}

GV_SIMD void colour_row(const float* tint, const float* colour, const float* residual, int width, float* __restrict out) {
  for (int x = 0; x < width; ++x) out[x] = tint[x] * colour[x] + residual[x];
}

GV_SIMD void scale_row(float* __restrict a, const float* b, float factor, int width) {
  for (int x = 0; x < width; ++x) a[x] *= factor * b[x];
}

// Sums of four neighbours, times `factor`.
void pool(const float* sum, int width, float factor, float* out) {
  for (int x = 0; x < width; ++x) out[x] = (sum[4 * x] + sum[4 * x + 1] + sum[4 * x + 2] + sum[4 * x + 3]) * factor;
}

// Rows of a picture's own width with room at both sides.
struct Rows {
  int stride;
  std::vector<float> data;
  Rows(int count, int width) : stride(whole_blocks(width) + 2 * Field::kMargin), data(static_cast<size_t>(count) * stride) {}
  float* operator[](int i) { return data.data() + static_cast<size_t>(i) * stride + Field::kMargin; }
  void clear() { std::fill(data.begin(), data.end(), 0.f); }
};

// Pointers for a 3×3 convolution: `count` channels whose rows above, at and below are given by `row(channel, dy)`.
template <class Row>
void add_taps(std::vector<const float*>& taps, int count, Row row) {
  for (int c = 0; c < count; ++c)
    for (int dy = -1; dy <= 1; ++dy) {
      const float* r = row(c, dy);
      taps.insert(taps.end(), {r - 1, r, r + 1});
    }
}

}  // namespace

NoiseTile::NoiseTile(int side, const float* value, const bool* redraw) : side_(side) {
  for (int y = 0; y < side; ++y)
    for (int px = 0; px < 2; ++px)
      for (int x = 0; x < half() + kRun; ++x) {
        const size_t from = static_cast<size_t>(y) * side + static_cast<size_t>(2 * (x % half()) + px);
        values.push_back(value[from]);
        redraws.push_back(redraw[from]);
      }
}

FramePainter::FramePainter(int width, int height, NoiseTile tile, int threads)
    : width_(width),
      height_(height),
      h_(ceil_div(height, 16) * 8),
      w_(ceil_div(width, 16) * 8),
      h8_(h_ / 4),
      w8_(w_ / 4),
      threads_(threads),
      tile_(std::move(tile)),
      chroma_(2, h_, w_),
      fetched_(6, h_, w_),
      signal_(kSignals, h_, w_),
      grain_(kGrain, h_, w_),
      low_(2, h_, w_),
      lower_(2, h_, w_),
      measures_(kMeasures, h8_, w8_) {
  for (Frame* f : {&now_, &before_}) *f = {Field(4, h_, w_), Field(4, h_, w_), Field(4, h_, w_), Field(2, h_, w_)};
}

void FramePainter::start(PaintLayers layers) {
  layers_ = std::move(layers);
  known_ = false;
  trunk_ = Field(layers_.style.inputs, h8_, w8_);
  next_ = trunk_;
  quarter_ = Field(layers_.stem.outputs, h_ / 2, w_ / 2);
  maps_ = Field(kHeads + layers_.gate.outputs + 1, h8_, w8_);
}

// The loop frame as floats, padded to the size of the fields by repeating its edges.
void FramePainter::load(const PaintSource& loop) {
  parallel_for(h8_, threads_, [&](int row8) {
    std::vector<uint16_t> line(static_cast<size_t>(2 * w_));
    for (int y = 4 * row8; y < 4 * row8 + 4; ++y) {
      for (int py = 0; py < 2; ++py) {
        std::copy_n(loop.plane[0] + static_cast<size_t>(std::min(2 * y + py, height_ - 1)) * width_, width_, line.data());
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
        std::copy_n(tile_.values.data() + tile_.place(2 * y + p / 2 + corner_y, 2 * x + p % 2 + corner_x), NoiseTile::kRun,
                    now_.noise.row(p, y) + x);
}

// Moves one row of blocks from the frame before: noise, what was added, and how far the loop frames agree.
void FramePainter::fetch(const int16_t* motion, int corner_y, int corner_x, int by) {
  for (int bx = 0; bx < w_ / 8; ++bx) fetch_block(motion, corner_y, corner_x, by, bx);
}

void FramePainter::fetch_block(const int16_t* motion, int corner_y, int corner_x, int by, int bx) {
  constexpr int kSide = 8;  // of a block in each phase
  static_assert(kSide == NoiseTile::kRun);
  const int16_t* v = motion + (static_cast<size_t>(by) * (w_ / kSide) + bx) * 2;
  const int dy = v[0], dx = v[1], top = 16 * by + dy, left = 16 * bx + dx, high = 2 * h_, wide = 2 * w_, x0 = kSide * bx;
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

// Fine bands of the full-resolution row 2y + py: `bands` are three bands × two phases of columns. `scratch` is made here.
void FramePainter::fine_bands(const Field& luma, int y, int py, std::vector<float>& scratch, float* const* bands) const {
  const int stride = luma.stride;
  scratch.resize(static_cast<size_t>(6) * stride);
  const auto line = [&](int i) { return scratch.data() + static_cast<size_t>(i) * stride + Field::kMargin; };
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
    bands_of(centre[px], line(px), line(4 + px), line(2 + px), w_, bands[px], bands[2 + px], bands[4 + px]);
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
      blur(chroma_.row(c, std::max(y - 1, 0)), row, chroma_.row(c, std::min(y + 1, h_ - 1)), w_, lines[6], lines[7]);
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
      for (int i = 0; i < 3; ++i) out[i] = field ? grain_.row(kGrainPlace[i], y) : signal_.row(i, y);
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
      for (int i = 0; i < 3; ++i) out[i] = field ? grain_.row(kGrainPlace[3 + i], y) : signal_.row(3 + i, y);
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

// Convolution with stride 2 from half to quarter resolution.
void FramePainter::run_stem(int y) {
  Rows lines(2 * 3 * kSignals, w_ / 2);
  std::vector<const float*> taps;
  for (int c = 0; c < kSignals; ++c)
    for (int dy = 0; dy < 3; ++dy) {
      const int from = 2 * y + dy - 1, i = 2 * (3 * c + dy);
      if (from >= 0) split_row(signal_.row(c, from), w_ / 2, lines[i], lines[i + 1]);
      taps.insert(taps.end(), {lines[i + 1] - 1, lines[i], lines[i + 1]});
    }
  std::vector<float*> out;
  for (int o = 0; o < layers_.stem.outputs; ++o) out.push_back(quarter_.row(o, y));
  combine(layers_.stem, taps.data(), w_ / 2, out.data());
  for (float* row : out) silu(row, w_ / 2);
}

// The same to eighth resolution, and the statistics beside it.
void FramePainter::enter_trunk(int row8) {
  const int count = quarter_.channels;
  Rows lines(6 * count + kMeasures, w8_);
  std::vector<const float*> taps;
  for (int c = 0; c < count; ++c)
    for (int dy = 0; dy < 3; ++dy) {
      const int from = 2 * row8 + dy - 1, i = 2 * (3 * c + dy);
      if (from >= 0) split_row(quarter_.row(c, from), w8_, lines[i], lines[i + 1]);
      taps.insert(taps.end(), {lines[i + 1] - 1, lines[i], lines[i + 1]});
    }
  std::vector<float*> out;
  for (int o = 0; o < trunk_.channels; ++o) out.push_back(trunk_.row(o, row8));
  combine(layers_.stem2, taps.data(), w8_, out.data());
  const auto log_energy = [](float mean) { return std::log2(mean * 255 + 0.1f) * 0.25f; };
  taps.clear();
  for (int i = 0; i < kMeasures; ++i) {
    const float *from = measures_.row(i, row8), *known = measures_.row(kKnown, row8);
    float* to = lines[6 * count + i];
    for (int x = 0; x < w8_; ++x)
      to[x] = i < kBase ? log_energy(from[x]) : i < kMismatch ? from[x] - 0.5f : i < kKnown ? log_energy(from[x]) * known[x] : from[x];
    taps.push_back(to);
  }
  combine(layers_.statistics, taps.data(), w8_, out.data() + layers_.stem2.outputs);
  for (float* row : out) zero_edges(row, w8_);
}

void FramePainter::run_block(const PaintBlock& b, int row8) {
  const int channels = trunk_.channels;
  Rows lines(channels + b.expand.outputs + 1, w8_);
  std::vector<const float*> seen, wide;
  std::vector<float*> expanded, out;
  for (int c = 0; c < channels; ++c) {
    const float* taps[25];
    for (int i = 0; i < 25; ++i) {
      const int y = row8 + i / 5 - 2;
      taps[i] = (y < 0 || y >= h8_ ? lines[channels + b.expand.outputs] : trunk_.row(c, y)) + i % 5 - 2;
    }
    combine_one(b.depthwise.data() + static_cast<size_t>(c) * 25, b.bias[c], 25, taps, w8_, lines[c]);
    seen.push_back(lines[c]);
    out.push_back(next_.row(c, row8));
  }
  for (int o = 0; o < b.expand.outputs; ++o) {
    expanded.push_back(lines[channels + o]);
    wide.push_back(lines[channels + o]);
  }
  combine(b.expand, seen.data(), w8_, expanded.data());
  for (float* row : expanded) silu(row, w8_);
  combine(b.project, wide.data(), w8_, out.data());
  for (int c = 0; c < channels; ++c) {
    add_row(trunk_.row(c, row8), w8_, out[c]);
    zero_edges(out[c], w8_);
  }
}

void FramePainter::read_heads(int row8) {
  const int count = layers_.style.outputs;
  Rows lines(count, w8_);
  std::vector<const float*> in, style;
  std::vector<float*> out, maps;
  for (int c = 0; c < trunk_.channels; ++c) in.push_back(trunk_.row(c, row8));
  for (int c = 0; c < count; ++c) {
    out.push_back(lines[c]);
    style.push_back(lines[c]);
  }
  for (int c = 0; c < maps_.channels; ++c) maps.push_back(maps_.row(c, row8));
  combine(layers_.style, in.data(), w8_, out.data());
  for (float* row : out) silu(row, w8_);
  combine(layers_.head, style.data(), w8_, maps.data());
  combine(layers_.gate, style.data(), w8_, maps.data() + kHeads);
  const float *mismatch = measures_.row(kMismatch, row8), *known = measures_.row(kKnown, row8);
  for (int x = 0; x < w8_; ++x) maps.back()[x] = known[x] * std::exp(mismatch[x] * (-1 / kTrustScale));
  for (float* row : maps) repeat_edges(row, w8_, 1);
}

// What one thread needs for the rows of half resolution that it works on: the last three rows of each layer, row y in place y mod 3.
struct FramePainter::Strip {
  Rows hidden, middle, residual, coarse, maps, lines, zero;
  Rows short_line;
  std::vector<float> scratch;
  std::vector<const float*> taps;
  std::vector<float*> out;
  std::vector<uint16_t> codes;
  int channels;

  Strip(const PaintLayers& layers, int w)
      : hidden(3 * layers.enter.outputs, w),
        middle(3 * layers.middle.outputs, w),
        residual(3 * kResidual, w),
        coarse(3, w),
        maps(std::max(layers.gate.outputs, 2 * kBands), w),
        lines(18, w),
        zero(1, w),
        short_line(1, w / 4),
        codes(static_cast<size_t>(4 * w)),
        channels(layers.enter.outputs) {}

  float* at(Rows& rows, int count, int channel, int y) { return rows[y % 3 * count + channel]; }
};

// Maps `first` … of row y at half resolution into rows `to` … of the strip.
void FramePainter::interpolate(int first, int count, int y, Strip& s, int to) {
  static constexpr float kShare[4] = {0.625f, 0.875f, 0.125f, 0.375f};  // of the lower row
  const int upper = y / 4 - (y % 4 < 2), a = std::max(upper, 0), b = std::min(upper + 1, h8_ - 1);
  for (int i = 0; i < count; ++i) {
    float* line = s.short_line[0];
    weigh(maps_.row(first + i, a) - 1, maps_.row(first + i, b) - 1, kShare[y % 4], w8_ + 2, line - 1);
    widen(line, w8_, s.maps[to + i]);
  }
}

void FramePainter::enter_row(Strip& s, int y) {
  const int count = s.channels;
  s.taps.clear();
  const auto row = [&](const Field& f, int c, int at) { return at < 0 || at >= h_ ? s.zero[0] : f.row(c, at); };
  add_taps(s.taps, kSignals, [&](int c, int dy) { return row(signal_, c, y + dy); });
  add_taps(s.taps, kGrainSeen, [&](int c, int dy) { return row(grain_, c, y + dy); });
  s.out.clear();
  for (int c = 0; c < count; ++c) s.out.push_back(s.at(s.hidden, count, c, y));
  combine(layers_.enter, s.taps.data(), w_, s.out.data());
  interpolate(kHeads, count, y, s, 0);
  for (int c = 0; c < count; ++c) {
    silu(s.out[c], w_);
    multiply(s.out[c], s.maps[c], w_);
    zero_edges(s.out[c], w_);
  }
}

void FramePainter::middle_row(Strip& s, int y) {
  const int count = s.channels;
  s.taps.clear();
  add_taps(s.taps, count, [&](int c, int dy) { return y + dy < 0 || y + dy >= h_ ? s.zero[0] : s.at(s.hidden, count, c, y + dy); });
  s.out.clear();
  for (int c = 0; c < count; ++c) s.out.push_back(s.at(s.middle, count, c, y));
  combine(layers_.middle, s.taps.data(), w_, s.out.data());
  for (float* row : s.out) {
    silu(row, w_);
    zero_edges(row, w_);
  }
}

// The residual, and the detail of the coarse bands.
void FramePainter::leave_row(Strip& s, int y) {
  const int count = s.channels;
  s.taps.clear();
  add_taps(s.taps, count, [&](int c, int dy) { return y + dy < 0 || y + dy >= h_ ? s.zero[0] : s.at(s.middle, count, c, y + dy); });
  s.out.clear();
  for (int c = 0; c < kResidual; ++c) s.out.push_back(s.at(s.residual, kResidual, c, y));
  combine(layers_.leave, s.taps.data(), w_, s.out.data());
  for (float* row : s.out) repeat_edges(row, w_, 1);
  interpolate(kFine, kCoarse, y, s, 0);
  interpolate(kBands + kFine, kCoarse, y, s, kCoarse);
  float* sum = s.coarse[y % 3];
  std::fill_n(sum, w_, 0.f);
  for (int i = 0; i < kCoarse; ++i) add_products(s.maps[i], signal_.row(i, y), s.maps[kCoarse + i], grain_.row(kGrainPlace[i], y), w_, sum);
  repeat_edges(sum, w_, 1);
}

// Two rows of luma and one of chroma.
void FramePainter::paint_row(Strip& s, int y, uint16_t* const* planes) {
  // Maps in this order: gains and amplitudes of fine bands, tint, keep, trust.
  interpolate(0, kFine, y, s, 0);
  interpolate(kBands, kFine, y, s, kFine);
  interpolate(kTint, 3, y, s, 2 * kFine);
  float* keep = s.maps[2 * kFine + 2];
  if (known_) {
    interpolate(maps_.channels - 1, 1, y, s, 2 * kFine + 3);
    sigmoid(keep, w_);
    scale_row(keep, s.maps[2 * kFine + 3], kKeepLimit, w_);
  }
  for (int py = 0; py < 2; ++py) write_luma(s, y, py, planes[0]);
  const int cw = (width_ + 1) / 2, ch = (height_ + 1) / 2;
  for (int c = 0; c < 2; ++c) {
    float* tint = now_.tint.row(c, y);
    colour_row(s.maps[2 * kFine + c], signal_.row(kCoarse + 4 + c, y), s.at(s.residual, kResidual, 4 + c, y), w_, tint);
    if (known_) blend(tint, fetched_.row(4 + c, y), keep, w_);
    if (y < ch) to_codes(chroma_.row(c, y), tint, cw, planes[1 + c] + static_cast<size_t>(y) * cw);
  }
}

void FramePainter::write_luma(Strip& s, int y, int py, uint16_t* plane) {
  const int above = std::max(y - 1, 0), below = std::min(y + 1, h_ - 1);
  float* added[2] = {now_.added.row(2 * py, y), now_.added.row(2 * py + 1, y)};
  raise(s.coarse[y % 3], s.coarse[(py ? below : above) % 3], w_, s.lines[12], added[0], added[1]);
  const float* rows[2][3];
  for (int px = 0; px < 2; ++px) {
    const auto residual = [&](int row, int phase) { return s.at(s.residual, kResidual, 2 * phase + px, row); };
    rows[px][0] = py ? residual(y, 0) : residual(above, 1);
    rows[px][1] = residual(y, py);
    rows[px][2] = py ? residual(below, 0) : residual(y, 1);
  }
  soften(rows[0], rows[1], w_, s.lines[12], s.lines[13], added[0], added[1]);
  float* bands[12];
  for (int i = 0; i < 12; ++i) bands[i] = s.lines[i];
  fine_bands(now_.loop, y, py, s.scratch, bands);
  fine_bands(now_.noise, y, py, s.scratch, bands + 6);
  for (int px = 0; px < 2; ++px) {
    for (int i = 0; i < kFine; ++i) add_products(s.maps[i], bands[2 * i + px], s.maps[kFine + i], bands[6 + 2 * i + px], w_, added[px]);
    if (known_) blend(added[px], fetched_.row(2 * py + px, y), s.maps[2 * kFine + 2], w_);
    to_codes(now_.loop.row(2 * py + px, y), added[px], w_, s.codes.data() + px * w_);
  }
  if (2 * y + py >= height_) return;
  uint16_t* line = s.codes.data() + 2 * w_;
  join_codes(s.codes.data(), s.codes.data() + w_, w_, line);
  std::copy_n(line, width_, plane + static_cast<size_t>(2 * y + py) * width_);
}

void FramePainter::begin(const PaintSource& loop, const int16_t* motion, int corner_y, int corner_x) {
  std::swap(now_, before_);
  known_ = known_ && motion;
  load(loop);
  parallel_for(h_ / 8, threads_, [&](int by) {
    if (known_) return fetch(motion, corner_y, corner_x, by);
    draw_noise(corner_y, corner_x, by);
    for (int i : {kMismatch, kKnown})
      for (int y = 2 * by; y < 2 * by + 2; ++y) std::fill_n(measures_.row(i, y), w8_, 0.f);
  });
  parallel_for(h_ / 8, threads_, [&](int by) {
    for (int p = 0; p < 4; ++p)
      for (int y = 8 * by; y < 8 * by + 8; ++y) repeat_edges(now_.noise.row(p, y), w_, 2);
  });
  parallel_for(h8_, threads_, [&](int y) { split_bands(y); });
  parallel_for(h8_, threads_, [&](int y) { second_bands(y); });
  parallel_for(h8_, threads_, [&](int y) { third_bands(y); });
  parallel_for(h_ / 2, threads_, [&](int y) { run_stem(y); });
  parallel_for(h8_, threads_, [&](int y) { enter_trunk(y); });
}

void FramePainter::run_blocks(int first, int last) {
  for (int i = first; i < last; ++i) {
    parallel_for(h8_, threads_, [&](int y) { run_block(layers_.blocks[i], y); });
    std::swap(trunk_, next_);
  }
}

void FramePainter::finish(uint16_t* const* planes) {
  parallel_for(h8_, threads_, [&](int y) { read_heads(y); });
  // A strip begins and ends with rows that its neighbours work out as well: long strips waste less.
  const int length = std::max(16, ceil_div(h_, 4 * std::max(threads_, 1)));
  parallel_for(ceil_div(h_, length), threads_, [&](int i) {
    Strip s(layers_, w_);
    const int from = i * length, to = std::min(from + length, h_);
    for (int y = from - 3; y < to + 3; ++y) {
      const auto is_needed = [&](int row, int around) { return row >= std::max(from - around, 0) && row < std::min(to + around, h_); };
      if (is_needed(y, 3)) enter_row(s, y);
      if (is_needed(y - 1, 2)) middle_row(s, y - 1);
      if (is_needed(y - 2, 1)) leave_row(s, y - 2);
      if (is_needed(y - 3, 0)) paint_row(s, y - 3, planes);
    }
  });
  known_ = true;
}

}  // namespace gv
