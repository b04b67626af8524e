// The tree of motion steps of a window, and the order in which its values are coded.
//
// A window is 256×256 luma samples. Node 1 is the whole window, nodes 2k and 2k + 1 are the halves
// of node k: left and right of a square, top and bottom of what is taller than wide. Nodes 16…31,
// the leaves, are 64×64 samples; nodes 4k…4k + 3 are the quarters of leaf k. The coded nodes are
// 1…31. Its step (dx, dy) is what its motion adds to that of the node around it; a leaf carries the
// steps of its quarters too, and where its samples come from (`Source`).
//
// A frame has `levels` of a window: level l says that nodes 1…2^l - 1 are coded, all other steps
// are zero. Level 0 is a copy.
#pragma once

#include "common/basics.hpp"

namespace gv::motion_tree {

constexpr int kWindow = 256, kCell = 4, kWindowCells = kWindow / kCell;
constexpr int kCodedNodes = 31, kLevels = 5;
constexpr int kFirstLeaf = 16, kLeaves = 16, kQuarters = 4;
constexpr int kFirstQuarter = kFirstLeaf * kQuarters;
// Values of a leaf: source, step, steps of four quarters.
constexpr int kLeafValues = 3 + 2 * kQuarters;
constexpr int kInnerValues = 2 * (kFirstLeaf - 1);
constexpr int kValues = kInnerValues + kLeaves * kLeafValues;
// Largest magnitude of a value.
constexpr int kLargest = 127;
// A step of one is so many quarter samples.
constexpr int kUnit = 2;

// Where a leaf's samples come from: by its steps from the near reference frame, from the mean of
// both, where the motion to the far one is scaled by time, or by its steps from the far one.
enum Source : int16_t { kNear = 0, kMean = 1, kFar = 2 };

struct Rectangle {
  int top = 0, left = 0, height = 0, width = 0;
};

// The region of node 1…127 in a window of `side`² samples or cells.
inline Rectangle rectangle(int node, int side) {
  Rectangle r{0, 0, side, side};
  int bit = 0;
  while (node >> (bit + 1)) ++bit;
  while (bit-- > 0) {
    const int second = node >> bit & 1;
    if (r.width >= r.height) r.width /= 2, r.left += second * r.width;
    else r.height /= 2, r.top += second * r.height;
  }
  return r;
}

// Where the values of node 1…31 begin.
inline int first_value(int node) {
  return node < kFirstLeaf ? 2 * (node - 1) : kInnerValues + (node - kFirstLeaf) * kLeafValues;
}
inline int step_value(int node) { return first_value(node) + (node >= kFirstLeaf); }

// Values of the windows in coding order: those of level `level`, without sources where a frame has
// one reference.
inline int value_count(int level, bool sources) {
  if (level < kLevels) return 2 * ((1 << level) - 1);
  return kValues - (sources ? 0 : kLeaves);
}

struct Vector {
  int x = 0, y = 0;  // quarter samples
  bool operator==(const Vector& o) const { return x == o.x && y == o.y; }
};

// A motion vector over `from` frames as one over `to` frames: in whole steps, halves away from
// zero.
inline int scaled(int v, int from, int to) {
  const int64_t product = static_cast<int64_t>(v / kUnit) * to;
  const int64_t size = (2 * std::abs(product) + std::abs(from)) / (2 * std::abs(from));
  return static_cast<int>((product < 0) != (from < 0) ? -size : size) * kUnit;
}
inline Vector scaled(Vector v, int from, int to) {
  return {scaled(v.x, from, to), scaled(v.y, from, to)};
}

// Frames are shown at times; those of the reference frames less that of the frame itself. `far` 0:
// there is none.
struct Times {
  int near = -1, far = 0;
};

// What a quarter of a leaf does.
struct QuarterMotion {
  Source source = kNear;
  Vector near, far;
};

// Motion of the 64 quarters (nodes 64…127) by the values of a window.
inline void quarter_motion(const int16_t* values, Times times, QuarterMotion* out) {
  Vector at[2 * kFirstLeaf];
  for (int k = 1; k < kFirstLeaf; ++k) {
    const int16_t* step = values + step_value(k);
    const Vector around = k > 1 ? at[k / 2] : Vector{};
    at[k] = {around.x + kUnit * step[0], around.y + kUnit * step[1]};
  }
  for (int k = kFirstLeaf; k < 2 * kFirstLeaf; ++k) {
    const int16_t* value = values + first_value(k);
    const Source source = times.far == 0 ? kNear : static_cast<Source>(value[0]);
    const Vector around = source == kFar ? scaled(at[k / 2], times.near, times.far) : at[k / 2];
    for (int q = 0; q < kQuarters; ++q) {
      const int16_t* step = value + 3 + 2 * q;
      const Vector v{around.x + kUnit * (value[1] + step[0]),
                     around.y + kUnit * (value[2] + step[1])};
      QuarterMotion& motion = out[(k - kFirstLeaf) * kQuarters + q];
      motion.source = source;
      motion.near = source == kFar ? Vector{} : v;
      motion.far = source == kFar    ? v
                   : source == kMean ? scaled(v, times.near, times.far)
                                     : Vector{};
    }
  }
}

}  // namespace gv::motion_tree
