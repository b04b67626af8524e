// The encoder's motion decisions: search, quadtree by rate and distortion, merging.
#include <cmath>

#include "common/pool.hpp"
#include "klt/encoder.hpp"

namespace gv {
namespace {

constexpr int kFromBits = 3;  // of naming the golden frame

// SATD of a block against its mean: what coding it anew would leave.
uint32_t activity16(const uint16_t* a, int stride) {
  uint32_t sum = 0;
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 16; ++x) sum += a[y * stride + x];
  uint16_t mean[16];
  std::fill_n(mean, 16, static_cast<uint16_t>((sum + 128) >> 8));
  return satd16(a, stride, mean, 0);
}

// A vector of block (x, y) followed by that of the block it points at.
Mv further(Mv first, const std::vector<Mv>& then, int x, int y, int width, int height) {
  const Mv second = then[static_cast<size_t>(node_at({width, height}, 0, x, y, first))];
  return {static_cast<int16_t>(clamp(first.x + second.x, -kMvLimit, kMvLimit)),
          static_cast<int16_t>(clamp(first.y + second.y, -kMvLimit, kMvLimit))};
}

}  // namespace

std::vector<Mv> KltEncoder::golden_seeds(const MotionField& last) const {
  std::vector<Mv> seeds(last.mv.size());
  for (int y = 0; y < last.height; ++y)
    for (int x = 0; x < last.width; ++x) {
      const size_t at = static_cast<size_t>(y) * last.width + x;
      seeds[at] = further(last.mv[at], to_golden_, x, y, last.width, last.height);
    }
  return seeds;
}

// Brings to_golden_ up to the frame that was coded.
void KltEncoder::follow_golden() {
  const FrameTokens& now = state_.now;
  if (!now.has_golden) return;
  if (now.becomes_golden) {
    to_golden_.assign(now.motion.size(), Mv{});
    return;
  }
  std::vector<Mv> next(now.motion.size());
  for (int y = 0; y < now.blocks_high; ++y)
    for (int x = 0; x < now.blocks_wide; ++x) {
      const size_t at = static_cast<size_t>(y) * now.blocks_wide + x;
      const Motion& m = now.motion[at];
      next[at] = m.from & kFromGolden
                     ? m.golden
                     : further(m.last, to_golden_, x, y, now.blocks_wide, now.blocks_high);
    }
  to_golden_.swap(next);
}

