#include "motion_tree/contexts.hpp"

#include <array>

namespace gv::motion_tree {
namespace {

// Which values a value has to do with, within a window; -1 = none.
struct Place {
  int kind = 0;  // 0…3: nodes by depth, 4: leaf, 5: quarter, 6: source
  int axis = 0;  // 1: dy
  int side = 0;  // of quarters 0…3, of others 0 or 1: which part of the node around it
  int node = 1;
  int parent[2] = {-1, -1};  // same axis, other axis
  int back[kBack];           // as in `Contexts`, without the windows beside
};

void link(Place& p, int at, int value) { p.back[at] = value; }

Place step_place(int node, int axis) {
  Place p;
  std::fill_n(p.back, kBack, -1);
  p.node = node, p.axis = axis, p.side = node > 1 ? node & 1 : 0;
  while (node >> (p.kind + 1)) ++p.kind;
  const int other = 1 - axis;
  if (node > 1) {
    const int parent = step_value(node / 2);
    p.parent[0] = parent + axis, p.parent[1] = parent + other;
    if (node > 3) link(p, 2, step_value(node / 4) + axis);
  }
  if (node & 1 && node > 1) {
    link(p, 3, step_value(node - 1) + axis);
    link(p, 9, step_value(node - 1) + other);
  }
  if (node > 3 && (node & (node - 1)) > 1) link(p, 4, step_value(node - 2) + axis);
  if (axis) link(p, 5, step_value(node));
  if (node >= kFirstLeaf) link(p, 6, first_value(node));
  return p;
}

Place quarter_place(int leaf, int quarter, int axis) {
  Place p;
  std::fill_n(p.back, kBack, -1);
  p.kind = 5, p.axis = axis, p.side = quarter, p.node = leaf;
  const int own = step_value(leaf) + 2 + 2 * quarter;
  p.parent[0] = step_value(leaf) + axis, p.parent[1] = step_value(leaf) + 1 - axis;
  link(p, 2, step_value(leaf / 2) + axis);
  const int place[3] = {3, 4, 10};
  for (int i = 0; i < quarter; ++i) link(p, place[i], own - 2 * (i + 1) + axis);
  if (quarter) link(p, 9, own - 2 + 1 - axis);
  if (axis) link(p, 5, own);
  link(p, 6, first_value(leaf));
  return p;
}

Place source_place(int leaf) {
  Place p;
  std::fill_n(p.back, kBack, -1);
  p.kind = 6, p.side = leaf & 1, p.node = leaf;
  p.parent[0] = step_value(leaf / 2), p.parent[1] = p.parent[0] + 1;
  if (leaf > kFirstLeaf) link(p, 6, first_value(leaf - 1));
  if (leaf > kFirstLeaf + 1) link(p, 9, first_value(leaf - 2));
  return p;
}

const std::array<Place, kValues>& all_places() {
  static const std::array<Place, kValues> places = [] {
    std::array<Place, kValues> made;
    for (int node = 1; node <= kCodedNodes; ++node) {
      for (int axis = 0; axis < 2; ++axis)
        made[static_cast<size_t>(step_value(node) + axis)] = step_place(node, axis);
      if (node < kFirstLeaf) continue;
      made[static_cast<size_t>(first_value(node))] = source_place(node);
      for (int i = 0; i < 2 * kQuarters; ++i)
        made[static_cast<size_t>(step_value(node) + 2 + i)] = quarter_place(node, i / 2, i % 2);
    }
    for (Place& p : made) p.back[0] = p.parent[0], p.back[1] = p.parent[1];
    return made;
  }();
  return places;
}

uint8_t around_zero(int value) { return static_cast<uint8_t>(clamp(value, -64, 63) + 64); }
uint8_t positive(int value) { return static_cast<uint8_t>(clamp(value, 0, 127)); }

// Eight steps an octave of size + 1: the place of the first bit, then the three after it.
uint8_t loud(int64_t size) {
  const int64_t n = std::min<int64_t>(size, (1 << 16) - 2) + 1;
  int octave = 0;
  while (n >> (octave + 1)) ++octave;
  return positive(8 * octave + static_cast<int>((n << 3 >> octave) & 7));
}

// What is known of a window before its values.
struct Known {
  int64_t last_sum = 0, level_sum = 0;
  bool coded = false;
};

Known known_of(const int16_t* last, const int32_t* level) {
  Known known;
  for (int i = 0; i < kValues; ++i) {
    if (i >= kInnerValues && (i - kInnerValues) % kLeafValues == 0) continue;
    known.last_sum += std::abs(last[i]), known.level_sum += level[i];
  }
  known.coded = known.level_sum != 0;
  return known;
}

void side_of(const Place& p, int value, const int16_t* last, const int32_t* level,
             const Known& known, int window_level, int q, Times times, uint8_t* out) {
  std::fill_n(out, kSide, uint8_t{0});
  out[p.kind] = 127;
  out[7] = p.axis ? 127 : 0;
  out[8] = (p.kind == 5 ? p.side & 2 : p.side) ? 127 : 0;
  out[9] = p.kind == 5 && p.side & 1 ? 127 : 0;
  const bool source = p.kind == 6;
  const int other = source ? value : value + (p.axis ? -1 : 1);
  out[10] = source ? 64 : around_zero(8 * last[value]);
  out[11] = source ? 64 : around_zero(8 * last[other]);
  out[12] = source ? 0 : loud(level[value]);
  out[13] = p.parent[0] < 0 ? 0 : loud(int64_t{level[p.parent[0]]} + level[p.parent[1]]);
  out[14] = loud(known.level_sum);
  out[15] = loud(known.last_sum);
  out[16] = p.node >= kFirstLeaf ? positive(50 * last[first_value(p.node)]) : 0;
  out[17] = positive(2 * q);
  out[18] = positive(25 * window_level);
  out[19] = times.far ? 127 : 0;
  out[20] = positive(8 * std::abs(times.near));
  out[21] = positive(8 * std::abs(times.far));
  out[22] = known.coded ? 127 : 0;
  out[23] = source ? 0 : loud(level[other]);
  out[24] = p.kind < 4 ? 127 : 0;
}

}  // namespace

Contexts packet_contexts(const Memory& memory, const uint8_t* levels, int first, int end,
                         int columns, int q, Times times) {
  const auto& places = all_places();
  Contexts out;
  // Where each value of a window of this packet is, -1 = not in it.
  std::vector<int32_t> at(static_cast<size_t>(end - first) * kValues, -1);
  for (int window = first; window < end; ++window) {
    const int level = levels[window];
    if (level == 0) continue;
    const size_t row = static_cast<size_t>(window) * kValues;
    const int16_t* last = memory.last + row;
    const int32_t* size = memory.level + row;
    const Known known = known_of(last, size);
    int32_t* own = &at[static_cast<size_t>(window - first) * kValues];
    const int32_t* left = window % columns && window > first ? own - kValues : nullptr;
    const int32_t* above = window - columns >= first ? own - columns * kValues : nullptr;
    const int count = level < kLevels ? value_count(level, false) : kValues;
    for (int value = 0; value < count; ++value) {
      const Place& p = places[static_cast<size_t>(value)];
      if (p.kind == 6 && times.far == 0) continue;
      const int32_t step = static_cast<int32_t>(out.index.size());
      own[value] = step;
      out.index.push_back(static_cast<int32_t>(row) + value);
      out.side.resize(out.side.size() + kSide);
      side_of(p, value, last, size, known, level, q, times,
              out.side.data() + out.side.size() - kSide);
      auto distance = [&](const int32_t* where, int of) {
        return where && of >= 0 && where[of] >= 0 ? step - where[of] : 0;
      };
      for (int b = 0; b < kBack; ++b) {
        const int found = b == 7   ? distance(left, value)
                          : b == 8 ? distance(above, value)
                                   : distance(own, p.back[b]);
        out.back.push_back(found);
      }
    }
  }
  return out;
}

}  // namespace gv::motion_tree
