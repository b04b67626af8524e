#include "core/klt_encoder.hpp"

#include <cmath>

namespace gv {
namespace {

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

// Mean over 2^level × 2^level samples of a region whose corner is the 16×16 region (x, y).
void average_region(const Residual& r, int x, int y, int level, int16_t* out) {
  for (int c = 0; c < 3; ++c) {
    const int n = c == 0 ? 16 : 8, f = 1 << level;
    for (int j = 0; j < n; ++j)
      for (int i = 0; i < n; ++i) {
        int sum = 0;
        for (int b = 0; b < f; ++b) {
          const int16_t* row = r.data[c].data() + static_cast<size_t>(y * n + j * f + b) * r.width[c] + x * n + i * f;
          for (int a = 0; a < f; ++a) sum += row[a];
        }
        *out++ = static_cast<int16_t>((sum + (1 << (2 * level - 1))) >> (2 * level));
      }
  }
}

// Subtracts the 16×16 region (x, y) of an expanded token.
void take_off(const Expanded& token, int level, int x, int y, int16_t* samples) {
  for (int c = 0; c < 3; ++c) {
    const int n = c == 0 ? 16 : 8, side = n << level;
    for (int j = 0; j < n; ++j, samples += n) {
      const int16_t* row = token.data[c].data() + static_cast<size_t>(y * n + j) * side + x * n;
      for (int i = 0; i < n; ++i) samples[i] = static_cast<int16_t>(clamp(samples[i] - row[i], -kMaxSample, kMaxSample));
    }
  }
}

// No tokens in a square of nodes at (x, y) of a window that starts at (x0, y0).
void forget(TokenLevel& t, int x0, int y0, int x, int y, int side) {
  for (int j = y0 + y; j < std::min(y0 + y + side, t.grid.height); ++j)
    for (int i = x0 + x; i < std::min(x0 + x + side, t.grid.width); ++i) {
      t.last[static_cast<size_t>(j) * t.grid.width + i] = -1;
      t.energy[static_cast<size_t>(j) * t.grid.width + i] = 0;
    }
}

// Bits of a non-zero magnitude and its sign; `big` holds the code lengths of "is 1" and "is more".
float magnitude_bits(const float* big, int m) {
  if (m == 1) return big[0] + 1.f;
  return big[1] + 1.5f + 1.5f * static_cast<float>(std::min(m - 2, 14));
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

template <class Costs>
static float token_bits(int l, const Costs& costs, const int16_t* v, int last) {
  float bits = costs.self[l][1] + costs.last[l][last];
  for (int i = 0; i <= last; ++i) {
    const uint32_t i72 = index72(i);
    if (i < last) bits += costs.sig[l][i72][v[i] != 0];
    if (v[i] != 0) bits += magnitude_bits(costs.big[l][i72], std::abs(v[i]));
  }
  return bits;
}

KltEncoder::KltEncoder(const Model& model, int width, int height, int threads, EncoderTools tools)
    : state_(model, width, height, threads), tools_(tools), target_(state_.now.blocks_wide, state_.now.blocks_high) {}

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
  const Costs costs(state_.mix, q, key);
  for (int c = 0; c < 3; ++c)
    parallel_for(target_.height[c], state_.threads, [&](int y) {
      subtract_rows(source.plane[c].row(y), state_.prediction.plane[c].row(y), target_.width[c],
                    target_.data[c].data() + static_cast<size_t>(y) * target_.width[c]);
    });
  const Grid g = state_.now.windows();
  parallel_for(g.width * g.height, state_.threads, [&](int i) { choose_window(i % g.width, i / g.width, q, key, costs); });
}

// The finest tokens of a region, as they would be coded.
struct KltEncoder::Window {
  std::vector<int16_t> values;   // 16×16 regions × 384
  std::vector<uint8_t> coded;
  std::vector<float> j;          // cost of each region: squared error and weighted bits
  Window() : values(256 * kBlockSamples), coded(256), j(256) {}
};

// Chooses the tokens of one window bottom up: every region of 32…256 samples compares what its parts cost with a token
// of its own, under which the finest tokens are chosen anew.
void KltEncoder::choose_window(int wx, int wy, int q, bool key, const Costs& costs) {
  FrameTokens& now = state_.now;
  constexpr int kSide = 1 << kTop;
  const int x0 = wx * kSide, y0 = wy * kSide;
  const int wide = std::min(kSide, now.blocks_wide - x0), high = std::min(kSide, now.blocks_high - y0);
  const float step = static_cast<float>(quantiser_step(q, 0)), lambda = static_cast<float>(tools_.lambda) * step * step;
  constexpr float kUnit = static_cast<float>(1 << (2 * kCoefBits));  // of a squared sample difference

  Window best, trial;
  auto finest = [&](Window& out, int x, int y, const int16_t* samples) {
    const size_t n = static_cast<size_t>(y) * kSide + x;
    const float gain = choose_token(0, q, key, costs, samples, out.values.data() + n * kBlockSamples);
    out.coded[n] = gain > 0.f;
    out.j[n] = kUnit * static_cast<float>(energy_of(samples, kBlockSamples)) - gain + lambda * costs.any[0][0];
  };
  for (int y = 0; y < high; ++y)
    for (int x = 0; x < wide; ++x) {
      int16_t samples[kBlockSamples];
      target_.gather(x0 + x, y0 + y, samples);
      finest(best, x, y, samples);
    }

  // J of the regions of the level below, and whether anything in them is coded.
  std::vector<float> cost(best.j), next(256);
  std::vector<uint8_t> any(best.coded), next_any(256);
  for (int l = 0; l < kLevels; ++l) {
    TokenLevel& t = now.level[l];
    const int n = kSide >> l, size = 1 << l;
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) {
        if (x * size >= wide || y * size >= high) continue;
        const int node = ((wy * n) + y) * t.grid.width + wx * n + x;
        t.last[node] = -1;
        t.energy[node] = 0;
        if (l == 0) continue;
        float parts = 0.f, empty = 0.f;
        bool some = false;
        for (int i = 0; i < 4; ++i) {
          const int cx = 2 * x + (i & 1), cy = 2 * y + (i >> 1);
          if (cx * size / 2 >= wide || cy * size / 2 >= high) continue;
          parts += cost[static_cast<size_t>(cy) * 2 * n + cx];
          some = some || any[static_cast<size_t>(cy) * 2 * n + cx];
        }
        const float flags = lambda * (costs.any[l][1] + costs.self[l][0]);
        float choice = some ? parts + flags : parts - 4 * lambda * costs.any[l - 1][0] + lambda * costs.any[l][0];
        bool coded = some;
        const int right = std::min((x + 1) * size, wide), low = std::min((y + 1) * size, high);
        if (some) {  // dropping the whole subtree
          empty = lambda * costs.any[l][0];
          for (int by = y * size; by < low; ++by)
            for (int bx = x * size; bx < right; ++bx) {
              int16_t samples[kBlockSamples];
              target_.gather(x0 + bx, y0 + by, samples);
              empty += kUnit * static_cast<float>(energy_of(samples, kBlockSamples));
            }
          if (empty < choice) {
            choice = empty;
            coded = false;
          }
        }
        if (some && tools_.coarse_tokens && (x + 1) * size <= wide && (y + 1) * size <= high) {
          int16_t samples[kBlockSamples];
          average_region(target_, x0 + x * size, y0 + y * size, l, samples);
          int16_t* v = now.values(l, node);
          if (choose_token(l, q, key, costs, samples, v) > 0.f) {
            now.measure(l, node);
            int16_t block[kBlockSamples];
            state_.inverse_token(l, node, q, key, block);
            const Expanded token(block, l);
            float with = lambda * (costs.any[l][1] + token_bits(l, costs, v, t.last[node]));
            for (int by = y * size; by < low && with < choice; ++by)
              for (int bx = x * size; bx < right; ++bx) {
                target_.gather(x0 + bx, y0 + by, samples);
                take_off(token, l, bx - x * size, by - y * size, samples);
                finest(trial, bx, by, samples);
                with += trial.j[static_cast<size_t>(by) * kSide + bx];
              }
            if (with < choice) {
              choice = with;
              coded = true;
              for (int by = y * size; by < low; ++by)
                for (int bx = x * size; bx < right; ++bx) {
                  const size_t b = static_cast<size_t>(by) * kSide + bx;
                  best.coded[b] = trial.coded[b];
                  std::copy_n(trial.values.data() + b * kBlockSamples, kBlockSamples, best.values.data() + b * kBlockSamples);
                }
              for (int k = 1; k < l; ++k) forget(now.level[k], (wx * kSide) >> k, (wy * kSide) >> k, x << (l - k), y << (l - k), 1 << (l - k));
            } else {
              t.last[node] = -1;
              t.energy[node] = 0;
            }
          }
        }
        if (!coded) {
          for (int by = y * size; by < low; ++by)
            for (int bx = x * size; bx < right; ++bx) best.coded[static_cast<size_t>(by) * kSide + bx] = 0;
          for (int k = 1; k <= l; ++k) forget(now.level[k], (wx * kSide) >> k, (wy * kSide) >> k, x << (l - k), y << (l - k), 1 << (l - k));
        }
        next[static_cast<size_t>(y) * n + x] = choice;
        next_any[static_cast<size_t>(y) * n + x] = coded;
      }
    if (l > 0) {
      cost.swap(next);
      any.swap(next_any);
    }
  }

