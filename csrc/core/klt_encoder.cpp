#include "core/klt_encoder.hpp"

#include <cmath>
#include <numeric>

namespace gv {
namespace {

// Mean of 2×2 samples; what lies outside is repeated.
void halve(const Residual& in, Residual& out) {
  for (int c = 0; c < 3; ++c) {
    const int w = in.width[c], h = in.height[c];
    for (int y = 0; y < out.height[c]; ++y) {
      const int16_t* a = in.data[c].data() + static_cast<size_t>(std::min(2 * y, h - 1)) * w;
      const int16_t* b = in.data[c].data() + static_cast<size_t>(std::min(2 * y + 1, h - 1)) * w;
      int16_t* o = out.data[c].data() + static_cast<size_t>(y) * out.width[c];
      for (int x = 0; x < out.width[c]; ++x) {
        const int i = std::min(2 * x, w - 1), j = std::min(2 * x + 1, w - 1);
        o[x] = static_cast<int16_t>((a[i] + a[j] + b[i] + b[j] + 2) >> 2);
      }
    }
  }
}

GV_SIMD void subtract_rows(const uint16_t* a, const uint16_t* b, int width, int16_t* out) {
  for (int x = 0; x < width; ++x) out[x] = static_cast<int16_t>(a[x] - b[x]);
}

GV_SIMD uint32_t energy_of(const int16_t* v, int n) {
  uint32_t sum = 0;
  for (int i = 0; i < n; ++i) sum += static_cast<uint32_t>(static_cast<int32_t>(v[i]) * v[i]);
  return sum;
}

float code_length(const Slot& s, int bit) {
  const float p = clamp(static_cast<float>(bit ? s.p : 65536 - s.p) / 65536.f, 0.001f, 0.999f);
  return -std::log2(p);
}

// Mean absolute deviation of a block from its mean, times 256: what coding it anew would leave.
uint32_t activity16(const uint16_t* a, int stride) {
  uint32_t sum = 0;
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 16; ++x) sum += a[y * stride + x];
  const int mean = static_cast<int>((sum + 128) >> 8);
  uint32_t deviation = 0;
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 16; ++x) deviation += static_cast<uint32_t>(std::abs(a[y * stride + x] - mean));
  return deviation;
}

}  // namespace

// Code lengths read off the adaptive state at the start of a frame, by the first context of each decision.
struct KltEncoder::Costs {
  float any[kLevels][2], self[kLevels][2];
  float last[kLevels][kBlockSamples];
  float sig[kLevels][slots::kIndex][2], big[kLevels][slots::kIndex][2];

  Costs(const MixState& mix, int q, bool key) {
    for (int l = 0; l < kLevels; ++l) {
      const uint32_t k = static_cast<uint32_t>(l) * 2 + (key ? 0 : 1);
      auto at = [&](slots::Family f, uint32_t offset) -> const Slot& { return mix.slots[slots::first(f) + offset]; };
      const uint32_t q4 = static_cast<uint32_t>(q) / 4;
      for (int b = 0; b < 2; ++b) {
        any[l][b] = code_length(at(slots::kAny2, k * 16 + q4), b);
        self[l][b] = l ? code_length(at(slots::kSelf2, k * 16 + q4), b) : 0.f;
        for (uint32_t i = 0; i < slots::kIndex; ++i) {
          sig[l][i][b] = code_length(at(slots::kSig0, k * slots::kIndex + i), b);
          big[l][i][b] = code_length(at(slots::kBig0, k * slots::kIndex + i), b);
        }
      }
      float unary = 0;
      const int count = coefficient_count(l), top = last_group(count - 1);
      for (int g = 0; g <= top; ++g) {
        const Slot& s = at(slots::kLast2, (k * slots::kGroups + static_cast<uint32_t>(g)) * 8 + static_cast<uint32_t>(q) / 8);
        const float here = unary + (g < top ? code_length(s, 0) : 0.f) + static_cast<float>(kGroupBits[g]);
        for (int i = kGroupFirst[g]; i < std::min(count, kGroupFirst[g] + (1 << kGroupBits[g])); ++i) last[l][i] = here;
        unary += code_length(s, 1);
      }
    }
  }
};

KltEncoder::KltEncoder(const Model& model, int width, int height, int threads, EncoderTools tools)
    : state_(model, width, height, threads), tools_(tools) {
  for (int l = 0; l < kLevels; ++l) {
    const Grid g = state_.now.level[l].grid;
    target_[l] = Residual(g.width, g.height);
    gain_[l].resize(static_cast<size_t>(g.width) * g.height);
  }
}

