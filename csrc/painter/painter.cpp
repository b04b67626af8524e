// The painter from base frame to painted frame, stage after stage: one file, since all stages work
// in the same buffers.

#include "painter/painter.hpp"

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

// Taps of a layer 1×1.
Taps taps_at(const Quads& rows, int y) { return {{rows.row(0, y)}, 1, rows.channels, rows.stride}; }

// The channels of row y.
template <class Rows>
auto pointers(Rows& rows, int y) {
  std::vector<decltype(rows.row(0, y))> found;
  for (int c = 0; c < rows.channels; ++c) found.push_back(rows.row(c, y));
  return found;
}

// `style` with the inputs of what steers it, each `kCopies` times, since weights of eight bits add
// up to those that it takes.
constexpr int kCopies = 4, kMostWeight = 127;
PainterLayer steered(const PainterLayer& style, const PainterSteering& s) {
  if (!s.channels) return style;
  check(s.channels > 0 && s.channels <= 16 && s.channels % 4 == 0, "levels come in fours");
  check(s.weight.size() == static_cast<size_t>(style.outputs) * s.channels,
        "what steers is of another shape");
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
    for (const int32_t weight : rest) check(!weight, "what steers is out of range");
  }
  return wide;
}

int32_t halved(int32_t a, int n) { return (a + (1 << (n - 1))) >> n; }

// How well a block of the frame before has what the block has, 0…256.
int32_t trusted(int32_t mismatch, int32_t known) {
  const int32_t u = std::max(128 - halved(mismatch * 1365, 16), 0);
  return halved((u * u * u * u >> 20) * known, 6);
}

