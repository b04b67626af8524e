#include "core/klt_encoder.hpp"

#include "core/window_tokens.hpp"

namespace gv {
namespace {

GV_SIMD void subtract_rows(const uint16_t* a, const uint16_t* b, int width, int16_t* out) {
  for (int x = 0; x < width; ++x) out[x] = static_cast<int16_t>(a[x] - b[x]);
}

}  // namespace

KltEncoder::KltEncoder(const Model& model, int width, int height, int threads, EncoderTools tools)
    : state_(model, width, height, threads), tools_(tools), target_(state_.now.blocks_wide, state_.now.blocks_high) {}

FrameReport KltEncoder::encode(const Picture& source, int q, int key_q, bool key, bool scene_cut, const std::vector<float>& lambda_map) {
  FrameReport report;
  weight_.assign(state_.now.mv.size(), 1.f);
  for (size_t b = 0; b < std::min(weight_.size(), lambda_map.size()); ++b) weight_[b] = 1.f / clamp(lambda_map[b], 1.f / 64, 64.f);
  if (!key) {
    state_.begin_frame(false);
    if (!decide_motion(source, q, scene_cut)) {
      std::swap(state_.now, state_.before);
      key = true;
    }
  }
  if (key) {
    q = key_q;
    const MixState kept = keep_learning ? state_.mix : MixState();
    state_.begin_frame(true);
    if (keep_learning) state_.mix = kept;
  }
  state_.predict(key);
  choose_tokens(source, q, key);

  BitEncoder coder(state_.mix);
  std::vector<size_t> ends;
  FrameSyntax<BitEncoder>(coder, state_.now, state_.before, q, key).code([&] { ends.push_back(coder.count()); });
  report.window_bits = coder.bits(ends);
  report.payload = coder.finish();
  report.payload.insert(report.payload.begin(), static_cast<uint8_t>(q | (key ? 0x40 : 0)));
  report.key = key;
  state_.reconstruct(q, key);
  return report;
}

void KltEncoder::save() { saved_ = {state_.mix, state_.now, state_.before, state_.loop}; }

void KltEncoder::restore() {
  state_.mix = saved_.mix;
  state_.now = saved_.now;
  state_.before = saved_.before;
  state_.loop = saved_.loop;
}

void KltEncoder::choose_tokens(const Picture& source, int q, bool key) {
  const Costs costs(state_.mix, q, key);
  for (int c = 0; c < 3; ++c)
    parallel_for(target_.height[c], state_.threads, [&](int y) {
      subtract_rows(source.plane[c].row(y), state_.prediction.plane[c].row(y), target_.width[c],
                    target_.data[c].data() + static_cast<size_t>(y) * target_.width[c]);
    });
  const Grid g = state_.now.windows();
  parallel_for(g.width * g.height, state_.threads, [&](int i) {
    WindowTokens(state_, target_, weight_, tools_, costs, q, key).choose(i % g.width, i / g.width);
  });
}

}  // namespace gv