FrameReport KltEncoder::encode(const Picture& source, int q, int key_q, bool key, bool scene_cut) {
  FrameReport report;
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
  FrameSyntax<BitEncoder>(coder, state_.now, state_.before, q, key).code();
  report.payload = coder.finish();
  report.payload.insert(report.payload.begin(), static_cast<uint8_t>(q | (key ? 0x40 : 0)));
  report.key = key;
  state_.reconstruct(q, key);
  return report;
}

bool KltEncoder::decide_motion(const Picture& source, int q, bool scene_cut) {
  FrameTokens& now = state_.now;
  const int w = now.blocks_wide, h = now.blocks_high;
  const Plane& luma = source.plane[0];
  const Plane& ref = state_.loop.plane[0];
  const int bit_cost = std::max(1, quantiser_step(q, 0) * 35 / (100 << kCoefBits));  // SAD of a bit
  const MotionField field = search_motion(luma, ref, state_.before.mv, 16 * bit_cost, state_.threads);

  if (scene_cut) {
    uint64_t moved = 0, anew = 0;
    for (int y = 0; y < h; ++y)
      for (int x = 0; x < w; ++x) {
        moved += field.sad[static_cast<size_t>(y) * w + x];
        anew += activity16(luma.row(y * 16) + x * 16, luma.stride);
      }
    if (moved > anew - anew / 8 && moved > static_cast<uint64_t>(w) * h * 256 * 4) return false;
  }

  auto region_sad = [&](int x, int y, int size, Mv mv, uint64_t limit) {
    uint16_t block[256];
    uint64_t sum = 0;
    for (int j = y; j < std::min(y + size, h) && sum < limit; ++j)
      for (int i = x; i < std::min(x + size, w); ++i) {
        compensate_luma(ref, i * 16, j * 16, mv, block, 16);
        sum += sad16(luma.row(j * 16) + i * 16, luma.stride, block, 16);
      }
    return sum;
  };

  struct Node {
    uint64_t cost, sad;
    Mv mv;
    bool split;
  };
  std::array<std::vector<Node>, kLevels> tree;
  for (int l = 0; l < kLevels; ++l) {
    const Grid g = now.level[l].grid;
    tree[l].resize(static_cast<size_t>(g.width) * g.height);
    parallel_for(g.height, state_.threads, [&, l](int ny) {
      for (int nx = 0; nx < g.width; ++nx) {
        Node& node = tree[l][static_cast<size_t>(ny) * g.width + nx];
        if (l == 0) {
          const size_t at = static_cast<size_t>(ny) * w + nx;
          const Mv left = nx > 0 ? field.mv[at - 1] : Mv{};
          const int bits = field.mv[at] == left ? 2 : 2 + mv_bits(field.mv[at].x - left.x, field.mv[at].y - left.y);
          node = {field.sad[at] + static_cast<uint64_t>(bits) * bit_cost, field.sad[at], field.mv[at], false};
          continue;
        }
        const Grid below = now.level[l - 1].grid;
        uint64_t parts = static_cast<uint64_t>(bit_cost);
        std::vector<Node> child;
        for (int i = 0; i < 4; ++i) {
          const int cx = nx * 2 + (i & 1), cy = ny * 2 + (i >> 1);
          if (cx >= below.width || cy >= below.height) continue;
          child.push_back(tree[l - 1][static_cast<size_t>(cy) * below.width + cx]);
          parts += child.back().cost;
        }
        node = {parts, 0, child[0].mv, true};
        if (!tools_.quadtree) continue;
        MergeList candidates;
        for (const Node& n : child) candidates.add(n.mv);
        for (int i = 0; i < candidates.count; ++i) {
          uint64_t sad = 0;
          const bool known = candidates.count == 1 && std::none_of(child.begin(), child.end(), [](const Node& n) { return n.split; });
          if (known)
            for (const Node& n : child) sad += n.sad;
          else
            sad = region_sad(nx << l, ny << l, 1 << l, candidates.mv[i], node.cost);
          const uint64_t cost = sad + 6 * static_cast<uint64_t>(bit_cost);
          if (cost < node.cost) node = {cost, sad, candidates.mv[i], false};
        }
      }
    });
  }

  // The chosen regions in coding order, now with their real candidates.
  auto settle = [&](auto&& self, int l, int nx, int ny) -> void {
    const int size = 1 << l, x = nx << l, y = ny << l;
    if (x >= w || y >= h) return;
    const Node& node = tree[l][static_cast<size_t>(ny) * now.level[l].grid.width + nx];
    if (l > 0 && node.split) {
      for (int i = 0; i < 4; ++i) self(self, l - 1, nx * 2 + (i & 1), ny * 2 + (i >> 1));
      return;
    }
    const MergeList list = merge_candidates(now, state_.before, x, y, size);
    Mv mv = node.mv;
    uint64_t best = node.sad + static_cast<uint64_t>(3 + mv_bits(mv.x - list.mv[0].x, mv.y - list.mv[0].y)) * bit_cost;
    for (int i = 0; i < list.count; ++i) {
      const uint64_t bits = static_cast<uint64_t>(1 + i) * bit_cost;
      const uint64_t sad = list.mv[i] == node.mv ? node.sad : region_sad(x, y, size, list.mv[i], best);
      if (sad + bits < best) best = sad + bits, mv = list.mv[i];
    }
    for (int j = y; j < std::min(y + size, h); ++j)
      for (int i = x; i < std::min(x + size, w); ++i) {
        now.mv[static_cast<size_t>(j) * w + i] = mv;
        now.depth[static_cast<size_t>(j) * w + i] = static_cast<uint8_t>(l);
      }
  };
  const Grid g = now.windows();
  for (int wy = 0; wy < g.height; ++wy)
    for (int wx = 0; wx < g.width; ++wx) settle(settle, kTop, wx, wy);
  return true;
}

