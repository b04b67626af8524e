#include "klt/encoder.hpp"

#include <cmath>
#include <numeric>

#include "common/pool.hpp"
#include "klt/window_tokens.hpp"

namespace gv {
namespace {

GV_SIMD(void, subtract_rows, (const uint16_t* a, const uint16_t* b, int width, int16_t* out),
        (a, b, width, out)) {
  for (int x = 0; x < width; ++x) out[x] = static_cast<int16_t>(a[x] - b[x]);
}

// 65536 times the variance of 16×16 samples.
GV_SIMD(uint64_t, variance16, (const uint16_t* a, int stride), (a, stride)) {
  uint32_t sum = 0, squares = 0;
  for (int y = 0; y < 16; ++y, a += stride)
    for (int x = 0; x < 16; ++x) sum += a[x], squares += static_cast<uint32_t>(a[x]) * a[x];
  return static_cast<uint64_t>(squares) * 256 - static_cast<uint64_t>(sum) * sum;
}

// Of a variance (10-bit samples); that of sensor noise and less is all the same.
float activity(uint64_t variance) {
  return std::log2(16.f + static_cast<float>(variance) / 65536.f);
}

}  // namespace

KltEncoder::KltEncoder(const Model& model, int width, int height, int threads, EncoderTools tools)
    : state_(model, width, height, threads),
      tools_(tools),
      target_(state_.now.blocks_wide, state_.now.blocks_high) {
  state_.deblocks = tools.deblock;
}

FrameReport KltEncoder::encode(const Picture& source, int q, int key_q, bool key, bool scene_cut,
                               const std::vector<float>& lambda_map, bool golden) {
  FrameReport report;
  weigh(source, lambda_map);
  if (!key) {
    state_.begin_frame(false, false);
    state_.now.becomes_golden = golden && state_.now.has_golden;
    if (!decide_motion(source, q, scene_cut)) {
      std::swap(state_.now, state_.before);
      key = true;
    }
  }
  if (key) {
    q = key_q;
    const MixState kept = keep_learning ? state_.mix : MixState();
    state_.begin_frame(true, tools_.golden);
    if (keep_learning) state_.mix = kept;
  }
  state_.predict(key);
  choose_tokens(source, q, key);

  BitEncoder coder(state_.mix);
  std::vector<size_t> ends;
  code_frame(
      coder, state_.model, state_.prediction, state_.now, state_.before, q, key,
      [&] { ends.push_back(coder.count()); }, [] {});
  report.window_bits = of_windows(coder.bits(ends), state_.now);
  bool flag = state_.now.has_golden;  // bit 7
  report.payload = key || !flag ? coder.finish() : coder.finish_short(flag);
  report.payload.insert(report.payload.begin(),
                        static_cast<uint8_t>(q | (key ? 0x40 : 0) | (flag ? 0x80 : 0)));
  report.key = key;
  state_.reconstruct(q, key);
  follow_golden();
  return report;
}

void KltEncoder::save() {
  saved_ = {state_.mix, state_.now, state_.before, state_.loop, state_.golden, to_golden_};
}

void KltEncoder::restore() {
  state_.mix = saved_.mix;
  state_.now = saved_.now;
  state_.before = saved_.before;
  state_.loop = saved_.loop;
  state_.golden = saved_.golden;
  to_golden_ = saved_.to_golden;
}

void KltEncoder::weigh(const Picture& source, const std::vector<float>& lambda_map) {
  const int w = state_.now.blocks_wide, h = state_.now.blocks_high;
  weight_.assign(static_cast<size_t>(w) * h, 1.f);
  if (tools_.aq != 0) {
    const Plane& luma = source.plane[0];
    parallel_for(h, state_.threads, [&](int y) {
      for (int x = 0; x < w; ++x)
        weight_[static_cast<size_t>(y) * w + x] =
            activity(variance16(luma.row(y * 16) + x * 16, luma.stride));
    });
    const float mean =
        std::accumulate(weight_.begin(), weight_.end(), 0.f) / static_cast<float>(weight_.size());
    // lambda grows as the square of the step, which grows by 2^(1/9) a q.
    const float slope = static_cast<float>(tools_.aq) * 2 / 9;
    for (float& v : weight_) v = clamp(std::exp2(slope * (mean - v)), 1.f / 8, 8.f);
  }
  for (size_t b = 0; b < std::min(weight_.size(), lambda_map.size()); ++b)
    weight_[b] /= clamp(lambda_map[b], 1.f / 64, 64.f);
  for (float& v : weight_) v = clamp(v, 1.f / 64, 64.f);
}

void KltEncoder::choose_tokens(const Picture& source, int q, bool key) {
  const Costs costs(state_.mix, q, key);
  const FineCosts fine(state_.mix, state_.model.refiner, q, key);
  for (int c = 0; c < 3; ++c)
    parallel_for(target_.height[c], state_.threads, [&](int y) {
      subtract_rows(source.plane[c].row(y), state_.prediction.plane[c].row(y), target_.width[c],
                    target_.data[c].data() + static_cast<size_t>(y) * target_.width[c]);
    });
  const Grid g = state_.now.windows();
  parallel_for(g.width * g.height, state_.threads, [&](int i) {
    WindowTokens(state_, target_, weight_, tools_, costs, fine, q, key)
        .choose(i % g.width, i / g.width);
  });
}

}  // namespace gv
