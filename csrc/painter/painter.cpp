// The painter from base frame to painted frame, stage after stage: one file, since all stages work
// in the same buffers.

#include "painter/painter.hpp"

#include <cstring>
#include <optional>
#include <stdexcept>
#include <utility>

#include "common/pool.hpp"
#include "painter/parts.hpp"

namespace gv {

namespace {

void check_layer(const PainterLayer& l, int outputs, int inputs, int side) {
  const size_t n = static_cast<size_t>(outputs);
  check(l.outputs == outputs && l.inputs == inputs && l.side == side, "a layer of another shape");
  check(l.weight.size() == n * inputs * side * side && l.bias.size() == n,
        "a layer of another shape");
  check(l.multiplier.size() == n && l.shift.size() == n && l.step.size() == n,
        "a layer of another shape");
  for (size_t i = 0; i < n; ++i)
    check(std::abs(l.bias[i]) <= 1 << 28 && l.multiplier[i] >= 0 && l.multiplier[i] <= 1023 &&
              l.shift[i] >= 1 && l.shift[i] <= 30 && l.step[i] >= 7 && l.step[i] <= 14,
          "a number of a layer is out of range");
}

// The layer as loops read it, `zero`: the level that means nothing. Taps go by column, row, quad.
DotLayer packed(const PainterLayer& l, int zero) {
  DotLayer d;
  const int area = l.side * l.side, quads = l.inputs / 4;
  d.outputs = ceil_div(l.outputs, 4) * 4;
  d.group = ceil_div(quads * l.side, 16) * 16;
  d.stride = l.side * d.group;
  d.weight.assign(static_cast<size_t>(d.outputs + 16) * d.stride, 0);
  for (auto* part : {&d.start, &d.multiplier, &d.offset}) part->assign(d.outputs, 0);
  for (auto* part : {&d.shift, &d.step}) part->assign(d.outputs, 10);
  for (int o = 0; o < l.outputs; ++o) {
    int32_t total = 0, size = 0;
    for (int i = 0; i < l.inputs; ++i)
      for (int k = 0; k < area; ++k) {
        const int32_t w = l.weight[(static_cast<size_t>(o) * l.inputs + i) * area + k];
        const int tap = k % l.side * d.group + k / l.side * quads + i / 4;
        int32_t& at = d.weight[static_cast<size_t>(o) * d.stride + tap];
        at = static_cast<int32_t>(static_cast<uint32_t>(at) | (static_cast<uint32_t>(w) & 255)
                                                                  << 8 * (i % 4));
        total += w, size += std::abs(w);
      }
    d.start[o] = l.bias[o] - zero * total;
    d.multiplier[o] = l.multiplier[o];
    d.shift[o] = l.shift[o];
    d.step[o] = l.step[o];
    d.offset[o] = 1 << (l.shift[o] - 1);
    d.large = d.large || std::abs(d.start[o]) + 127 * size > 1 << 20;
  }
  if (!d.large)  // then it can be multiplied beforehand
    for (int o = 0; o < l.outputs; ++o)
      d.offset[o] += std::exchange(d.start[o], 0) * d.multiplier[o];
  return d;
}

// Taps of a layer 1×1 from x on.
Taps taps_at(const Quads& rows, int y, int x = 0) {
  return {{rows.row(0, y) + x}, 1, rows.channels, rows.stride};
}

// The channels of row y from x on.
template <class Rows>
auto pointers(Rows& rows, int y, int x = 0) {
  std::vector<decltype(rows.row(0, y))> found;
  found.reserve(static_cast<size_t>(rows.channels));
  for (int c = 0; c < rows.channels; ++c) found.push_back(rows.row(c, y) + x);
  return found;
}

// `style` with its steering inputs, each `kCopies` times, since weights of eight bits add
// up to those that it takes.
constexpr int kCopies = 4, kMostWeight = 127;
PainterLayer steered(const PainterLayer& style, const PainterSteering& s) {
  if (!s.channels) return style;
  check(s.channels > 0 && s.channels <= 16 && s.channels % 4 == 0, "levels come in fours");
  check(s.weight.size() == static_cast<size_t>(style.outputs) * s.channels,
        "steering levels have another shape");
  PainterLayer wide = style;
  wide.inputs += kCopies * s.channels;
  wide.weight.clear();
  for (int o = 0; o < style.outputs; ++o) {
    const int8_t* own = style.weight.data() + static_cast<size_t>(o) * style.inputs;
    const int16_t* more = s.weight.data() + static_cast<size_t>(o) * s.channels;
    std::vector<int32_t> rest(more, more + s.channels);
    wide.weight.insert(wide.weight.end(), own, own + style.inputs);
    for (int copy = 0; copy < kCopies; ++copy)
      for (int32_t& weight : rest) {
        const int32_t part = clamp(weight, -kMostWeight, kMostWeight);
        wide.weight.push_back(static_cast<int8_t>(part));
        weight -= part;
      }
    for (const int32_t weight : rest) check(!weight, "steering weights are out of range");
  }
  return wide;
}

int32_t halved(int32_t a, int n) { return (a + (1 << (n - 1))) >> n; }

// Similarity of a block of the previous frame to the block, 0…256.
int32_t trusted(int32_t mismatch, int32_t known) {
  const int32_t u = std::max(128 - halved(mismatch * 1365, 16), 0);
  return halved((u * u * u * u >> 20) * known, 6);
}

// 8·log2: see the definition. A float of an integer below 2^24 is exact, and its exponent and the
// first three bits after the leading one stand side by side.
int32_t log8(int32_t v) {
  const float exact = static_cast<float>(v);
  int32_t bits;
  std::memcpy(&bits, &exact, sizeof bits);
  return (bits >> 20) - 8 * 127;
}

}  // namespace

void FramePainter::start(const PainterLayers& l, const std::vector<int32_t>& entries,
                         const PainterSteering& steering) {
  const int c = l.style.inputs, stem = l.stem.outputs, style = l.style.outputs;
  for (const int n : {c, stem, style})
    check(n >= 4 && n <= 512 && n % 4 == 0, "channels come in fours");
  check(c > 16 && l.blocks.size() <= 64, "layers do not fit together");
  check_layer(l.stem, stem, 12, 3);
  check_layer(l.stem2, c - 16, stem, 3);
  check_layer(l.statistics, 16, 16, 1);
  check_layer(l.view, c, 1, 1);
  check_layer(l.style, style, c, 1);
  check_layer(l.head, kHeads, style, 1);
  blocks_.clear();
  for (const PainterBlock& b : l.blocks) {
    const int wide = b.expand.outputs;
    check(wide >= 4 && wide <= 512 && wide % 4 == 0, "channels come in fours");
    check_layer(b.depthwise, c, 1, 5);
    check_layer(b.expand, wide, c, 1);
    check_layer(b.project, c, wide, 1);
    check(b.condition.size() == c * entries.size(), "a condition of another shape");
    for (const int32_t v : b.condition)
      check(std::abs(v) <= 65536, "a number of a condition is out of range");
    blocks_.push_back({packed(b.expand, 64), packed(b.project, 8), b.depthwise.weight,
                       b.depthwise.bias, b.depthwise.multiplier, b.depthwise.shift, b.condition,
                       b.depthwise.bias});
  }
  for (const int32_t e : entries)
    check(std::abs(e) <= 2048, "an entry of the condition is out of range");
  stem_ = packed(l.stem, 64), stem2_ = packed(l.stem2, 8), statistics_ = packed(l.statistics, 0);
  view_ = l.view, style_ = packed(steered(l.style, steering), 64), head_ = packed(l.head, 8);
  entries_ = entries;
  known_ = false;
  position_ = 0;
  quarter_ = Quads(stem / 4, h_ / 2, w_ / 2);
  trunk_ = next_ = Samples16(c, h8_, w8_);
  maps_ = Samples16(kMaps, h8_, w8_);
  spread(steering);
}

namespace {

// Where a block lies between the centres of regions along one axis: regions before and after it,
// and the share of the latter in sixteenths.
struct Between {
  int before, after, share;