bool KltEncoder::decide_motion(const Picture& source, int q, bool scene_cut) {
  FrameTokens& now = state_.now;
  const int w = now.blocks_wide, h = now.blocks_high;
  const Plane& luma = source.plane[0];
  const Plane& ref = state_.loop.plane[0];
  const bool second = now.golden_age > 1;
  const Plane& golden = second ? state_.golden->plane[0] : ref;
  const int bit_cost =
      std::max(1, quantiser_step(q, 0) * 17 / (100 << kCoefBits));  // SATD of a bit
  // Squared errors weigh `weight_`, so absolute ones weigh its root (in 1/256).
  std::vector<uint64_t> root(weight_.size());
  std::vector<int> search_lambda(weight_.size());
  for (size_t b = 0; b < root.size(); ++b) {
    root[b] = static_cast<uint64_t>(std::lround(256 * std::sqrt(weight_[b])));
    search_lambda[b] = static_cast<int>(16 * 256 * static_cast<uint64_t>(bit_cost) / root[b]);
  }
  std::vector<Mv> seeds;
  for (const Motion& m : state_.before.motion) seeds.push_back(m.last);
  const int finest = tools_.fractions ? 1 : 4;
  const MotionField field = search_motion(luma, ref, seeds, search_lambda, finest, state_.threads);

  if (scene_cut) {
    uint64_t moved = 0, anew = 0;
    for (int y = 0; y < h; ++y)
      for (int x = 0; x < w; ++x) {
        moved += field.satd[static_cast<size_t>(y) * w + x];
        anew += activity16(luma.row(y * 16) + x * 16, luma.stride);
      }
    if (moved > anew - anew / 8 && moved > static_cast<uint64_t>(w) * h * 256 * 4) return false;
  }

  MotionField other;
  if (second)
    other = search_motion(luma, golden, golden_seeds(field), search_lambda, finest, state_.threads,
                          true);

  // From here on SATD is weighted.
  auto region_satd = [&](int x, int y, int size, const Motion& m, uint64_t limit) {
    uint64_t sum = 0;
    for (int j = y; j < std::min(y + size, h) && sum < limit; ++j)
      for (int i = x; i < std::min(x + size, w); ++i)
        sum += satd_moved(luma.row(j * 16) + i * 16, luma.stride, ref, golden, i * 16, j * 16, m) *
                   root[static_cast<size_t>(j) * w + i] >>
               8;
    return sum;
  };

  struct Node {
    uint64_t cost, satd;
    Motion motion;
    bool split, golden;  // golden: the golden frame is used somewhere
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
          auto bits = [&](const MotionField& f) {
            const Mv left = nx > 0 ? f.mv[at - 1] : Mv{};
            return f.mv[at] == left ? 0 : mv_bits(f.mv[at].x - left.x, f.mv[at].y - left.y);
          };
          auto consider = [&](const Motion& m, uint64_t raw_satd, int spent) {
            const uint64_t satd = raw_satd * root[at] >> 8,
                           cost = satd + static_cast<uint64_t>(spent) * bit_cost;
            if (cost < node.cost) node = {cost, satd, m, false, m.from != kFromLast};
          };
          node.cost = UINT64_MAX;
          consider({field.mv[at], {}, kFromLast}, field.satd[at], 2 + bits(field));
          if (second) {
            consider({{}, other.mv[at], kFromGolden}, other.satd[at], 2 + kFromBits + bits(other));
            const Motion both{field.mv[at], other.mv[at], kFromBoth};
            consider(both,
                     satd_moved(luma.row(ny * 16) + nx * 16, luma.stride, ref, golden, nx * 16,
                                ny * 16, both),
                     2 + kFromBits + bits(field) + bits(other));
          }
          continue;
        }
        const Grid below = now.level[l - 1].grid;
        uint64_t parts = static_cast<uint64_t>(bit_cost);
        bool golden_below = false;
        std::vector<Node> child;
        for (int i = 0; i < 4; ++i) {
          const int cx = nx * 2 + (i & 1), cy = ny * 2 + (i >> 1);
          if (cx >= below.width || cy >= below.height) continue;
          child.push_back(tree[l - 1][static_cast<size_t>(cy) * below.width + cx]);
          parts += child.back().cost;
          golden_below = golden_below || child.back().golden;
        }
        node = {parts, 0, child[0].motion, true, golden_below};
        if (!tools_.quadtree) continue;
        MergeList candidates;
        for (const Node& n : child) candidates.add(n.motion);
        for (int i = 0; i < candidates.count; ++i) {
          uint64_t satd = 0;
          const bool known =
              candidates.count == 1 &&
              std::none_of(child.begin(), child.end(), [](const Node& n) { return n.split; });
          if (known)
            for (const Node& n : child) satd += n.satd;
          else satd = region_satd(nx << l, ny << l, 1 << l, candidates.motion[i], node.cost);
          const uint64_t cost = satd + 6 * static_cast<uint64_t>(bit_cost);
          if (cost < node.cost)
            node = {cost, satd, candidates.motion[i], false,
                    candidates.motion[i].from != kFromLast};
        }
      }
    });
  }

  // The chosen regions in coding order, now with their real candidates.
  now.uses_golden =
      std::any_of(tree[kTop].begin(), tree[kTop].end(), [](const Node& n) { return n.golden; });
  auto settle = [&](auto&& self, int l, int nx, int ny) -> void {
    const int size = 1 << l, x = nx << l, y = ny << l;
    if (x >= w || y >= h) return;
    const Node& node = tree[l][static_cast<size_t>(ny) * now.level[l].grid.width + nx];
    if (l > 0 && node.split) {
      for (int i = 0; i < 4; ++i) self(self, l - 1, nx * 2 + (i & 1), ny * 2 + (i >> 1));
      return;
    }
    const MergeList list = merge_candidates(now, state_.before, x, y, size, now.uses_golden);
    Motion motion = node.motion;
    int bits = 3;
    const Mv last = list.nearest(&Motion::last, kFromLast).first,
             gold = list.nearest(&Motion::golden, kFromGolden).first;
    if (motion.from & kFromLast) bits += mv_bits(motion.last.x - last.x, motion.last.y - last.y);
    if (motion.from & kFromGolden)
      bits += kFromBits + mv_bits(motion.golden.x - gold.x, motion.golden.y - gold.y);
    uint64_t best = node.satd + static_cast<uint64_t>(bits) * bit_cost;
    for (int i = 0; i < list.count && tools_.merge; ++i) {
      const uint64_t index_bits = static_cast<uint64_t>(1 + i) * bit_cost;
      const uint64_t satd =
          list.motion[i] == node.motion ? node.satd : region_satd(x, y, size, list.motion[i], best);
      if (satd + index_bits < best) best = satd + index_bits, motion = list.motion[i];
    }
    for (int j = y; j < std::min(y + size, h); ++j)
      for (int i = x; i < std::min(x + size, w); ++i) {
        now.motion[static_cast<size_t>(j) * w + i] = motion;
        now.depth[static_cast<size_t>(j) * w + i] = static_cast<uint8_t>(l);
      }
  };
  const Grid g = now.windows();
  for (int wy = 0; wy < g.height; ++wy)
    for (int wx = 0; wx < g.width; ++wx) settle(settle, kTop, wx, wy);
  return true;
}

}  // namespace gv
