// Geometry and decoded integers of one frame of the KLT structure layer.
//
// A frame is padded to a multiple of 16 and cut into windows of 256×256. A window's tokens form a
// pyramid: level 4 is the window, level 0 its 16×16 regions. A token of level l describes its
// region averaged down by 2^l to 16×16 luma and 2 × 8×8 chroma samples. Regions wholly outside the
// padded frame do not exist.
#pragma once

#include <array>

#include "klt/motion.hpp"
#include "klt/transform.hpp"

namespace gv {

constexpr int kLevels = 5;
constexpr int kTop = kLevels - 1;
constexpr int kOldest = 15;
constexpr int kCoarseCount = 64;  // coefficients of a token above the finest level
inline int coefficient_count(int level) { return level == 0 ? kBlockSamples : kCoarseCount; }

// Runs of coefficient indices, for contexts: 0, 1-2, 3-5, 6-11, 12-23, 24-47, 48-119, 120-383.
constexpr int kBands = 8;
constexpr int kBandFirst[kBands + 1] = {0, 1, 3, 6, 12, 24, 48, 120, kBlockSamples};

struct Grid {
  int width = 0, height = 0;  // nodes
};

struct TokenLevel {
  Grid grid;
  std::vector<int16_t> value;   // nodes × coefficient_count; valid up to `last`
  std::vector<int16_t> last;    // index of the last non-zero value, -1 without any
  std::vector<uint8_t> any;     // the subtree (this token and all below) has a non-zero value
  std::vector<uint8_t> energy;  // min(255, sum of |value|)
  std::vector<uint32_t> band;   // nodes × kBands: sum of |value|; with a refiner only
};

struct FrameTokens {
  int blocks_wide = 0, blocks_high = 0;
  std::array<TokenLevel, kLevels> level;
  std::vector<Motion> motion;  // of each 16×16 block; zero in key frames
  // The golden frame is the second one that a GOP's inter frames may predict from: the key frame,
  // or a later one that took its place.
  bool has_golden = false;       // of the GOP
  bool uses_golden = false;      // of the frame
  bool becomes_golden = false;   // for the frames after it
  int golden_age = 0;            // how many frames ago it was, at most kOldest; 0 in key frames
  std::vector<uint8_t> depth;    // quadtree level of the motion node that the block belongs to
  std::vector<uint8_t> merged;   // that node took its vector from a candidate
  std::vector<uint32_t> memory;  // blocks × kBands: leaky mean of what finest tokens held, quarter
                                 // samples; with a refiner only
  int q = 0;

  FrameTokens() = default;
  FrameTokens(int width, int height);  // of the picture, in samples

  int value_at(int l, int node, int i) const {
    const TokenLevel& t = level[l];
    return i > t.last[node] ? 0 : t.value[static_cast<size_t>(node) * coefficient_count(l) + i];
  }
  int16_t* values(int l, int node) {
    return level[l].value.data() + static_cast<size_t>(node) * coefficient_count(l);
  }
  const int16_t* values(int l, int node) const {
    return level[l].value.data() + static_cast<size_t>(node) * coefficient_count(l);
  }
  // Sets last and energy from the values of a token.
  void measure(int l, int node);
  // No token, no motion: the state before a key frame.
  void clear();
  Grid windows() const { return level[kTop].grid; }
};

// The node at level l that holds the middle of 16×16 block (x, y) moved by mv; `g` is that level's
// grid.
inline int node_at(Grid g, int l, int x, int y, Mv mv) {
  const int px = clamp((x * 64 + 32 + mv.x) >> (6 + l), 0, g.width - 1),
            py = clamp((y * 64 + 32 + mv.y) >> (6 + l), 0, g.height - 1);
  return py * g.width + px;
}

// What a vector is coded by: as a difference to the first; the second is for contexts.
struct Nearest {
  Mv first, second;
};

// Candidates for the motion of a quadtree node, in order and without repeats: left, above, same
// place in the previous frame, above left, zero. `x`, `y`, `size` in 16×16 blocks. Without `golden`
// there is prediction from the last frame only.
struct MergeList {
  Motion motion[5];
  int count = 0;
  void add(const Motion& m) {
    for (int i = 0; i < count; ++i)
      if (motion[i] == m) return;
    motion[count++] = m;
  }
  // The vectors (Motion::last or Motion::golden) of the first two candidates predicted from that
  // frame; a missing second is the first, a missing first zero.
  Nearest nearest(Mv Motion::* vector, uint8_t from) const {
    Nearest found;
    int n = 0;
    for (int i = 0; i < count && n < 2; ++i)
      if (motion[i].from & from) (n++ == 0 ? found.first : found.second) = motion[i].*vector;
    if (n < 2) found.second = found.first;
    return found;
  }
};
// The candidate of the previous frame: its motion in the middle of the node.
Motion past_motion(const FrameTokens& before, int x, int y, int size, bool golden);
MergeList merge_candidates(const FrameTokens& now, const FrameTokens& before, int x, int y,
                           int size, bool golden);

}  // namespace gv