  Between(int block, int regions) {
    constexpr int kBlocks = 8;  // of a region
    const int place = 2 * block + 1 + kBlocks;  // in sixteenths from one region before the first
    before = clamp(place / 16 - 1, 0, regions - 1);
    after = clamp(place / 16, 0, regions - 1);
    share = place % 16;
  }
};

}  // namespace

std::vector<int8_t> levels_at_blocks(const PainterSteering& l, int rows, int columns) {
  check(l.rows == ceil_div(rows, 8) && l.columns == ceil_div(columns, 8) &&
            l.levels.size() == static_cast<size_t>(l.channels) * l.rows * l.columns,
        "levels of another shape");
  for (const int8_t level : l.levels) check(std::abs(level) <= 63, "a level is out of range");
  std::vector<int8_t> out;
  for (int c = 0; c < l.channels; ++c) {
    const int8_t* plane = l.levels.data() + static_cast<size_t>(c) * l.rows * l.columns;
    for (int y = 0; y < rows; ++y) {
      const Between down(y, l.rows);
      for (int x = 0; x < columns; ++x) {
        const Between along(x, l.columns);
        const auto mixed_row = [&](int row) {
          const int8_t* at = plane + row * l.columns;
          return (16 - along.share) * at[along.before] + along.share * at[along.after];
        };
        const int sum =
            (16 - down.share) * mixed_row(down.before) + down.share * mixed_row(down.after);
        out.push_back(static_cast<int8_t>(halved(sum, 8)));
      }
    }
  }
  return out;
}

// Levels at every block, as quads.
void FramePainter::spread(const PainterSteering& l) {
  steered_ = Quads(l.channels / 4, h8_, w8_);
  if (!l.channels) return;
  const std::vector<int8_t> levels = levels_at_blocks(l, h8_, w8_);
  const int8_t* level = levels.data();
  for (int c = 0; c < l.channels; ++c)
    for (int y = 0; y < h8_; ++y) {
      uint32_t* out = steered_.row(c / 4, y);
      for (int x = 0; x < w8_; ++x) out[x] |= static_cast<uint32_t>(64 + *level++) << 8 * (c % 4);
    }
}

namespace {

// Taps of a layer 3×3 with stride 2 on three rows of `count` quads from `above` on, which may be
// -1: their even and odd columns in turns as `lines`.
Taps halve(const Quads& rows, int count, int above, int width, uint32_t zero, Quads& lines) {
  for (int dy = 0; dy < 3; ++dy)
    for (int q = 0; q < count; ++q) {
      uint32_t *even = lines.row(0, dy * count + q), *odd = lines.row(1, dy * count + q);
      odd[-1] = zero;
      if (above + dy < 0) {
        std::fill_n(even, width, zero), std::fill_n(odd, width, zero);
        continue;
      }
      const uint32_t* row = rows.row(q, above + dy);
      for (int x = 0; x < width; ++x) even[x] = row[2 * x], odd[x] = row[2 * x + 1];
    }
  const uint32_t *even = lines.row(0, 0), *odd = lines.row(1, 0);
  return {{odd - 1, even, odd}, 3, 3 * count, 2 * static_cast<ptrdiff_t>(lines.stride)};
}

}  // namespace

// Convolution with stride 2 from half to quarter resolution.
void FramePainter::run_stem(int y, InputScratch& s) {
  const Taps taps = halve(signal_, 3, 2 * y, w_ / 2, kMiddleQuad, s.stem_lines);
  const auto out = pointers(quarter_, y);
  forms_->quads(stem_, taps, w_ / 2, out.data());
  for (uint32_t* row : out) repeat_value(row, w_ / 2, kZeroQuad);
}

namespace {

// Zeros behind a row of the trunk, where loops have written whole vectors; before it they stay.
void end_row(int16_t* row, int width) { row[width] = row[width + 1] = 0; }

// Levels of 0…127 of the statistics of a row of blocks, as quads.
GV_SIMD(void, level_measures, (const int32_t* const* m, int width, uint32_t* const* out),
        (m, width, out)) {
  const int32_t* const known = m[kKnown];
  for (int i = 0; i <= kKnown; ++i) {
    const int32_t* const value = m[i];
    uint32_t* const to = out[i / 4];
    const auto fill = [&](auto level) {
      const int shift = 8 * (i % 4);
      for (int x = 0; x < width; ++x)
        to[x] = (shift ? to[x] : 0) | static_cast<uint32_t>(std::min(level(x), 127)) << shift;
    };
    if (i < kLevel) fill([&](int x) { return log8(value[x] + 103) - 52; });
    else if (i < kMismatch) fill([&](int x) { return value[x] >> 9; });
    else if (i < kKnown)
      fill([&](int x) { return halved((log8(4 * value[x] + 103) - 52) * known[x], 6); });
    else fill([&](int x) { return halved(known[x] * 127, 6); });
  }
}

}  // namespace

// The same to eighth resolution, and its statistics.
void FramePainter::enter_trunk(int row8, InputScratch& s) {
  const Taps taps = halve(quarter_, quarter_.channels, 2 * row8 - 1, w8_, kZeroQuad, s.trunk_lines);
  const auto out = pointers(trunk_, row8);
  forms_->rows(stem2_, taps, w8_, nullptr, 2047, out.data());
  const int32_t* m[kMeasures];
  for (int i = 0; i < kMeasures; ++i) m[i] = measures_.row(i, row8);
  level_measures(m, w8_, pointers(s.measures, 0).data());
  forms_->rows(statistics_, taps_at(s.measures, 0), w8_, nullptr, 2047,
               out.data() + trunk_.channels - 16);
  for (int16_t* row : out) end_row(row, w8_);
}

// Blocks that were still in all of the frame before stay as they are: see `changed.hpp`.
void FramePainter::find_changed() {
  for (int y = 0; y < h8_; ++y) {
    const int32_t *mismatch = measures_.row(kMismatch, y), *known = measures_.row(kKnown, y);
    uint8_t* row = changed_.row(y);
    for (int x = 0; x < w8_; ++x) row[x] = mismatch[x] || known[x] != 64;
  }
}

struct FramePainter::BlockScratch {
  Quads lines, between;
  Samples16 sums, outside;