void KltEncoder::choose_tokens(const Picture& source, int q, bool key) {
  FrameTokens& now = state_.now;
  const Costs costs(state_.mix, q, key);
  Residual& full = target_[0];
  for (int c = 0; c < 3; ++c)
    parallel_for(full.height[c], state_.threads, [&](int y) {
      subtract_rows(source.plane[c].row(y), state_.prediction.plane[c].row(y), full.width[c],
                    full.data[c].data() + static_cast<size_t>(y) * full.width[c]);
    });
  for (int l = 1; l < kLevels; ++l) halve(target_[l - 1], target_[l]);

  // Coarse to fine: what the coarser levels already describe is taken off the target first.
  Residual described;
  for (int l = kTop; l >= 0; --l) {
    const Grid g = now.level[l].grid;
    Residual next(g.width, g.height);
    if (l < kTop) {
      add_upsampled(described, next, state_.threads);
      for (int c = 0; c < 3; ++c)
        for (size_t i = 0; i < next.data[c].size(); ++i)
          target_[l].data[c][i] = static_cast<int16_t>(clamp(target_[l].data[c][i] - next.data[c][i], -kMaxSample, kMaxSample));
    }
    if (l == 0 || tools_.coarse_tokens) {
      parallel_for(g.height, state_.threads, [&](int y) {
        int16_t block[kBlockSamples];
        for (int x = 0; x < g.width; ++x) {
          const int n = y * g.width + x;
          target_[l].gather(x, y, block);
          gain_[l][n] = choose_token(l, n, q, key, costs, block);
          if (l > 0 && now.level[l].last[n] >= 0) {
            state_.inverse_token(l, n, q, key, block);
            next.add(x, y, block);
          }
        }
      });
    }
    described = std::move(next);
  }
  prune(q, key, costs);
}