// 8·log2: see the definition.
int32_t log8(int32_t v) {
#if defined(__GNUC__)
  const int place = 31 - __builtin_clz(static_cast<uint32_t>(v));
#else
  int place = 3;
  while (v >> (place + 1)) ++place;
#endif
  return 8 * place + (v >> (place - 3) & 7);
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

// Levels of regions at every block, bilinear between the centres of regions, as quads.
void FramePainter::spread(const PainterSteering& l) {
  steered_ = Quads(l.channels / 4, h8_, w8_);
  if (!l.channels) return;
  check(l.rows == ceil_div(h8_, 8) && l.columns == ceil_div(w8_, 8) &&
            l.levels.size() == static_cast<size_t>(l.channels) * l.rows * l.columns,
        "levels of another shape");
  for (const int8_t level : l.levels) check(std::abs(level) <= 63, "a level is out of range");
  for (int c = 0; c < l.channels; ++c) {
    const int8_t* plane = l.levels.data() + static_cast<size_t>(c) * l.rows * l.columns;
    for (int y = 0; y < h8_; ++y) {
      const Between down(y, l.rows);
      uint32_t* out = steered_.row(c / 4, y);
      for (int x = 0; x < w8_; ++x) {
        const Between along(x, l.columns);
        const auto mixed_row = [&](int row) {
          const int8_t* at = plane + row * l.columns;
          return (16 - along.share) * at[along.before] + along.share * at[along.after];
        };
        const int sum = (16 - down.share) * mixed_row(down.before) + down.share * mixed_row(down.after);
        out[x] |= static_cast<uint32_t>(64 + halved(sum, 8)) << 8 * (c % 4);
      }
    }
  }
}

namespace {

// Taps of a layer 3×3 with stride 2 on three rows of `count` quads from `above` on, which may be
// -1: their even and odd columns in turns as `lines`.
Taps halve(const Quads& rows, int count, int above, int width, uint32_t zero, Quads& lines) {
  lines = Quads(2, 3 * count, width, zero);
  for (int dy = above < 0; dy < 3; ++dy)
    for (int q = 0; q < count; ++q) {
      const uint32_t* row = rows.row(q, above + dy);
      uint32_t *even = lines.row(0, dy * count + q), *odd = lines.row(1, dy * count + q);
      for (int x = 0; x < width; ++x) even[x] = row[2 * x], odd[x] = row[2 * x + 1];
    }
  const uint32_t *even = lines.row(0, 0), *odd = lines.row(1, 0);
  return {{odd - 1, even, odd}, 3, 3 * count, 2 * static_cast<ptrdiff_t>(lines.stride)};
}

}  // namespace

// Convolution with stride 2 from half to quarter resolution.
void FramePainter::run_stem(int y) {
  Quads lines;
  const Taps taps = halve(signal_, 3, 2 * y, w_ / 2, kMiddleQuad, lines);
  const auto out = pointers(quarter_, y);
  forms_->quads(stem_, taps, w_ / 2, out.data());
  for (uint32_t* row : out) repeat_value(row, w_ / 2, kZeroQuad);
}

// The same to eighth resolution, and the statistics beside it.
void FramePainter::enter_trunk(int row8) {
  Quads lines, found(4, 1, w8_);
  const Taps taps = halve(quarter_, quarter_.channels, 2 * row8 - 1, w8_, kZeroQuad, lines);
  const auto out = pointers(trunk_, row8);
  forms_->rows(stem2_, taps, w8_, nullptr, 2047, out.data());
  const int32_t* m[kMeasures];
  for (int i = 0; i < kMeasures; ++i) m[i] = measures_.row(i, row8);
  for (int q = 0; q < 4; ++q) {
    uint32_t* to = found.row(q, 0);
    for (int i = 4 * q; i < 4 * q + 4; ++i)
      for (int x = 0; x < w8_; ++x) {
        int32_t level = i < kLevel      ? log8(m[i][x] + 103) - 52
                        : i < kMismatch ? m[i][x] >> 9
                        : i < kKnown    ? halved((log8(4 * m[i][x] + 103) - 52) * m[kKnown][x], 6)
                                        : halved(m[kKnown][x] * 127, 6);
        to[x] |= static_cast<uint32_t>(std::min(level, 127)) << 8 * (i % 4);
      }
  }
  forms_->rows(statistics_, taps_at(found, 0), w8_, nullptr, 2047,
               out.data() + trunk_.channels - 16);
  for (int16_t* row : out)
    for (int i = 0; i < 2; ++i) row[-1 - i] = row[w8_ + i] = 0;
}

void FramePainter::run_block(const Block& b, int first) {
  constexpr int kRows = kDepthwiseRows;
  const int channels = trunk_.channels, wide = b.expand.outputs;
  Quads lines(channels / 4, kRows, w8_), between(wide / 4, 1, w8_);
  Samples16 scratch(4 * kRows, 1, w8_), outside(1, 1, w8_);
  for (int c = 0; c < channels; c += 4) {
    const int16_t* rows[4 * (kRows + 4)];
    for (int i = 0; i < 4 * (kRows + 4); ++i) {
      const int y = first + i % (kRows + 4) - 2;
      rows[i] = y < 0 || y >= h8_ ? outside.row(0, 0) : trunk_.row(c + i / (kRows + 4), y);
    }
    uint32_t* out[kRows];
    for (int k = 0; k < kRows; ++k) out[k] = lines.row(c / 4, k);
    forms_->depthwise(rows, b.depthwise.data() + 25 * c, b.entered.data() + c,
                      b.multiplier.data() + c, b.shift.data() + c, w8_, scratch.row(0, 0), out);
  }
  for (int y = first; y < std::min(first + kRows, h8_); ++y) {
    const auto out = pointers(next_, y);
    forms_->quads(b.expand, taps_at(lines, y - first), w8_, pointers(between, 0).data());
    forms_->rows(b.project, taps_at(between, 0), w8_, pointers(std::as_const(trunk_), y).data(),
                 2047, out.data());
    for (int16_t* row : out)
      for (int i = 0; i < 2; ++i) row[-1 - i] = row[w8_ + i] = 0;
  }
}

// Style, what the heads make of it, and the maps of a row of blocks.
void FramePainter::make_maps(int row8) {
  const int channels = trunk_.channels;
  Quads seen(channels / 4 + kCopies * steered_.channels, 1, w8_), styled(style_.outputs / 4, 1, w8_);
  Samples16 heads(kHeads, 1, w8_);
  for (int c = 0; c < channels; c += 4) {
    const int16_t* rows[4];
    for (int i = 0; i < 4; ++i) rows[i] = trunk_.row(c + i, row8);
    forms_->view(rows, view_.multiplier.data() + c, view_.shift.data() + c, w8_,
                 seen.row(c / 4, 0));
  }
  for (int c = 0; c < kCopies * steered_.channels; ++c)
    std::copy_n(steered_.row(c % steered_.channels, row8), w8_, seen.row(channels / 4 + c, 0));
  forms_->quads(style_, taps_at(seen, 0), w8_, pointers(styled, 0).data());
  int16_t* head[kHeads + 1] = {};
  for (int i = 0; i < kHeads; ++i) head[i] = heads.row(i, 0);
  forms_->rows(head_, taps_at(styled, 0), w8_, nullptr, 32767, head);
  const int32_t *c = measures_.row(kWay, row8), *s = measures_.row(kWay + 1, row8);
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
        out[1][x] = static_cast<int16_t>(halved(a * halved(part * c[x], 6), 8));
        out[2][x] = static_cast<int16_t>(halved(a * halved(part * s[x], 6), 8));
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

// What one thread needs for the rows of half resolution that it works on; of `below` three, row y in
// place y mod 3.
struct FramePainter::Strip {
  Samples16 below, maps, bands, wide, full, scratch;

  explicit Strip(int w)
      : below(1, 3, w),
        maps(12, 1, w),
        bands(12, 1, w),
        wide(7, 1, 2 * w),
        full(7, 1, 2 * w),
        scratch(2, 1, 2 * w) {}
};

// Map `map` of row y at half resolution.
void FramePainter::widen(int map, int y, int16_t* scratch, int16_t* out) const {
  static constexpr int kShare[4] = {5, 7, 1, 3};
  const int upper = y / 4 - (y % 4 < 2), a = std::max(upper, 0), b = std::min(upper + 1, h8_ - 1);
  forms_->widen(maps_.row(map, a), maps_.row(map, b), kShare[y % 4], w8_, scratch, out);
}

// The detail of the coarse bands.
void FramePainter::below_row(Strip& s, int y) {
  const int16_t *seen[12], *maps[12];
  for (int i = 0; i < 12;
       i += 3) {  // N, P, Q of picture and noise at half resolution, then of the third scale
    const int step = 1 + i / 6;
    const int16_t* r[5];
    for (int k = 0; k < 5; ++k)
      r[k] = (i < 6 ? half_ : low_).row(i / 3 % 2, clamp(y + step * (k - 2), 0, h_ - 1));
    int16_t* found[7] = {};
    for (int k = 0; k < 3; ++k) seen[i + k] = found[3 + k] = s.bands.row(i + k, 0);
    forms_->bands(r, step, false, w_, s.scratch.row(0, 0), found, nullptr);
  }
  for (int i = 0; i < 12; ++i) {
    maps[i] = s.maps.row(i, 0);
    widen((i % 6 < 3 ? 0 : kAmplitude) + 3 * (1 + i / 6) + i % 3, y, s.scratch.row(0, 0),
          s.maps.row(i, 0));
  }
  int16_t* sum = s.below.row(0, y % 3);
  forms_->below(seen, maps, w_, sum);
  repeat(sum, w_, 1);
}

// Two rows of luma and one of chroma.
void FramePainter::paint_rows(Strip& s, int y, const int16_t* motion, uint16_t* const* planes) {
  const int full = 2 * w_, above = std::max(y - 1, 0), under = std::min(y + 1, h_ - 1);
  int16_t *scratch = s.scratch.row(0, 0), *line = s.maps.row(0, 0), *keep = s.maps.row(1, 0);
  int16_t* const fetched = known_ ? s.full.row(6, 0) : nullptr;
  const int16_t *maps[6], *seen[6];
  for (int i = 0; i < 6; ++i) {
    widen((i < 3 ? 0 : kAmplitude) + i % 3, y, scratch, line);
    forms_->twice(line, w_, s.wide.row(i, 0));
    maps[i] = s.wide.row(i, 0);
    seen[i] = s.full.row(i, 0);
  }
  if (known_) {
    widen(kKeep, y, scratch, keep);
    forms_->twice(keep, w_, s.wide.row(6, 0));
  }
  for (int py = 0; py < 2; ++py) {
    const int at = 2 * y + py;
    int16_t* detail = now_.detail.row(0, at);
    forms_->raise(s.below.row(0, y % 3), s.below.row(0, (py ? under : above) % 3), w_, scratch,
                  detail);
    for (int field = 0; field < 2; ++field) {
      const int16_t* r[5];
      for (int i = 0; i < 5; ++i)
        r[i] = (field ? now_.noise : now_.loop).row(0, clamp(at + i - 2, 0, 2 * h_ - 1));
      int16_t* out[7] = {nullptr,
                         nullptr,
                         nullptr,
                         s.full.row(3 * field, 0),
                         s.full.row(3 * field + 1, 0),
                         s.full.row(3 * field + 2, 0)};
      forms_->bands(r, 1, true, full, scratch, out, nullptr);
    }
    int16_t* out = s.scratch.row(1, 0);
    if (known_) fetch_row(before_.detail, 0, at, 0, motion, fetched);
    forms_->luma(now_.loop.row(0, at), seen, maps, fetched, s.wide.row(6, 0), full, detail, out);
    if (at < height_)
      std::copy_n(reinterpret_cast<const uint16_t*>(out), width_,
                  planes[0] + static_cast<size_t>(at) * width_);
  }
  const int cw = (width_ + 1) / 2, ch = (height_ + 1) / 2;
  for (int c = 0; c < 2; ++c) {
    widen(kTint + c, y, scratch, line);
    int16_t* out = s.scratch.row(1, 0);
    if (known_) fetch_row(before_.tint, c, y, 1, motion, fetched);
    forms_->chroma(chroma_.row(c, y), colour_.row(c, y), line, fetched, keep, w_,
                   now_.tint.row(c, y), out);
    if (y < ch)
      std::copy_n(reinterpret_cast<const uint16_t*>(out), cw,
                  planes[1 + c] + static_cast<size_t>(y) * cw);
  }
}

// A row of 16×16 blocks of samples and of noise; `bits`: where the frame's noise lies.
void FramePainter::take(const PaintSource& loop, const int16_t* motion, uint32_t bits, int by) {
  const int corner_y = static_cast<int>(bits & 511), corner_x = static_cast<int>(bits >> 16 & 511);
  load(loop, by);
  known_ ? fetch(motion, corner_y, corner_x, by) : fresh(corner_y, corner_x, by);
  for (int row = 16 * by; row < 16 * by + 16; ++row) repeat(now_.noise.row(0, row), 2 * w_, 4);
}

// All up to the trunk's input. Each stage needs rows of the stage before up to one row of blocks
// further on: strips go through all stages with each row that is new, what stays in caches
// meanwhile; then follow the rows at the borders of strips.
void FramePainter::see(const PaintSource& loop, const int16_t* motion) {
  const uint32_t bits = mixed(position_++);
  constexpr int kStages = 6;
  const auto run = [&](int stage, int y) {
    if (stage == 0 && y % 2 == 0) take(loop, motion, bits, y / 2);
    if (stage == 1) split(y);
    if (stage == 2) coarse(y, false);
    if (stage == 3) coarse(y, true);
    if (stage == 4) directions(y), run_stem(2 * y), run_stem(2 * y + 1);
    if (stage == 5) enter_trunk(y);
  };
  const int strips = std::min(threads_ > 1 ? 2 * threads_ : 1, std::max(h8_ / (4 * kStages), 1));
  const auto border = [&](int strip) { return h8_ / 2 * strip / strips * 2; };
  parallel_for(strips, threads_, [&](int strip) {
    const int from = border(strip), to = border(strip + 1);
    for (int step = from; step < to + kStages; ++step)
      for (int stage = 0; stage < kStages; ++stage) {
        const int y = step - stage, first = strip ? from + stage : 0,
                  end = strip + 1 < strips ? to - stage : h8_;
        if (y >= first && y < end) run(stage, y);
      }
  });
  for (int stage = 1; stage < kStages; ++stage)
    parallel_for(strips - 1, threads_, [&](int strip) {
      const int middle = border(strip + 1);
      for (int y = middle - stage; y < middle + stage; ++y) run(stage, y);
    });
}

void FramePainter::paint(const PaintSource& loop, const int16_t* motion, int own,
                         uint16_t* const* planes) {
  check(!entries_.empty(), "paint comes after start");
  forms_ = &painter_forms();
  std::swap(now_, before_);
  known_ = known_ && motion;
  entries_.back() = own;
  for (Block& b : blocks_)
    for (size_t c = 0; c < b.bias.size(); ++c) {
      int32_t sum = 0;
      for (size_t i = 0; i < entries_.size(); ++i)
        sum += b.condition[c * entries_.size() + i] * entries_[i];
      b.entered[c] = b.bias[c] + halved(sum, 8);
    }
  see(loop, motion);
  for (const Block& b : blocks_) {
    parallel_for(ceil_div(h8_, kDepthwiseRows), threads_,
                 [&](int i) { run_block(b, i * kDepthwiseRows); });
    std::swap(trunk_, next_);
  }
  parallel_for(h8_, threads_, [&](int y) { make_maps(y); });
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
    if (known_) fetch_row(before_.detail, 0, at, 0, motion, detail);
    add_faded(now_.loop.row(0, at), trust.data(), 8, 2 * w_, detail, out.data());
    give(planes[0], at, width_, height_);
  }
  for (int c = 0; c < 2; ++c) {
    int16_t* detail = now_.tint.row(c, y);
    if (known_) fetch_row(before_.tint, c, y, 1, motion, detail);
    add_faded(chroma_.row(c, y), trust.data(), 4, w_, detail, out.data());
    give(planes[1 + c], y, (width_ + 1) / 2, (height_ + 1) / 2);
  }
}

void FramePainter::carry(const PaintSource& loop, const int16_t* motion, uint16_t* const* planes) {
  check(!entries_.empty(), "carry comes after start");
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
