#include "painter/painter.hpp"

#include <cmath>

#include "common/pool.hpp"
#include "painter/rows.hpp"

namespace gv {

namespace {

// Pointers for a 3×3 convolution: `count` channels whose rows above, at and below are given by
// `row(channel, dy)`.
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
        const size_t from =
            static_cast<size_t>(y) * side + static_cast<size_t>(2 * (x % half()) + px);
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
  for (Frame* f : {&now_, &before_})
    *f = {Field(4, h_, w_), Field(4, h_, w_), Field(4, h_, w_), Field(2, h_, w_)};
}

void FramePainter::start(PaintLayers layers) {
  layers_ = std::move(layers);
  known_ = false;
  trunk_ = Field(layers_.style.inputs, h8_, w8_);
  next_ = trunk_;
  quarter_ = Field(layers_.stem.outputs, h_ / 2, w_ / 2);
  maps_ = Field(kHeads + layers_.gate.outputs + 1, h8_, w8_);
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
      to[x] = i < kBase       ? log_energy(from[x])
              : i < kMismatch ? from[x] - 0.5f
              : i < kKnown    ? log_energy(from[x]) * known[x]
                              : from[x];
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
      taps[i] =
          (y < 0 || y >= h8_ ? lines[channels + b.expand.outputs] : trunk_.row(c, y)) + i % 5 - 2;
    }
    combine_one(b.depthwise.data() + static_cast<size_t>(c) * 25, b.bias[c], 25, taps, w8_,
                lines[c]);
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
  for (int x = 0; x < w8_; ++x)
    maps.back()[x] = known[x] * std::exp(mismatch[x] * (-1 / kTrustScale));
  for (float* row : maps) repeat_edges(row, w8_, 1);
}

// What one thread needs for the rows of half resolution that it works on: the last three rows of
// each layer, row y in place y mod 3.
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
    weigh(maps_.row(first + i, a) - 1, maps_.row(first + i, b) - 1, kShare[y % 4], w8_ + 2,
          line - 1);
    widen(line, w8_, s.maps[to + i]);
  }
}

void FramePainter::enter_row(Strip& s, int y) {
  const int count = s.channels;
  s.taps.clear();
  const auto row = [&](const Field& f, int c, int at) {
    return at < 0 || at >= h_ ? s.zero[0] : f.row(c, at);
  };
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
  add_taps(s.taps, count, [&](int c, int dy) {
    return y + dy < 0 || y + dy >= h_ ? s.zero[0] : s.at(s.hidden, count, c, y + dy);
  });
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
  add_taps(s.taps, count, [&](int c, int dy) {
    return y + dy < 0 || y + dy >= h_ ? s.zero[0] : s.at(s.middle, count, c, y + dy);
  });
  s.out.clear();
  for (int c = 0; c < kResidual; ++c) s.out.push_back(s.at(s.residual, kResidual, c, y));
  combine(layers_.leave, s.taps.data(), w_, s.out.data());
  for (float* row : s.out) repeat_edges(row, w_, 1);
  interpolate(kFine, kCoarse, y, s, 0);
  interpolate(kBands + kFine, kCoarse, y, s, kCoarse);
  float* sum = s.coarse[y % 3];
  std::fill_n(sum, w_, 0.f);
  for (int i = 0; i < kCoarse; ++i)
    add_products(s.maps[i], signal_.row(i, y), s.maps[kCoarse + i], grain_.row(kGrainPlace[i], y),
                 w_, sum);
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
    colour_row(s.maps[2 * kFine + c], signal_.row(kCoarse + 4 + c, y),
               s.at(s.residual, kResidual, 4 + c, y), w_, tint);
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
    const auto residual = [&](int row, int phase) {
      return s.at(s.residual, kResidual, 2 * phase + px, row);
    };
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
    for (int i = 0; i < kFine; ++i)
      add_products(s.maps[i], bands[2 * i + px], s.maps[kFine + i], bands[6 + 2 * i + px], w_,
                   added[px]);
    if (known_) blend(added[px], fetched_.row(2 * py + px, y), s.maps[2 * kFine + 2], w_);
    to_codes(now_.loop.row(2 * py + px, y), added[px], w_, s.codes.data() + px * w_);
  }
  if (2 * y + py >= height_) return;
  uint16_t* line = s.codes.data() + 2 * w_;
  join_codes(s.codes.data(), s.codes.data() + w_, w_, line);
  std::copy_n(line, width_, plane + static_cast<size_t>(2 * y + py) * width_);
}

void FramePainter::begin(const PaintSource& loop, const int16_t* motion, int corner_y,
                         int corner_x) {
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
      const auto is_needed = [&](int row, int around) {
        return row >= std::max(from - around, 0) && row < std::min(to + around, h_);
      };
      if (is_needed(y, 3)) enter_row(s, y);
      if (is_needed(y - 1, 2)) middle_row(s, y - 1);
      if (is_needed(y - 2, 1)) leave_row(s, y - 2);
      if (is_needed(y - 3, 0)) paint_row(s, y - 3, planes);
    }
  });
  known_ = true;
}

}  // namespace gv