  BlockScratch(int channels, int wide, int w8)
      : lines(channels / 4, kDepthwiseRows, w8),
        between(wide / 4, 1, w8),
        sums(4 * kDepthwiseRows, 1, w8),
        outside(1, 1, w8) {}
};

// kDepthwiseRows rows, as far as they are within `reach` blocks of a change; elsewhere rows
// keep their values, which nothing reads.
void FramePainter::run_block(const Block& b, int reach, int first, BlockScratch& s) {
  constexpr int kRows = kDepthwiseRows;
  const int channels = trunk_.channels;
  for (const Span& span : changed_.near(first - reach, first + kRows - 1 + reach, reach, w8_))
    for (int c = 0; c < channels; c += 4) {
      const int16_t* rows[4 * (kRows + 4)];
      for (int i = 0; i < 4 * (kRows + 4); ++i) {
        const int y = first + i % (kRows + 4) - 2;
        rows[i] = (y < 0 || y >= h8_ ? s.outside.row(0, 0) : trunk_.row(c + i / (kRows + 4), y)) +
                  span.from;
      }
      uint32_t* out[kRows];
      for (int k = 0; k < kRows; ++k) out[k] = s.lines.row(c / 4, k) + span.from;
      forms_->depthwise(rows, b.depthwise.data() + 25 * c, b.entered.data() + c,
                        b.multiplier.data() + c, b.shift.data() + c, span.to - span.from,
                        s.sums.row(0, 0), out);
    }
  for (int y = first; y < std::min(first + kRows, h8_); ++y) {
    for (const Span& span : changed_.near(y - reach, y + reach, reach, w8_)) {
      const int x = span.from, width = span.to - x;
      forms_->quads(b.expand, taps_at(s.lines, y - first, x), width,
                    pointers(s.between, 0).data());
      forms_->rows(b.project, taps_at(s.between, 0), width,
                   pointers(std::as_const(trunk_), y, x).data(), 2047,
                   pointers(next_, y, x).data());
    }
    for (int c = 0; c < channels; ++c) end_row(next_.row(c, y), w8_);
  }
}

struct FramePainter::MapScratch {
  Quads seen, styled;
  Samples16 heads;

