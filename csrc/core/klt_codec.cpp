#include "core/klt_codec.hpp"

#include "core/deblock.hpp"

namespace gv {
namespace {

int chroma_size(int luma) { return luma / 2; }

GV_SIMD void add_rows(const uint16_t* prediction, const int16_t* residual, int width, uint16_t* out) {
  for (int x = 0; x < width; ++x) out[x] = static_cast<uint16_t>(clamp(prediction[x] + residual[x], 0, kMaxSample));
}

// One output row from two input rows (weights 3 and 1), both of n samples, doubled in width.
GV_SIMD void upsample_row(const int16_t* near, const int16_t* far, int n, int16_t* mid, int16_t* out, int out_n) {
  for (int x = 0; x < n; ++x) mid[x] = static_cast<int16_t>((3 * near[x] + far[x] + 2) >> 2);
  for (int x = 0; x < out_n; ++x) {
    const int i = x >> 1, other = clamp(x & 1 ? i + 1 : i - 1, 0, n - 1);
    out[x] = static_cast<int16_t>(out[x] + ((3 * mid[i] + mid[other] + 2) >> 2));
  }
}

}  // namespace

Picture::Picture(int width, int height) {
  const int w = ceil_div(width, kBlock) * kBlock, h = ceil_div(height, kBlock) * kBlock;
  plane[0] = Plane(w, h, kMargin);
  plane[1] = Plane(chroma_size(w), chroma_size(h), kMargin / 2 + 8);
  plane[2] = plane[1];
}

Residual::Residual(int blocks_wide, int blocks_high) {
  for (int c = 0; c < 3; ++c) {
    width[c] = blocks_wide * (c == 0 ? 16 : 8);
    height[c] = blocks_high * (c == 0 ? 16 : 8);
    data[c].assign(static_cast<size_t>(width[c]) * height[c], 0);
  }
}

void Residual::gather(int x, int y, int16_t* block) const {
  for (int c = 0; c < 3; ++c) {
    const int n = c == 0 ? 16 : 8;
    const int16_t* src = data[c].data() + static_cast<size_t>(y) * n * width[c] + x * n;
    for (int j = 0; j < n; ++j, src += width[c], block += n) std::copy_n(src, n, block);
  }
}

void Residual::add(int x, int y, const int16_t* block) {
  for (int c = 0; c < 3; ++c) {
    const int n = c == 0 ? 16 : 8;
    int16_t* dst = data[c].data() + static_cast<size_t>(y) * n * width[c] + x * n;
    for (int j = 0; j < n; ++j, dst += width[c], block += n)
      for (int i = 0; i < n; ++i) dst[i] = static_cast<int16_t>(clamp(dst[i] + block[i], -4096, 4096));
  }
}

void Residual::clear() {
  for (auto& d : data) std::fill(d.begin(), d.end(), static_cast<int16_t>(0));
}

void add_upsampled(const Residual& coarse, Residual& fine, int threads) {
  for (int c = 0; c < 3; ++c) {
    const int w = coarse.width[c], h = coarse.height[c];
    const int16_t* in = coarse.data[c].data();
    parallel_for(ceil_div(fine.height[c], 16), threads, [&](int band) {
      std::vector<int16_t> mid(static_cast<size_t>(w));
      for (int y = band * 16; y < std::min(band * 16 + 16, fine.height[c]); ++y) {
        const int i = y >> 1, other = clamp(y & 1 ? i + 1 : i - 1, 0, h - 1);
        upsample_row(in + static_cast<size_t>(i) * w, in + static_cast<size_t>(other) * w, w, mid.data(),
                     fine.data[c].data() + static_cast<size_t>(y) * fine.width[c], fine.width[c]);
      }
    });
  }
}

LoopState::LoopState(const Model& m, int w, int h, int t)
    : model(m), width(w), height(h), threads(t), mix(m.initial), now(w, h), before(w, h), loop(w, h), prediction(w, h) {
  for (int l = 1; l < kLevels; ++l) pyramid_.emplace_back(now.level[l].grid.width, now.level[l].grid.height);
}

void LoopState::begin_frame(bool key) {
  std::swap(now, before);
  now.clear();
  if (key) {
    before.clear();
    mix = model.initial;
  }
}

void LoopState::predict(bool key) {
  if (key) {
    for (Plane& p : prediction.plane) std::fill(p.data.begin(), p.data.end(), static_cast<uint16_t>(512));
    return;
  }
  parallel_for(now.blocks_high, threads, [&](int by) {
    for (int bx = 0; bx < now.blocks_wide; ++bx) {
      const Mv mv = now.mv[static_cast<size_t>(by) * now.blocks_wide + bx];
      Plane& y = prediction.plane[0];
      compensate_luma(loop.plane[0], bx * 16, by * 16, mv, y.row(by * 16) + bx * 16, y.stride);
      for (int c = 1; c < 3; ++c) {
        Plane& p = prediction.plane[c];
        compensate_chroma(loop.plane[c], bx * 8, by * 8, mv, p.row(by * 8) + bx * 8, p.stride);
      }
    }
  });
}

void LoopState::inverse_token(int l, int node, int q, bool key, int16_t* samples) const {
  const int step = quantiser_step(q, l), last = now.level[l].last[node];
  int32_t coefficients[kBlockSamples];
  const int16_t* v = now.values(l, node);
  for (int i = 0; i <= last; ++i) coefficients[i] = dequantise(v[i], step);
  klt_inverse(model.basis[key ? 0 : 1][l], last + 1, coefficients, samples);
}

void LoopState::coarse_residual(int q, bool key, Residual& full) const {
  full.clear();
  bool some = false;
  std::vector<Residual>& planes = pyramid_;
  for (int l = kTop; l >= 1; --l) {
    Residual& r = planes[l - 1];
    r.clear();
    if (some) add_upsampled(planes[l], r, threads);
    const TokenLevel& t = now.level[l];
    for (int n = 0; n < t.grid.width * t.grid.height; ++n) {
      if (t.last[n] < 0) continue;
      some = true;
      int16_t block[kBlockSamples];
      inverse_token(l, n, q, key, block);
      r.add(n % t.grid.width, n / t.grid.width, block);
    }
  }
  if (some) add_upsampled(planes[0], full, threads);
}

void LoopState::reconstruct(int q, bool key) {
  Residual full(now.blocks_wide, now.blocks_high);
  coarse_residual(q, key, full);
  parallel_for(now.blocks_high, threads, [&](int by) {
    for (int bx = 0; bx < now.blocks_wide; ++bx) {
      const int n = by * now.blocks_wide + bx;
      if (now.level[0].last[n] < 0) continue;
      int16_t block[kBlockSamples];
      inverse_token(0, n, q, key, block);
      full.add(bx, by, block);
    }
    for (int c = 0; c < 3; ++c) {
      const int size = c == 0 ? 16 : 8;
      for (int y = by * size; y < (by + 1) * size; ++y)
        add_rows(prediction.plane[c].row(y), full.data[c].data() + static_cast<size_t>(y) * full.width[c], full.width[c],
                 loop.plane[c].row(y));
    }
  });
  deblock(q, key);
  loop.extend();
}

void LoopState::deblock(int q, bool key) {
  const int w = now.blocks_wide, h = now.blocks_high;
  const TokenLevel& t = now.level[0];
  // An edge is filtered when something was coded on either side or the two sides moved apart.
  auto active = [&](int a, int b) {
    return key || t.last[a] >= 0 || t.last[b] >= 0 || std::abs(now.mv[a].x - now.mv[b].x) >= 4 ||
           std::abs(now.mv[a].y - now.mv[b].y) >= 4;
  };
  const DeblockLimits limits = deblock_limits(q);
  for (int c = 0; c < 3; ++c) {
    const int size = c == 0 ? 16 : 8;
    Plane& p = loop.plane[c];
    parallel_for(h, threads, [&](int by) {
      for (int bx = 1; bx < w; ++bx)
        if (active(by * w + bx - 1, by * w + bx)) deblock_edge(p.row(by * size) + bx * size, 1, p.stride, size, limits);
    });
    parallel_for(w, threads, [&](int bx) {
      for (int by = 1; by < h; ++by)
        if (active((by - 1) * w + bx, by * w + bx)) deblock_edge(p.row(by * size) + bx * size, p.stride, 1, size, limits);
    });
  }
}

void KltDecoder::decode(const uint8_t* data, size_t size) {
  if (size < 1 || data[0] & 0x80) throw DamagedStream("bad frame header");
  const bool key = data[0] & 0x40;
  q_ = data[0] & 0x3f;
  if (!key && !started_) throw DamagedStream("no key frame before this frame");
  started_ = false;
  state_.begin_frame(key);
  BitDecoder coder(state_.mix, data + 1, size - 1);
  FrameSyntax<BitDecoder>(coder, state_.now, state_.before, q_, key).code();
  if (!coder.finished()) throw DamagedStream("frame does not end where it should");
  state_.predict(key);
  state_.reconstruct(q_, key);
  started_ = true;
}

}  // namespace gv