  for (int y = 0; y < high; ++y)
    for (int x = 0; x < wide; ++x) {
      const size_t b = static_cast<size_t>(y) * kSide + x;
      const int node = (y0 + y) * now.blocks_wide + x0 + x;
      if (!best.coded[b]) continue;
      std::copy_n(best.values.data() + b * kBlockSamples, kBlockSamples, now.values(0, node));
      now.measure(0, node);
    }
  for (int l = 0; l < kLevels; ++l) {
    TokenLevel& t = now.level[l];
    const int n = kSide >> l;
    for (int y = wy * n; y < std::min((wy + 1) * n, t.grid.height); ++y)
      for (int x = wx * n; x < std::min((wx + 1) * n, t.grid.width); ++x) {
        const size_t at = static_cast<size_t>(y) * t.grid.width + x;
        t.any[at] = t.last[at] >= 0;
        if (l == 0) continue;
        const TokenLevel& below = now.level[l - 1];
        for (int i = 0; i < 4; ++i) {
          const int cx = 2 * x + (i & 1), cy = 2 * y + (i >> 1);
          if (cx < below.grid.width && cy < below.grid.height)
            t.any[at] = t.any[at] || below.any[static_cast<size_t>(cy) * below.grid.width + cx];
        }
      }
  }
}

float KltEncoder::choose_token(int l, int q, bool key, const Costs& costs, const int16_t* samples, int16_t* v) const {
  const int step = quantiser_step(q, l), count = coefficient_count(l);
  const float lambda = static_cast<float>(tools_.lambda) * static_cast<float>(step) * static_cast<float>(step);
  // In quarter sample steps a block of this energy is not worth four bits.
  if (16.f * static_cast<float>(energy_of(samples, kBlockSamples)) < 4.f * lambda) return 0.f;

  int32_t coefficient[kBlockSamples];
  klt_forward(state_.model.basis[key ? 0 : 1][l], count, samples, coefficient);
  std::fill_n(v, count, static_cast<int16_t>(0));
  float best = 0.f, walk = lambda * (costs.any[l][1] - costs.any[l][0] + costs.self[l][1]);
  int last = -1;
  for (int i = 0; i < count; ++i) {
    const int magnitude = std::abs(coefficient[i]);
    const uint32_t i72 = index72(i);
    const float zero_cost = lambda * costs.sig[l][i72][0];
    int level = std::min((magnitude + step / 2) / step, kMaxLevel - 1);
    if (!tools_.rdoq) level = std::min((magnitude * 3 + step) / (3 * step), kMaxLevel - 1);
    if (level == 0) {
      walk += zero_cost;
      continue;
    }
    // J of a level against zero: squared error and bits.
    auto price = [&](int m) {
      const float error = static_cast<float>(magnitude - dequantise(m, step)), whole = static_cast<float>(magnitude);
      return error * error - whole * whole + lambda * magnitude_bits(costs.big[l][i72], m);
    };
    float cost = price(level);
    if (tools_.rdoq && level > 1) {
      const float lower = price(level - 1);
      if (lower < cost) cost = lower, --level;
    }
    // As the last one it needs no significance flag.
    const float as_last = walk + cost + lambda * costs.last[l][i];
    const float with_flag = cost + lambda * costs.sig[l][i72][1];
    const bool ends = as_last < best, keep = with_flag < zero_cost || !tools_.rdoq;
    if (ends) best = as_last, last = i;
    if (ends || keep) v[i] = static_cast<int16_t>(coefficient[i] < 0 ? -level : level);
    walk += keep ? with_flag : zero_cost;
  }
  std::fill(v + last + 1, v + count, static_cast<int16_t>(0));
  return -best;
}

}  // namespace gv
