#include "klt/codec.hpp"

#include "common/pool.hpp"
#include "klt/deblock.hpp"

namespace gv {
namespace {

int chroma_size(int luma) { return luma / 2; }

GV_SIMD(void, add_rows,
        (const uint16_t* prediction, const int16_t* residual, int width, uint16_t* out),
        (prediction, residual, width, out)) {
  for (int x = 0; x < width; ++x)
    out[x] = static_cast<uint16_t>(clamp(prediction[x] + residual[x], 0, kMaxSample));
}

GV_SIMD(void, blend_rows, (const int16_t* near, const int16_t* far, int n, int16_t* out),
        (near, far, n, out)) {
  for (int x = 0; x < n; ++x) out[x] = static_cast<int16_t>((3 * near[x] + far[x] + 2) >> 2);
}

// Doubles a square of side n.
std::vector<int16_t> twice(const std::vector<int16_t>& in, int n) {
  std::vector<int16_t> out(static_cast<size_t>(n) * n * 4), row(static_cast<size_t>(n));
  for (int y = 0; y < 2 * n; ++y) {
    const int i = y >> 1, other = clamp(y & 1 ? i + 1 : i - 1, 0, n - 1);
    blend_rows(in.data() + static_cast<size_t>(i) * n, in.data() + static_cast<size_t>(other) * n,
               n, row.data());
    int16_t* o = out.data() + static_cast<size_t>(y) * 2 * n;
    for (int x = 0; x < n; ++x) {
      const int left = row[std::max(x - 1, 0)], right = row[std::min(x + 1, n - 1)];
      o[2 * x] = static_cast<int16_t>((3 * row[x] + left + 2) >> 2);
      o[2 * x + 1] = static_cast<int16_t>((3 * row[x] + right + 2) >> 2);
    }
  }
  return out;
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
      for (int i = 0; i < n; ++i)
        dst[i] = static_cast<int16_t>(clamp(dst[i] + block[i], -4096, 4096));
  }
}

void Residual::clear() {
  for (auto& d : data) std::fill(d.begin(), d.end(), static_cast<int16_t>(0));
}

Expanded::Expanded(const int16_t* block, int level) {
  for (int c = 0; c < 3; ++c) {
    int n = c == 0 ? 16 : 8;
    data[c].assign(block, block + n * n);
    block += n * n;
    for (int l = 0; l < level; ++l, n *= 2) data[c] = twice(data[c], n);
  }
}

LoopState::LoopState(const Model& m, int w, int h, int t)
    : model(m),
      width(w),
      height(h),
      threads(t),
      mix(m.initial),
      now(w, h),
      before(w, h),
      loop(w, h),
      prediction(w, h),
      residual_(now.blocks_wide, now.blocks_high) {}

void LoopState::begin_frame(bool key, bool has_golden) {
  std::swap(now, before);
  now.clear();
  if (key) {
    before.clear();
    mix = model.initial;
    now.has_golden = now.becomes_golden = has_golden;
    return;
  }
  now.has_golden = before.has_golden;
  if (now.has_golden)
    now.golden_age = before.becomes_golden ? 1 : std::min(before.golden_age + 1, kOldest);
}

void LoopState::predict(bool key) {
  if (key) {
    for (Plane& p : prediction.plane)
      std::fill(p.data.begin(), p.data.end(), static_cast<uint16_t>(512));
    return;
  }
  parallel_for(now.blocks_high, threads, [&](int by) {
    for (int bx = 0; bx < now.blocks_wide; ++bx) {
      const Motion& motion = now.motion[static_cast<size_t>(by) * now.blocks_wide + bx];
      for (int c = 0; c < 3; ++c) {
        const int size = c == 0 ? 16 : 8;
        Plane& p = prediction.plane[c];
        compensate(loop.plane[c], golden ? golden->plane[c] : loop.plane[c], bx * size, by * size,
                   motion, c > 0, p.row(by * size) + bx * size, p.stride);
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

void LoopState::add_coarse(int wx, int wy, int q, bool key, Residual& full) const {
  for (int l = kTop; l >= 1; --l) {
    const TokenLevel& t = now.level[l];
    const int nodes = 1 << (kTop - l);
    for (int y = wy * nodes; y < std::min((wy + 1) * nodes, t.grid.height); ++y)
      for (int x = wx * nodes; x < std::min((wx + 1) * nodes, t.grid.width); ++x) {
        const int n = y * t.grid.width + x;
        if (t.last[n] < 0) continue;
        int16_t block[kBlockSamples];
        inverse_token(l, n, q, key, block);
        const Expanded token(block, l);
        for (int c = 0; c < 3; ++c) {
          const int side = (c == 0 ? 16 : 8) << l, w = std::min(side, full.width[c] - x * side);
          for (int j = 0; j < std::min(side, full.height[c] - y * side); ++j) {
            int16_t* row =
                full.data[c].data() + static_cast<size_t>(y * side + j) * full.width[c] + x * side;
            const int16_t* in = token.data[c].data() + static_cast<size_t>(j) * side;
            for (int i = 0; i < w; ++i)
              row[i] = static_cast<int16_t>(clamp(row[i] + in[i], -4096, 4096));
          }
        }
      }
  }
}

void LoopState::reconstruct(int q, bool key) {
  Residual& full = residual_;
  full.clear();
  const Grid windows = now.windows();
  parallel_for(windows.width * windows.height, threads,
               [&](int i) { add_coarse(i % windows.width, i / windows.width, q, key, full); });
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
        add_rows(prediction.plane[c].row(y),
                 full.data[c].data() + static_cast<size_t>(y) * full.width[c], full.width[c],
                 loop.plane[c].row(y));
    }
  });
  if (deblocks) deblock(q, key);
  loop.extend();
  if (key) golden.reset();
  if (now.becomes_golden) golden = std::make_shared<const Picture>(loop);
}

void LoopState::deblock(int q, bool key) {
  const int w = now.blocks_wide, h = now.blocks_high;
  const TokenLevel& t = now.level[0];
  // An edge is filtered when something was coded on either side or the two sides moved apart.
  auto active = [&](int a, int b) {
    return key || t.last[a] >= 0 || t.last[b] >= 0 || moved_apart(now.motion[a], now.motion[b]);
  };
  const DeblockLimits limits = deblock_limits(q);
  for (int c = 0; c < 3; ++c) {
    const int size = c == 0 ? 16 : 8;
    Plane& p = loop.plane[c];
    parallel_for(h, threads, [&](int by) {
      for (int bx = 1; bx < w; ++bx)
        if (active(by * w + bx - 1, by * w + bx))
          deblock_edge(p.row(by * size) + bx * size, 1, p.stride, size, limits);
    });
    parallel_for(w, threads, [&](int bx) {
      for (int by = 1; by < h; ++by)
        if (active((by - 1) * w + bx, by * w + bx))
          deblock_edge(p.row(by * size) + bx * size, p.stride, 1, size, limits);
    });
  }
}

std::vector<float> of_windows(std::vector<float> pieces, const FrameTokens& tokens) {
  const size_t windows = static_cast<size_t>(tokens.windows().width) * tokens.windows().height;
  for (size_t i = windows; i < pieces.size(); ++i) pieces[i - windows] += pieces[i];
  pieces.resize(windows);
  return pieces;
}

void KltDecoder::decode(const uint8_t* data, size_t size) {
  if (size < 1) throw DamagedStream("bad frame header");
  const bool key = data[0] & 0x40;
  q_ = data[0] & 0x3f;
  if (!key && !started_) throw DamagedStream("no key frame before this frame");
  started_ = false;
  state_.begin_frame(key, data[0] & 0x80);
  began_ = state_.mix;
  key_ = key;
  BitDecoder coder(state_.mix, data + 1, size - 1, !key && data[0] & 0x80);
  code_frame(
      coder, state_.model, state_.prediction, state_.now, state_.before, q_, key, [] {},
      [&] { state_.predict(key); });
  if (!coder.finished()) throw DamagedStream("frame does not end where it should");
  state_.reconstruct(q_, key);
  started_ = true;
}

std::vector<float> KltDecoder::window_bits() const {
  if (!started_) return {};
  MixState mix = began_;
  BitEncoder coder(mix);
  FrameTokens now = state_.now;
  std::vector<size_t> ends;
  code_frame(
      coder, state_.model, state_.prediction, now, state_.before, q_, key_,
      [&] { ends.push_back(coder.count()); }, [] {});
  return of_windows(coder.bits(ends), now);
}

}  // namespace gv