  MapScratch(int inputs, int style, int w8)
      : seen(inputs / 4, 1, w8), styled(style / 4, 1, w8), heads(kHeads, 1, w8) {}
};

// Style, the heads' outputs, and the maps of a row of blocks.
void FramePainter::make_maps(int row8, MapScratch& s) {
  const int channels = trunk_.channels;
  for (int c = 0; c < channels; c += 4) {
    const int16_t* rows[4];
    for (int i = 0; i < 4; ++i) rows[i] = trunk_.row(c + i, row8);
    forms_->view(rows, view_.multiplier.data() + c, view_.shift.data() + c, w8_,
                 s.seen.row(c / 4, 0));
  }
  for (int c = 0; c < kCopies * steered_.channels; ++c)
    std::copy_n(steered_.row(c % steered_.channels, row8), w8_, s.seen.row(channels / 4 + c, 0));
  forms_->quads(style_, taps_at(s.seen, 0), w8_, pointers(s.styled, 0).data());
  int16_t* head[kHeads + 1] = {};
  for (int i = 0; i < kHeads; ++i) head[i] = s.heads.row(i, 0);
  forms_->rows(head_, taps_at(s.styled, 0), w8_, nullptr, 32767, head);
  const int32_t *cosine = measures_.row(kWay, row8), *sine = measures_.row(kWay + 1, row8);
  for (int kind = 0; kind < 2; ++kind)
    for (int i = 0; i < 3; ++i) {
      const int16_t *size = head[6 * kind + i], *ratio = head[6 * kind + 3 + i];
      int16_t* out[3];
      for (int k = 0; k < 3; ++k) out[k] = maps_.row(kAmplitude * kind + 3 * i + k, row8);
      const int most = kind ? 8191 : 16383;
      for (int x = 0; x < w8_; ++x) {
        const int32_t a = clamp<int32_t>(size[x], -most, most),
                      part = clamp<int32_t>(ratio[x], -128, 128);
        out[0][x] = static_cast<int16_t>(a);
        out[1][x] = static_cast<int16_t>(halved(a * halved(part * cosine[x], 6), 8));
        out[2][x] = static_cast<int16_t>(halved(a * halved(part * sine[x], 6), 8));
      }
    }
  const int32_t *mismatch = measures_.row(kMismatch, row8), *known = measures_.row(kKnown, row8);
  for (int i = 0; i < 2; ++i)
    for (int x = 0; x < w8_; ++x)
      maps_.row(kTint + i, row8)[x] =
          static_cast<int16_t>(clamp<int32_t>(head[12 + i][x], -16383, 16383));
  for (int x = 0; x < w8_; ++x) {
    const int32_t trust = trusted(mismatch[x], known[x]);
    const int32_t share = (clamp<int32_t>(head[14][x] + 128, 0, 256) * trust + 1) >> 1;
    const bool still = !mismatch[x] && known[x] == 64;
    maps_.row(kKeep, row8)[x] = static_cast<int16_t>(still ? 32767 : std::min(share, 32767));
  }
  for (int i = 0; i < maps_.channels; ++i) repeat(maps_.row(i, row8), w8_, 1);
}

// Columns of blocks that are painted at a time, so that their data stays in cache whatever the
// width is.
constexpr int kPainted = 256;

// Buffers of one thread for the rows of half resolution that it works on, for kPainted columns;
// but `below` has whole rows, three of them, row y in place y mod 3.
struct FramePainter::Strip {
  Samples16 below, maps, bands, wide, full, scratch;