// Quantises one token by rate and distortion; returns how much J falls against leaving it out.
float KltEncoder::choose_token(int l, int node, int q, bool key, const Costs& costs, const int16_t* samples) {
  FrameTokens& now = state_.now;
  TokenLevel& t = now.level[l];
  const int step = quantiser_step(q, l), count = coefficient_count(l);
  const float lambda = static_cast<float>(tools_.lambda) * static_cast<float>(step) * static_cast<float>(step);
  t.last[node] = -1;
  t.energy[node] = 0;
  // In quarter sample steps a block of this energy is not worth four bits.
  if (16.f * static_cast<float>(energy_of(samples, kBlockSamples)) < 4.f * lambda) return 0.f;

  int32_t coefficient[kBlockSamples];
  klt_forward(state_.model.basis[key ? 0 : 1][l], count, samples, coefficient);
  int16_t* v = now.values(l, node);
  std::fill_n(v, count, static_cast<int16_t>(0));
  float best = lambda * (costs.any[l][1] - costs.any[l][0] + costs.self[l][1]), walk = best, best_gain = 0.f;
  best = 0.f;
  int last = -1;
  for (int i = 0; i < count; ++i) {
    const int magnitude = std::abs(coefficient[i]);
    const uint32_t i72 = index72(i);
    const float zero_cost = lambda * costs.sig[l][i72][0];
    if (2 * magnitude < step) {  // rounds to zero: only its flag costs
      walk += zero_cost;
      continue;
    }
    int level = std::min((magnitude + step / 2) / step, kMaxLevel - 1);
    if (!tools_.rdoq) level = std::min((magnitude * 3 + step) / (3 * step), kMaxLevel - 1);
    if (level == 0) continue;
    // J of a level against zero: squared error and bits.
    auto price = [&](int m) {
      const float error = static_cast<float>(magnitude - dequantise(m, step));
      const float bits = costs.big[l][i72][m > 1] + 1.f + (m > 2 ? 1.5f * static_cast<float>(std::min(m - 1, 14)) : 0.5f * (m == 2));
      return error * error - static_cast<float>(magnitude) * static_cast<float>(magnitude) + lambda * bits;
    };
    float cost = price(level);
    if (tools_.rdoq && level > 1) {
      const float lower = price(level - 1);
      if (lower < cost) cost = lower, --level;
    }
    // As the last one it needs no significance flag.
    const float as_last = walk + cost + lambda * costs.last[l][i];
    const float with_flag = cost + lambda * costs.sig[l][i72][1];
    if (as_last < best) best = as_last, last = i, v[i] = static_cast<int16_t>(coefficient[i] < 0 ? -level : level);
    if (with_flag < zero_cost || !tools_.rdoq) {
      walk += with_flag;
      v[i] = static_cast<int16_t>(coefficient[i] < 0 ? -level : level);
    } else {
      walk += zero_cost;
      if (last != i) v[i] = 0;
      else v[i] = static_cast<int16_t>(coefficient[i] < 0 ? -level : level);
    }
  }
  best_gain = -best;
  if (last < 0) return 0.f;
  std::fill(v + last + 1, v + count, static_cast<int16_t>(0));
  now.measure(l, node);
  return best_gain;
}

// Sets the subtree flags and drops subtrees whose few tokens save less than the flags around them cost.
void KltEncoder::prune(int q, bool key, const Costs& costs) {
  FrameTokens& now = state_.now;
  (void)key;
  const float lambda = static_cast<float>(tools_.lambda) * static_cast<float>(quantiser_step(q, 0)) * static_cast<float>(quantiser_step(q, 0));
  std::array<std::vector<float>, kLevels> saved;
  for (int l = 0; l < kLevels; ++l) {
    TokenLevel& t = now.level[l];
    saved[l].assign(t.last.size(), 0.f);
    for (int y = 0; y < t.grid.height; ++y)
      for (int x = 0; x < t.grid.width; ++x) {
        const size_t n = static_cast<size_t>(y) * t.grid.width + x;
        t.any[n] = t.last[n] >= 0;
        const float scale = static_cast<float>(1 << (2 * l));
        saved[l][n] = t.last[n] >= 0 ? gain_[l][n] * scale : 0.f;
        if (l == 0) continue;
        const TokenLevel& below = now.level[l - 1];
        float sum = 0.f;
        bool some = false;
        for (int i = 0; i < 4; ++i) {
          const int cx = 2 * x + (i & 1), cy = 2 * y + (i >> 1);
          if (cx >= below.grid.width || cy >= below.grid.height) continue;
          const size_t c = static_cast<size_t>(cy) * below.grid.width + cx;
          if (below.any[c]) some = true, sum += saved[l - 1][c];
          else sum -= lambda * costs.any[l - 1][0];
        }
        if (t.last[n] >= 0) {
          saved[l][n] += std::max(0.f, sum);
          t.any[n] = 1;
        } else if (some) {
          sum -= lambda * (costs.any[l][1] - costs.any[l][0] + costs.self[l][0]);
          t.any[n] = sum > 0.f;
          saved[l][n] = sum;
        }
      }
  }
  // Below a dropped node everything is dropped.
  for (int l = kTop - 1; l >= 0; --l) {
    TokenLevel& t = now.level[l];
    const TokenLevel& up = now.level[l + 1];
    for (int y = 0; y < t.grid.height; ++y)
      for (int x = 0; x < t.grid.width; ++x) {
        if (up.any[static_cast<size_t>(y >> 1) * up.grid.width + (x >> 1)]) continue;
        const size_t n = static_cast<size_t>(y) * t.grid.width + x;
        t.any[n] = 0;
        t.last[n] = -1;
        t.energy[n] = 0;
      }
  }
}

}  // namespace gv
