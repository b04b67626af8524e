#include "klt/tokens.hpp"

namespace gv {

FrameTokens::FrameTokens(int width, int height)
    : blocks_wide(ceil_div(width, kBlock)), blocks_high(ceil_div(height, kBlock)) {
  for (int l = 0; l < kLevels; ++l) {
    TokenLevel& t = level[l];
    t.grid = {ceil_div(blocks_wide, 1 << l), ceil_div(blocks_high, 1 << l)};
    const size_t nodes = static_cast<size_t>(t.grid.width) * t.grid.height;
    t.value.resize(nodes * coefficient_count(l));
    t.last.resize(nodes);
    t.any.resize(nodes);
    t.energy.resize(nodes);
    t.band.resize(nodes * kBands);
  }
  const size_t blocks = static_cast<size_t>(blocks_wide) * blocks_high;
  motion.resize(blocks);
  depth.resize(blocks);
  merged.resize(blocks);
  memory.resize(blocks * kBands);
  clear();
}

void FrameTokens::clear() {
  has_golden = uses_golden = becomes_golden = false;
  golden_age = 0;
  for (TokenLevel& t : level) {
    std::fill(t.last.begin(), t.last.end(), static_cast<int16_t>(-1));
    std::fill(t.any.begin(), t.any.end(), static_cast<uint8_t>(0));
    std::fill(t.energy.begin(), t.energy.end(), static_cast<uint8_t>(0));
    std::fill(t.band.begin(), t.band.end(), 0u);
  }
  std::fill(motion.begin(), motion.end(), Motion{});
  std::fill(depth.begin(), depth.end(), static_cast<uint8_t>(kTop));
  std::fill(merged.begin(), merged.end(), static_cast<uint8_t>(1));
  std::fill(memory.begin(), memory.end(), 0u);
}

void FrameTokens::measure(int l, int node) {
  TokenLevel& t = level[l];
  const int16_t* v = values(l, node);
  int last = -1, energy = 0;
  for (int i = 0; i < coefficient_count(l); ++i) {
    if (v[i] == 0) continue;
    last = i;
    energy = std::min(255, energy + std::abs(v[i]));
  }
  t.last[node] = static_cast<int16_t>(last);
  t.energy[node] = static_cast<uint8_t>(energy);
}

Motion past_motion(const FrameTokens& before, int x, int y, int size, bool golden) {
  const int w = before.blocks_wide, h = before.blocks_high;
  const int low = std::min(y + size, h) - 1, right = std::min(x + size, w) - 1;
  const Motion& past = before.motion[static_cast<size_t>((y + low) / 2) * w + (x + right) / 2];
  return golden ? past : Motion{past.last, {}, kFromLast};
}

MergeList merge_candidates(const FrameTokens& now, const FrameTokens& before, int x, int y,
                           int size, bool golden) {
  MergeList list;
  const int w = now.blocks_wide, h = now.blocks_high;
  const int low = std::min(y + size, h) - 1, right = std::min(x + size, w) - 1;
  if (x > 0) list.add(now.motion[static_cast<size_t>(low) * w + x - 1]);
  if (y > 0) list.add(now.motion[static_cast<size_t>(y - 1) * w + right]);
  list.add(past_motion(before, x, y, size, golden));
  if (x > 0 && y > 0) list.add(now.motion[static_cast<size_t>(y - 1) * w + x - 1]);
  list.add({});
  return list;
}

}  // namespace gv
