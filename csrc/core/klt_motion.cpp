// The encoder's motion decisions: search, quadtree by rate and distortion, merging.
#include <cmath>

#include "core/klt_encoder.hpp"

namespace gv {
namespace {

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

bool KltEncoder::decide_motion(const Picture& source, int q, bool scene_cut) {
  FrameTokens& now = state_.now;
  const int w = now.blocks_wide, h = now.blocks_high;
  const Plane& luma = source.plane[0];
  const Plane& ref = state_.loop.plane[0];
  const int bit_cost = std::max(1, quantiser_step(q, 0) * 35 / (100 << kCoefBits));  // SAD of a bit
  // Squared errors weigh `weight_`, so absolute ones weigh its root (in 1/256).
  std::vector<uint64_t> root(weight_.size());
  std::vector<int> search_lambda(weight_.size());
  for (size_t b = 0; b < root.size(); ++b) {
    root[b] = static_cast<uint64_t>(std::lround(256 * std::sqrt(weight_[b])));
    search_lambda[b] = static_cast<int>(16 * 256 * static_cast<uint64_t>(bit_cost) / root[b]);
  }
  const MotionField field = search_motion(luma, ref, state_.before.mv, search_lambda, tools_.fractions, state_.threads);

  if (scene_cut) {
    uint64_t moved = 0, anew = 0;
    for (int y = 0; y < h; ++y)
      for (int x = 0; x < w; ++x) {
        moved += field.sad[static_cast<size_t>(y) * w + x];
        anew += activity16(luma.row(y * 16) + x * 16, luma.stride);
      }
    if (moved > anew - anew / 8 && moved > static_cast<uint64_t>(w) * h * 256 * 4) return false;
  }

  // From here on SAD is weighted.
  auto region_sad = [&](int x, int y, int size, Mv mv, uint64_t limit) {
    uint64_t sum = 0;
    for (int j = y; j < std::min(y + size, h) && sum < limit; ++j)
      for (int i = x; i < std::min(x + size, w); ++i)
        sum += sad_moved(luma.row(j * 16) + i * 16, luma.stride, ref, i * 16, j * 16, mv) * root[static_cast<size_t>(j) * w + i] >> 8;
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
          const uint64_t sad = field.sad[at] * root[at] >> 8;
          node = {sad + static_cast<uint64_t>(bits) * bit_cost, sad, field.mv[at], false};
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
    for (int i = 0; i < list.count && tools_.merge; ++i) {
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

}  // namespace gv