  explicit Strip(int w)
      : below(1, 3, w),
        maps(12, 1, 4 * kPainted),
        bands(12, 1, 4 * kPainted),
        wide(7, 1, 8 * kPainted),
        full(7, 1, 8 * kPainted),
        scratch(2, 1, 8 * kPainted) {}
};

namespace {

// The upper of the two rows of blocks whose maps make those of row y at half resolution.
int upper_block(int y) { return y / 4 - (y % 4 < 2); }

// Lets `paint` write samples from…to of a row of a plane that has `width` of them; null: of none.
// Loops write whole vectors: rows that may exceed the plane go through `scratch`.
template <class F>
void write_samples(uint16_t* row, int from, int to, int width, int16_t* scratch, F paint) {
  constexpr int kWhole = 64;  // a multiple of every form's vectors
  const bool inside = row && to <= width && (to - from) % kWhole == 0;
  paint(inside ? reinterpret_cast<int16_t*>(row) + from : scratch);
  if (row && !inside)
    std::copy_n(reinterpret_cast<const uint16_t*>(scratch), std::min(to, width) - from, row + from);
}

}  // namespace

// Map `map` of row y at half resolution.
void FramePainter::widen(int map, int y, const Span& span, int16_t* scratch, int16_t* out) const {
  static constexpr int kShare[4] = {5, 7, 1, 3};
  const int upper = upper_block(y), a = std::max(upper, 0), b = std::min(upper + 1, h8_ - 1);
  forms_->widen(maps_.row(map, a) + span.from, maps_.row(map, b) + span.from, kShare[y % 4],
                span.to - span.from, scratch, out);
}

// The detail of the coarse bands, where the rows above and below it need it.
void FramePainter::below_row(Strip& s, int y) {
  int16_t* const sum = s.below.row(0, y % 3);
  for (const Span& span :
       changed_.near(upper_block(y ? y - 1 : 0), upper_block(y + 1) + 1, 1, kPainted)) {
    const int x = 4 * span.from, width = 4 * span.to - x;
    const int16_t *seen[12], *maps[12];
    // N, P, Q of picture and noise at half resolution, then of the third scale.
    for (int i = 0; i < 12; i += 3) {
      const int step = 1 + i / 6;
      const int16_t* r[5];
      for (int k = 0; k < 5; ++k)
        r[k] = (i < 6 ? half_ : low_).row(i / 3 % 2, clamp(y + step * (k - 2), 0, h_ - 1)) + x;
      int16_t* found[7] = {};
      for (int k = 0; k < 3; ++k) seen[i + k] = found[3 + k] = s.bands.row(i + k, 0);
      forms_->bands(r, step, false, width, s.scratch.row(0, 0), found, nullptr);
    }
    for (int i = 0; i < 12; ++i) {
      maps[i] = s.maps.row(i, 0);
      widen((i % 6 < 3 ? 0 : kAmplitude) + 3 * (1 + i / 6) + i % 3, y, span, s.scratch.row(0, 0),
            s.maps.row(i, 0));
    }
    forms_->below(seen, maps, width, sum + x);
  }
  repeat(sum, w_, 1);
}

// Two rows of luma and one of chroma, of these columns of blocks.
void FramePainter::paint_span(Strip& s, int y, const Span& span, const int16_t* motion,
                              uint16_t* const* planes) {
  const int half_x = 4 * span.from, half = 4 * span.to - half_x, x = 2 * half_x, full = 2 * half;
  const int above = std::max(y - 1, 0), under = std::min(y + 1, h_ - 1);
  int16_t *scratch = s.scratch.row(0, 0), *line = s.maps.row(0, 0), *keep = s.maps.row(1, 0);
  int16_t* const fetched = known_ ? s.full.row(6, 0) : nullptr;
  const int16_t *maps[6], *seen[6];
  for (int i = 0; i < 6; ++i) {
    widen((i < 3 ? 0 : kAmplitude) + i % 3, y, span, scratch, line);
    forms_->twice(line, half, s.wide.row(i, 0));
    maps[i] = s.wide.row(i, 0);
    seen[i] = s.full.row(i, 0);
  }
  if (known_) {
    widen(kKeep, y, span, scratch, keep);
    forms_->twice(keep, half, s.wide.row(6, 0));
  }
  for (int py = 0; py < 2; ++py) {
    const int at = 2 * y + py;
    int16_t* detail = now_.detail.row(0, at) + x;
    forms_->raise(s.below.row(0, y % 3) + half_x,
                  s.below.row(0, (py ? under : above) % 3) + half_x, half, scratch, detail);
    for (int field = 0; field < 2; ++field) {
      const int16_t* r[5];
      for (int i = 0; i < 5; ++i)
        r[i] = (field ? now_.noise : now_.loop).row(0, clamp(at + i - 2, 0, 2 * h_ - 1)) + x;
      int16_t* out[7] = {nullptr,
                         nullptr,
                         nullptr,
                         s.full.row(3 * field, 0),
                         s.full.row(3 * field + 1, 0),
                         s.full.row(3 * field + 2, 0)};
      forms_->bands(r, 1, true, full, scratch, out, nullptr);
    }
    if (known_) fetch_row(before_.detail, 0, at, 0, motion, span, fetched);
    write_samples(luma_row(planes, at), x, x + full, width_, s.scratch.row(1, 0),
                  [&](int16_t* out) {
                    forms_->luma(now_.loop.row(0, at) + x, seen, maps, fetched, s.wide.row(6, 0),
                                 full, detail, out);
                  });
  }
  for (int c = 0; c < 2; ++c) {
    widen(kTint + c, y, span, scratch, line);
    if (known_) fetch_row(before_.tint, c, y, 1, motion, span, fetched);
    write_samples(chroma_row(planes, c, y), half_x, half_x + half, (width_ + 1) / 2,
                  s.scratch.row(1, 0), [&](int16_t* out) {
                    forms_->chroma(chroma_.row(c, y) + half_x, colour_.row(c, y) + half_x, line,
                                   fetched, keep, half, now_.tint.row(c, y) + half_x, out);
                  });
  }
}

// The same where nothing has changed: with a keep of 32767, value + (fetched − value) · keep, halved
// up to 15 bits, is `fetched`, since no detail is larger than 8191.
void FramePainter::keep_span(Strip& s, int y, const Span& span, const int16_t* motion,
                             uint16_t* const* planes) {
  const auto keep = [&](const Samples16& from, Samples16& to, int channel, int row, int half,
                        const int16_t* loop, uint16_t* plane, int width) {
    const int x = span.from * (8 >> half), count = span.to * (8 >> half) - x;
    int16_t* detail = to.row(channel, row) + x;
    fetch_row(from, channel, row, half, motion, span, detail);
    write_samples(plane, x, x + count, width, s.scratch.row(1, 0), [&](int16_t* out) {
      forms_->add_detail(loop + x, detail, count, out);
    });
  };
  for (int at = 2 * y; at < 2 * y + 2; ++at)
    keep(before_.detail, now_.detail, 0, at, 0, now_.loop.row(0, at), luma_row(planes, at), width_);
  for (int c = 0; c < 2; ++c)
    keep(before_.tint, now_.tint, c, y, 1, chroma_.row(c, y), chroma_row(planes, c, y),
         (width_ + 1) / 2);
}

// Two rows of luma and one of chroma.
void FramePainter::paint_rows(Strip& s, int y, const int16_t* motion, uint16_t* const* planes) {
  const int upper = upper_block(y);
  const auto keep = [&](int from, int to) {
    for (; from < to; from += kPainted)
      keep_span(s, y, {from, std::min(from + kPainted, to)}, motion, planes);
  };
  int painted = 0;
  for (const Span& span : changed_.near(upper, upper + 1, 1, kPainted)) {
    keep(painted, span.from);
    paint_span(s, y, span, motion, planes);
    painted = span.to;
  }
  keep(painted, w8_);
}

// A row of 16×16 blocks of samples and of noise; `bits`: where the frame's noise lies.
void FramePainter::take(const PaintSource& loop, const int16_t* motion, uint32_t bits, int by) {
  const int corner_y = static_cast<int>(bits & 511), corner_x = static_cast<int>(bits >> 16 & 511);
  load(loop, by);
  known_ ? fetch(motion, corner_y, corner_x, by) : fresh(corner_y, corner_x, by);
  for (int row = 16 * by; row < 16 * by + 16; ++row) repeat(now_.noise.row(0, row), 2 * w_, 4);
}

// All up to the trunk's input. Each stage needs rows of the stage before up to one row of blocks
// further on: strips go through all stages with each new row, which stays in caches
// meanwhile; then follow the rows at the borders of strips.
void FramePainter::see(const PaintSource& loop, const int16_t* motion) {
  const uint32_t bits = mixed(position_++);
  constexpr int kStages = 6;
  const auto run = [&](int stage, int y, InputScratch& s) {
    if (stage == 0 && y % 2 == 0) take(loop, motion, bits, y / 2);
    if (stage == 1) split(y, s);
    if (stage == 2) coarse(y, false, s);
    if (stage == 3) coarse(y, true, s);
    if (stage == 4) directions(y), run_stem(2 * y, s), run_stem(2 * y + 1, s);
    if (stage == 5) enter_trunk(y, s);
  };
  const int strips = std::min(threads_ > 1 ? 2 * threads_ : 1, std::max(h8_ / (4 * kStages), 1));
  const auto border = [&](int strip) { return h8_ / 2 * strip / strips * 2; };
  std::vector<std::optional<InputScratch>> scratch(static_cast<size_t>(strips));
  parallel_for(strips, threads_, [&](int strip) {
    InputScratch& s = scratch[static_cast<size_t>(strip)].emplace(w_, quarter_.channels);
    const int from = border(strip), to = border(strip + 1);
    for (int step = from; step < to + kStages; ++step)
      for (int stage = 0; stage < kStages; ++stage) {
        const int y = step - stage, first = strip ? from + stage : 0,
                  end = strip + 1 < strips ? to - stage : h8_;
        if (y >= first && y < end) run(stage, y, s);
      }
  });
  for (int stage = 1; stage < kStages; ++stage)
    parallel_for(strips - 1, threads_, [&](int strip) {
      const int middle = border(strip + 1);
      for (int y = middle - stage; y < middle + stage; ++y)
        run(stage, y, *scratch[static_cast<size_t>(strip)]);
    });
}

void FramePainter::paint(const PaintSource& loop, const int16_t* motion, int frame_condition,
                         uint16_t* const* planes) {
  check(!entries_.empty(), "paint comes after start");
  forms_ = &painter_forms();
  std::swap(now_, before_);
  known_ = known_ && motion;
  entries_.back() = frame_condition;
  for (Block& b : blocks_)
    for (size_t c = 0; c < b.bias.size(); ++c) {
      int32_t sum = 0;
      for (size_t i = 0; i < entries_.size(); ++i)
        sum += b.condition[c * entries_.size() + i] * entries_[i];
      b.entered[c] = b.bias[c] + halved(sum, 8);
    }
  see(loop, motion);
  find_changed();
  // Coarse detail is raised from samples up to six away from a changed block, whose maps lie between
  // blocks up to two away. The inputs of a block of the trunk are needed two blocks further.
  constexpr int kMapReach = 2;
  int reach = kMapReach + 2 * static_cast<int>(blocks_.size());
  const int groups = ceil_div(h8_, kDepthwiseRows), parts = std::min(groups, 4 * threads_);
  for (const Block& b : blocks_) {
    reach -= 2;
    parallel_for(parts, threads_, [&](int part) {
      BlockScratch s(trunk_.channels, b.expand.outputs, w8_);
      for (int i = groups * part / parts; i < groups * (part + 1) / parts; ++i)
        run_block(b, reach, i * kDepthwiseRows, s);
    });
    std::swap(trunk_, next_);
  }
  parallel_for(parts, threads_, [&](int part) {
    MapScratch s(trunk_.channels + 4 * kCopies * steered_.channels, style_.outputs, w8_);
    for (int y = h8_ * part / parts; y < h8_ * (part + 1) / parts; ++y)
      if (!changed_.near(y - kMapReach, y + kMapReach, kMapReach, w8_).empty()) make_maps(y, s);
  });
  // A strip begins and ends with rows that its neighbours work out as well: long strips waste less.
  const int length = std::max(16, ceil_div(h_, 4 * std::max(threads_, 1)));
  parallel_for(ceil_div(h_, length), threads_, [&](int i) {
    Strip s(w_);
    const int from = i * length, to = std::min(from + length, h_);
    for (int y = std::max(from - 1, 0); y < to + 1; ++y) {
      if (y < h_) below_row(s, y);
      if (y > from) paint_rows(s, y - 1, motion, planes);
    }
  });
  known_ = true;
}

namespace {

// A row of detail, `side` samples of each block weighed by its `trust`, added to the base frame.
void add_faded(const int16_t* loop, const int32_t* trust, int side, int width, int16_t* detail,
               int16_t* out) {
  for (int x = 0; x < width; x += side, ++trust)
    for (int i = x; i < x + side; ++i) {
      detail[i] = static_cast<int16_t>(detail[i] * *trust >> 8);
      out[i] = static_cast<int16_t>(clamp<int>(loop[i] + halved(detail[i], 3), 0, kMaxSample));
    }
}

}  // namespace

// Two rows of luma and one of chroma.
void FramePainter::carry_rows(int y, const int16_t* motion, uint16_t* const* planes) {
  std::vector<int32_t> trust(static_cast<size_t>(w8_), 0);
  for (int x = 0; x < w8_ && known_; ++x)
    trust[x] = trusted(measures_.row(kMismatch, y / 4)[x], measures_.row(kKnown, y / 4)[x]);
  std::vector<int16_t> out(static_cast<size_t>(2 * w_));
  const auto give = [&](uint16_t* plane, int row, int width, int height) {
    if (row < height)
      std::copy_n(out.data(), width, plane + static_cast<size_t>(row) * width);
  };
  for (int at = 2 * y; at < 2 * y + 2; ++at) {
    int16_t* detail = now_.detail.row(0, at);
    if (known_) fetch_row(before_.detail, 0, at, 0, motion, {0, w8_}, detail);
    add_faded(now_.loop.row(0, at), trust.data(), 8, 2 * w_, detail, out.data());
    give(planes[0], at, width_, height_);
  }
  for (int c = 0; c < 2; ++c) {
    int16_t* detail = now_.tint.row(c, y);
    if (known_) fetch_row(before_.tint, c, y, 1, motion, {0, w8_}, detail);
    add_faded(chroma_.row(c, y), trust.data(), 4, w_, detail, out.data());
    give(planes[1 + c], y, (width_ + 1) / 2, (height_ + 1) / 2);
  }
}

void FramePainter::reuse_detail(const PaintSource& loop, const int16_t* motion,
                                uint16_t* const* planes) {
  check(!entries_.empty(), "reuse_detail comes after start");
  std::swap(now_, before_);
  known_ = known_ && motion;
  const uint32_t bits = mixed(position_++);
  parallel_for(h8_ / 2, threads_, [&](int by) {
    take(loop, motion, bits, by);
    for (int y = 8 * by; y < 8 * by + 8; ++y) carry_rows(y, motion, planes);
  });
  known_ = true;
}

}  // namespace gv
