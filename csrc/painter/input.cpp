// Inputs of the painter: samples, state moved from the previous frame, bands, measures
// of blocks.
#include <cstring>
#include <numeric>

#include "common/pool.hpp"
#include "painter/parts.hpp"

namespace gv {

FramePainter::FramePainter(int width, int height, int threads)
    : width_(width),
      height_(height),
      h_(ceil_div(height, 16) * 8),
      w_(ceil_div(width, 16) * 8),
      h8_(h_ / 4),
      w8_(w_ / 4),
      threads_(threads),
      tile_(512 * kTileStride),
      changed_(h8_, w8_),
      chroma_(2, h_, w_),
      colour_(2, h_, w_),
      half_(2, h_, w_),
      low_(2, h_, w_),
      three_(6, h_, w_),
      signal_(3, h_ + 2, w_, kMiddleQuad),
      slopes_(3, h8_, w_ / 2),
      measures_(kMeasures, h8_, w8_) {
  for (Frame* f : {&now_, &before_})
    *f = {Samples16(1, 2 * h_, 2 * w_), Samples16(1, 2 * h_, 2 * w_), Samples16(1, 2 * h_, 2 * w_),
          Samples16(2, h_, w_)};
  for (uint32_t y = 0; y < 512; ++y)
    for (uint32_t x = 0; x < kTileStride; ++x) {
      const uint32_t bits = mixed((y * 512 + x % 512) * 0x9E3779B1u);
      const uint32_t value =
          (bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24) + 2;
      tile_[y * kTileStride + x] = static_cast<int16_t>(bits % 32 ? value | 0x8000 : value);
    }
}

// A row of 16×16 blocks of the base frame, padded by repeating its edges.
void FramePainter::load(const PaintSource& loop, int by) {
  const auto row = [](const uint16_t* from, int given, int16_t* to, int width) {
    constexpr int kEdge = 4;
    std::memcpy(to, from, 2 * static_cast<size_t>(given));
    std::fill(to - kEdge, to, static_cast<int16_t>(from[0]));
    std::fill(to + given, to + width + kEdge, static_cast<int16_t>(from[given - 1]));
  };
  const int cw = (width_ + 1) / 2, ch = (height_ + 1) / 2;
  for (int y = 16 * by; y < 16 * by + 16; ++y)
    row(loop.plane[0] + static_cast<size_t>(std::min(y, height_ - 1)) * width_, width_,
        now_.loop.row(0, y), 2 * w_);
  for (int y = 8 * by; y < 8 * by + 8; ++y)
    for (int c = 0; c < 2; ++c)
      row(loop.plane[1 + c] + static_cast<size_t>(std::min(y, ch - 1)) * cw, cw, chroma_.row(c, y),
          w_);
}

void FramePainter::fresh(int corner_y, int corner_x, int by) {
  for (int y = 16 * by; y < 16 * by + 16; ++y)
    for (int x = 0; x < 2 * w_; x += 16) {
      const int16_t* from = drawn(y + corner_y, x + corner_x);
      std::transform(from, from + 16, now_.noise.row(0, y) + x,
                     [](int16_t v) { return static_cast<int16_t>(v & 1023); });
    }
  for (int y = 2 * by; y < 2 * by + 2; ++y)
    for (const int i : {kMismatch, kKnown}) std::fill_n(measures_.row(i, y), w8_, 0);
}

namespace {

// Sixteen samples: noise from the frame before where it is inside the picture and not redrawn, as
// it never is where the base frame stays; |difference| is added to `sums`, which fits for eight
// rows. `drawn`: see `tile_`.
GV_SIMD(void, take_row,
        (const int16_t* loop, const int16_t* moved, const int16_t* noise, const int16_t* inside,
         const int16_t* drawn, int16_t* out, int16_t* sums),
        (loop, moved, noise, inside, drawn, out, sums)) {
  int16_t taken[16], size[16];  // of their own, so that compilers see that nothing overlaps
  for (int x = 0; x < 16; ++x) {
    const int d = loop[x] - moved[x], keep = inside[x] & ((drawn[x] >> 15) | -(d == 0));
    taken[x] = static_cast<int16_t>((noise[x] & keep) | (drawn[x] & 1023 & ~keep));
    size[x] = static_cast<int16_t>(d < 0 ? -d : d);
  }
  for (int x = 0; x < 16; ++x) sums[x] = static_cast<int16_t>(sums[x] + size[x]);
  std::memcpy(out, taken, sizeof taken);
}

}  // namespace

// State that moves with a row of blocks, one row of samples after the other: that is how they lie
// in memory.
void FramePainter::fetch(const int16_t* motion, int corner_y, int corner_x, int by) {
  const int high = 2 * h_, wide = 2 * w_, blocks = w8_ / 2;
  const int16_t* const vectors = motion + static_cast<size_t>(by) * blocks * 2;
  std::vector<int16_t> apart(static_cast<size_t>(blocks) * 32);
  int32_t* const known[2] = {measures_.row(kKnown, 2 * by), measures_.row(kKnown, 2 * by + 1)};
  for (int32_t* row : known) std::fill_n(row, w8_, 0);
  for (int y = 16 * by; y < 16 * by + 16; ++y) {
    const int half = (y >> 3) & 1;
    for (int bx = 0; bx < blocks; ++bx) {
      const int row = y + vectors[2 * bx], r = clamp(row, 0, high - 1), x0 = 16 * bx,
                left = x0 + vectors[2 * bx + 1];
      int16_t edge[2][16], inside[16];
      const int16_t *loop = before_.loop.row(0, r), *noise = before_.noise.row(0, r);
      int32_t* count = known[half] + 2 * bx;
      if (left >= 0 && left + 16 <= wide) {
        loop += left, noise += left;
        prefetch(loop, before_.loop.stride), prefetch(noise, before_.noise.stride);
        std::fill_n(inside, 16, static_cast<int16_t>(row == r ? -1 : 0));
        count[0] += row == r ? 8 : 0;
        count[1] += row == r ? 8 : 0;
      } else {
        for (int x = 0; x < 16; ++x) {
          const int c = clamp(left + x, 0, wide - 1);
          edge[0][x] = loop[c], edge[1][x] = noise[c];
          inside[x] = row == r && c == left + x ? -1 : 0;
          count[x >> 3] -= inside[x];
        }
        loop = edge[0], noise = edge[1];
      }
      take_row(now_.loop.row(0, y) + x0, loop, noise, inside, drawn(y + corner_y, x0 + corner_x),
               now_.noise.row(0, y) + x0, apart.data() + 32 * bx + 16 * half);
    }
  }
  for (int bx = 0; bx < blocks; ++bx)
    for (int i = 0; i < 4; ++i) {
      const int16_t* part = apart.data() + 32 * bx + 8 * i;
      measures_.row(kMismatch, 2 * by + i / 2)[2 * bx + i % 2] = std::accumulate(part, part + 8, 0);
    }
}

// A row of a plane of the previous frame, moved, from the first of these columns of blocks
// on; of chroma by half the vector (`half` 1). Neighbours that move alike are copied at once.
void FramePainter::fetch_row(const Samples16& plane, int channel, int y, int half,
                             const int16_t* motion, const Span& span, int16_t* out) const {
  const int side = 16 >> half;
  const int16_t* const vectors = motion + static_cast<size_t>(y / side) * w8_;
  for (int b = span.from / 2; b < span.to / 2;) {
    const int dy = vectors[2 * b], dx = vectors[2 * b + 1], first = b;
    while (++b < span.to / 2 && vectors[2 * b] == dy && vectors[2 * b + 1] == dx) {}
    const int16_t* from = plane.row(channel, clamp(y + ((dy + half) >> half), 0, plane.height - 1));
    const int left = first * side + ((dx + half) >> half), count = (b - first) * side;
    if (left >= 0 && left + count <= plane.width) {
      const ptrdiff_t next = static_cast<ptrdiff_t>(plane.channels) * plane.stride;
      for (int i = 0; i < count; i += 32) prefetch(from, left + next + i);
      std::copy_n(from + left, count, out);
    } else
      for (int i = 0; i < count; ++i) out[i] = from[clamp(left + i, 0, plane.width - 1)];
    out += count;
  }
}

namespace {

GV_SIMD(void, pool4, (const int16_t* sums, int width, int factor, int32_t* out),
        (sums, width, factor, out)) {
  pool<4>(sums, width, factor, out);
}
GV_SIMD(void, pool8, (const int16_t* sums, int width, int32_t* out), (sums, width, out)) {
  pool<8>(sums, width, 1, out);
}

}  // namespace

// Fine bands, half resolution and colour of a row of blocks.
void FramePainter::split(int row8, InputScratch& s) {
  const int full = 2 * w_;
  int16_t* sum[5];
  for (int i = 0; i < 5; ++i) sum[i] = s.sums.row(i, 0), std::fill_n(sum[i], full, 0);
  int16_t* scratch = s.line.row(0, 0);
  const auto rows_around = [&](const Samples16& plane, int channel, int y, int first, int count,
                               const int16_t** out) {
    for (int i = 0; i < count; ++i)
      out[i] = plane.row(channel, clamp(y + first + i, 0, plane.height - 1));
  };
  int16_t* tone[2][2] = {{sum[3], s.blurs.row(0, 0)}, {sum[4], s.blurs.row(1, 0)}};
  for (int c = 0; c < 2; ++c) std::fill_n(tone[c][1], w_, 0);
  const int16_t* r[5];
  for (int y = 4 * row8; y < 4 * row8 + 4; ++y) {
    for (int field = 0; field < 2; ++field) {
      rows_around(field ? now_.noise : now_.loop, 0, 2 * y, -1, 4, r);
      forms_->decimate(r, w_, scratch, half_.row(field, y));
      repeat(half_.row(field, y), w_, 4);
    }
    int16_t* iso[2] = {s.line.row(1, 0), s.line.row(2, 0)};
    for (int py = 0; py < 2; ++py) {
      rows_around(now_.loop, 0, 2 * y + py, -2, 5, r);
      int16_t* out[7] = {nullptr, nullptr, nullptr, iso[py], nullptr, nullptr, nullptr};
      forms_->bands(r, 1, true, full, scratch, out, sum);
    }
    forms_->squeeze_phases(iso[0], iso[1], w_, signal_.row(2, y + 1));
    repeat_value(signal_.row(2, y + 1), w_, kMiddleQuad);
    for (int c = 0; c < 2; ++c) {
      rows_around(chroma_, c, y, -1, 3, r);
      forms_->colour(r, w_, scratch, colour_.row(c, y), tone[c]);
    }
  }
  for (int i = 0; i < 3; ++i) pool8(sum[i], w8_, measures_.row(i, row8));
  for (int c = 0; c < 2; ++c) {
    pool4(tone[c][0], w8_, 4, measures_.row(9 + c, row8));
    pool4(tone[c][1], w8_, 1, measures_.row(kLevel + 1 + c, row8));
  }
}

// Bands of the second or the third scale of a row of blocks that the trunk sees; of the third also
// the signals, of the second gradients.
void FramePainter::coarse(int row8, bool third, InputScratch& s) {
  const Samples16& from = third ? low_ : half_;
  const int step = third ? 2 : 1;
  int16_t *const scratch = s.coarse_line.row(0, 0), *const low = s.coarse_line.row(1, 0), *sum[4];
  for (int i = 0; i < 4; ++i) sum[i] = s.coarse_sums.row(i, 0), std::fill_n(sum[i], w_, 0);
  for (int y = 4 * row8; y < 4 * row8 + 4; ++y) {
    for (int field = 0; field < (third ? 1 : 2); ++field) {
      const int16_t* r[5];
      for (int i = 0; i < 5; ++i) r[i] = from.row(field, clamp(y + step * (i - 2), 0, h_ - 1));
      int16_t* out[7] = {};
      for (int i = 0; i < 3 && !field; ++i) out[i] = three_.row(3 * third + i, y);
      out[6] = third ? low : low_.row(field, y);
      forms_->bands(r, step, false, w_, scratch, out, field ? nullptr : sum);
      if (!third) repeat(out[6], w_, 8);
    }
    if (!third) {
      const int16_t* around[3] = {half_.row(0, std::max(y - 1, 0)), half_.row(0, y),
                                  half_.row(0, std::min(y + 1, h_ - 1))};
      int32_t* slope[3] = {slopes_.row(0, row8), slopes_.row(1, row8), slopes_.row(2, row8)};
      if (y == 4 * row8)
        for (int32_t* row : slope) std::fill_n(row, slopes_.width, 0);
      forms_->gradients(around, w_, slope);
      continue;
    }
    for (int x = 0; x < w_; ++x) sum[3][x] = static_cast<int16_t>(sum[3][x] + low[x]);
    const int16_t* eight[8] = {};
    for (int i = 0; i < 6; ++i) eight[i] = three_.row(i, y);
    for (int c = 0; c < 2; ++c) eight[6 + c] = colour_.row(c, y);
    for (int q = 0; q < 2; ++q) {
      forms_->squeeze(eight + 4 * q, w_, signal_.row(q, y + 1));
      repeat_value(signal_.row(q, y + 1), w_, kMiddleQuad);
    }
  }
  for (int i = 0; i < 3; ++i) pool4(sum[i], w8_, 4, measures_.row(3 + 3 * third + i, row8));
  if (third) pool4(sum[3], w8_, 1, measures_.row(kLevel, row8));
}

// The structure tensor of a row of blocks: c and s.
void FramePainter::directions(int y) {
  const auto at = [&](int i, int row8, int x) {
    const int32_t* row = slopes_.row(i, clamp(row8, 0, h8_ - 1)) + 2 * clamp(x, 0, w8_ - 1);
    return row[0] + row[1];
  };
  std::vector<int32_t> column(3 * (static_cast<size_t>(w8_) + 2));
  for (int i = 0; i < 3; ++i)
    for (int x = -1; x <= w8_; ++x)
      column[static_cast<size_t>(i) * (w8_ + 2) + x + 1] =
          at(i, y - 1, x) + 2 * at(i, y, x) + at(i, y + 1, x);
  for (int x = 0; x < w8_; ++x) {
    int32_t sum[3];
    for (int i = 0; i < 3; ++i) {
      const int32_t* c = column.data() + static_cast<size_t>(i) * (w8_ + 2) + x;
      sum[i] = c[0] + 2 * c[1] + c[2];
    }
    const int32_t total = sum[0] + sum[1] + 4096;
    int shift = 0;
    while (total >> shift >= 1 << 20) ++shift;
    const int32_t whole = total >> shift;
    const auto part = [&](int32_t n) {
      return (((n + total) >> shift) * 64 + (whole >> 1)) / whole - 64;
    };
    measures_.row(kWay, y)[x] = part(sum[0] - sum[1]);
    measures_.row(kWay + 1, y)[x] = part(2 * sum[2]);
  }
}

}  // namespace gv
