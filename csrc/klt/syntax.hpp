// Bitstream syntax of a KLT frame, written once: the coder is an encoder or a decoder (mixer.hpp).
//
// Order: in inter frames of a GOP with a golden frame, two flags; windows row by row; in a window
// first the motion quadtree (z-order, inter frames only), then the tokens level by level, coarse to
// fine, row by row. Every decision's contexts are functions of integers decoded before it.
#pragma once

#include "entropy/mixer.hpp"
#include "klt/buckets.hpp"
#include "klt/refiner.hpp"
#include "klt/tokens.hpp"

namespace gv {

// Slot numbers: each family of contexts takes a run of slots. Sizes are products of the bucket
// counts used below.
namespace slots {
constexpr uint32_t kKinds = kLevels * 2;  // level × (key, inter)
constexpr uint32_t kIndex = 72, kIndex16 = 16, kIndex8 = 8, kGroups = 17;
constexpr uint32_t kMvDecisions = 38;  // of a vector difference: zero flags, signs, prefix bits
enum Family : uint32_t {
  kSplit0,
  kSplit1,
  kSplit2,
  kMerge0,
  kMerge1,
  kMergeIndex,
  kMvZero,
  kMvPrefix,
  kMvSign,
  kAny0,
  kAny1,
  kAny2,
  kAny3,
  kAny4,
  kSelf0,
  kSelf1,
  kSelf2,
  kLast0,
  kLast1,
  kLast2,
  kLast3,
  kLastBits,
  kSig0,
  kSig1,
  kSig2,
  kSig3,
  kSig4,
  kBig0,
  kBig1,
  kBig2,
  kBig3,
  kBig4,
  kMore0,
  kMore1,
  kMore2,
  kSign0,
  kSign1,
  kSign2,
  kBecomesGolden,
  kUsesGolden,
  kFrom0,
  kFrom1,
  // Of the refined model.
  kSigR,
  kBigR,
  kSignR,
  kSplitR,
  kMergeR0,
  kMergeR1,
  kMergeIndexR0,
  kMergeIndexR1,
  kMergeIndexR2,
  kMvR0,
  kMvR1,
  kMvR2,
  kMvSignR,
  kFamilies
};
constexpr uint32_t kSize[kFamilies] = {kLevels * 9,
                                       kLevels * 5 * 5,
                                       kLevels * 16,
                                       kLevels * 3 * 3,
                                       kLevels * 16,
                                       kLevels * 5,
                                       2 * 2,
                                       2 * 16,
                                       2,
                                       kKinds * 6,
                                       kKinds * 36,
                                       kKinds * 16,
                                       kKinds * 40,
                                       kKinds * 6 * 16,
                                       kKinds * 6,
                                       kKinds * 36,
                                       kKinds * 16,
                                       kKinds * kGroups,
                                       kKinds * kGroups * 6,
                                       kKinds * kGroups * 8,
                                       kKinds * kGroups * 6,
                                       kGroups * 8,
                                       kKinds * kIndex,
                                       kKinds * kIndex8 * 9,
                                       kKinds * 9 * 8 * kIndex8,
                                       kKinds * 16 * kIndex16,
                                       kKinds * kGroups * kIndex,
                                       kKinds * kIndex,
                                       kKinds * kIndex8 * 9,
                                       kKinds * 9 * kIndex8,
                                       kKinds * 16 * kIndex16,
                                       kKinds * kGroups * kIndex8,
                                       kKinds * 16 * kIndex8,
                                       16 * 9 * 2,
                                       16 * 16 * 2,
                                       kKinds * 16 * 9,
                                       kKinds * 16 * 3,
                                       kKinds * 2,
                                       kOldest + 1,
                                       kOldest + 1,
                                       2 * 3 * 3 * 3,
                                       2 * kLevels,
                                       kKinds * kIndex16 * 8 * 3,
                                       kKinds * kIndex16 * 8 * 3,
                                       kKinds * kIndex16 * 8 * 3,
                                       kLevels * 4 * 4 * 4,
                                       kLevels * 5 * 4,
                                       kLevels * 2 * 3,
                                       kLevels * 4 * 4,
                                       4 * 4 * 9,
                                       4 * 6 * 4,
                                       kMvDecisions * kLevels,
                                       kMvDecisions * 8,
                                       kMvDecisions * 8,
                                       2 * 3 * 3};
constexpr uint32_t first(uint32_t family) {
  uint32_t sum = 0;
  for (uint32_t f = 0; f < family; ++f) sum += kSize[f];
  return sum;
}
// kFirstCount, kFirstSetCount: what klt-1 knows, of before golden frames.
constexpr uint32_t kCount = first(kFamilies), kFirstCount = first(kBecomesGolden);

// Mixer weight sets.
constexpr uint32_t kSetSplit = 0, kSetMerge = kSetSplit + kLevels,
                   kSetMergeIndex = kSetMerge + kLevels, kSetMv = kSetMergeIndex + 1,
                   kSetAny = kSetMv + 3, kSetSelf = kSetAny + kKinds, kSetLast = kSetSelf + kKinds,
                   kSetLastBits = kSetLast + kKinds, kSetSig = kSetLastBits + 1,
                   kSetBig = kSetSig + kKinds * kIndex8, kSetMore = kSetBig + kKinds * kIndex8,
                   kSetSign = kSetMore + 1, kSetGolden = kSetSign + 2, kSetFrom = kSetGolden + 2,
                   kSetCount = kSetFrom + 2, kFirstSetCount = kSetGolden;
}  // namespace slots

template <class Coder>
class FrameSyntax {
 public:
  // Decoding fills `now`; encoding reads it.
  FrameSyntax(Coder& coder, FrameTokens& now, const FrameTokens& before, int q, bool key,
              Refiner* refiner = nullptr)
      : coder_(coder),
        now_(now),
        before_(before),
        q_(static_cast<uint32_t>(q)),
        key_(key),
        refiner_(refiner) {}

  void code() {
    code([] {}, [] {});
  }
  // Calls `done()` after each window, row by row, and `moved()` when all motion is known. With a
  // refiner, which looks at the prediction, the motion of all windows comes first, and `done()` is
  // called after a window's motion and after its tokens.
  template <class Done, class Moved>
  void code(Done done, Moved moved) {
    if (!key_ && now_.has_golden) {
      const uint32_t age = static_cast<uint32_t>(now_.golden_age);
      now_.becomes_golden = one(slots::kBecomesGolden, age, slots::kSetGolden, now_.becomes_golden);
      now_.uses_golden =
          age > 1 && one(slots::kUsesGolden, age, slots::kSetGolden + 1, now_.uses_golden);
    }
    const Grid w = now_.windows();
    auto windows = [&](auto part) {
      for (int wy = 0; wy < w.height; ++wy)
        for (int wx = 0; wx < w.width; ++wx) {
          part(wx, wy);
          done();
        }
    };
    auto move = [&](int wx, int wy) {
      if (!key_) motion(kTop, wx, wy);
    };
    auto fill = [&](int wx, int wy) {
      for (int l = kTop; l >= 0; --l) tokens(l, wx, wy);
    };
    if (refiner_) {
      windows(move);
      moved();
      refiner_->begin();
      windows(fill);
      refiner_->remember();
    } else {
      windows([&](int wx, int wy) {
        move(wx, wy);
        fill(wx, wy);
      });
      moved();
    }
  }

 private:
  Coder& coder_;
  FrameTokens& now_;
  const FrameTokens& before_;
  uint32_t q_;
  bool key_;
  Refiner* refiner_;

  static uint32_t slot(slots::Family family, uint32_t offset) {
    return slots::first(family) + offset;
  }
  // A decision with a single context.
  int one(slots::Family family, uint32_t offset, uint32_t set, int value) {
    Contexts c;
    c.set = set;
    c.add(slot(family, offset));
    return coder_.bit(c, value);
  }
  uint32_t kind(int l) const { return static_cast<uint32_t>(l) * 2 + (key_ ? 0 : 1); }

  void motion(int l, int nx, int ny) {
    const int size = 1 << l, x = nx << l, y = ny << l, w = now_.blocks_wide, h = now_.blocks_high;
    if (x >= w || y >= h) return;
    const size_t at = static_cast<size_t>(y) * w + x;
    const uint32_t left = x > 0 ? now_.depth[at - 1] : kLevels - 1,
                   above = y > 0 ? now_.depth[at - w] : kLevels - 1;
    if (l > 0) {
      Contexts c;
      const uint32_t ul = static_cast<uint32_t>(l);
      c.set = slots::kSetSplit + ul;
      auto versus = [&](uint32_t d) { return d < ul ? 2u : d == ul ? 1u : 0u; };
      c.add(slot(slots::kSplit0, ul * 9 + versus(left) * 3 + versus(above)));
      c.add(slot(slots::kSplit1, (ul * 5 + before_.depth[at]) * 5 + std::min(left, above)));
      c.add(slot(slots::kSplit2, ul * 16 + q_ / 4));
      if (refiner_) {
        const uint32_t finer = (left < ul) + (above < ul) + (before_.depth[at] < l);
        c.add(
            slot(slots::kSplitR, ((ul * 4 + finer) * 4 + (ny & 1) * 2u + (nx & 1)) * 4 + q_ / 16));
      }
      if (coder_.bit(c, now_.depth[at] < l)) {
        for (int i = 0; i < 4; ++i) motion(l - 1, nx * 2 + (i & 1), ny * 2 + (i >> 1));
        return;
      }
    }
    const MergeList list = merge_candidates(now_, before_, x, y, size, now_.uses_golden);
    Motion motion = now_.motion[at];
    int index = 0;
    while (index < list.count && list.motion[index] != motion) ++index;
    Contexts c;
    const uint32_t ul = static_cast<uint32_t>(l);
    c.set = slots::kSetMerge + ul;
    const uint32_t left_merged = x > 0 ? now_.merged[at - 1] : 2,
                   above_merged = y > 0 ? now_.merged[at - w] : 2;
    c.add(slot(slots::kMerge0, (ul * 3 + left_merged) * 3 + above_merged));
    c.add(slot(slots::kMerge1, ul * 16 + q_ / 4));
    const uint32_t spread = list.count > 1 ? apart4(list.motion[0], list.motion[1]) : 0;
    if (refiner_) {
      c.add(slot(slots::kMergeR0, (ul * 5 + static_cast<uint32_t>(list.count - 1)) * 4 + spread));
      const uint32_t past_depth = before_.depth[at];
      c.add(slot(slots::kMergeR1, (ul * 2 + before_.merged[at]) * 3 + (past_depth < ul    ? 2u
                                                                       : past_depth == ul ? 1u
                                                                                          : 0u)));
    }
    const bool merge = coder_.bit(c, index < list.count);
    if (merge) {
      int chosen = 0, past_candidate = 0;
      const Motion past = past_motion(before_, x, y, size, now_.uses_golden);
      while (past_candidate < list.count && list.motion[past_candidate] != past) ++past_candidate;
      while (chosen < list.count - 1) {
        Contexts m;
        m.set = slots::kSetMergeIndex;
        const uint32_t uc = static_cast<uint32_t>(chosen);
        m.add(slot(slots::kMergeIndex, ul * 5 + uc));
        if (refiner_) {
          m.add(slot(slots::kMergeIndexR0,
                     (ul * 4 + uc) * 4 + static_cast<uint32_t>(list.count - 2)));
          m.add(slot(
              slots::kMergeIndexR1,
              ((uc * 4 + apart4(list.motion[chosen], list.motion[chosen + 1])) * 3 + left_merged) *
                      3 +
                  above_merged));
          m.add(slot(slots::kMergeIndexR2,
                     (uc * 6 + static_cast<uint32_t>(past_candidate)) * 4 + q_ / 16));
        }
        if (!coder_.bit(m, index > chosen)) break;
        ++chosen;
      }
      motion = list.motion[chosen];
    } else {
      const Motion truth = motion;
      motion = {{}, {}, kFromLast};
      if (now_.uses_golden) motion.from = from(l, at, x > 0, y > 0, truth.from);
      if (motion.from & kFromLast)
        motion.last = vector(ul, list.nearest(&Motion::last, kFromLast), truth.last);
      if (motion.from & kFromGolden)
        motion.golden = vector(ul, list.nearest(&Motion::golden, kFromGolden), truth.golden);
    }
    for (int j = y; j < std::min(y + size, h); ++j)
      for (int i = x; i < std::min(x + size, w); ++i) {
        const size_t b = static_cast<size_t>(j) * w + i;
        now_.motion[b] = motion;
        now_.depth[b] = static_cast<uint8_t>(l);
        now_.merged[b] = merge;
      }
  }

  // How far two motions lie apart: equal, less than a sample, less than four, more or predicted
  // from different frames.
  static uint32_t apart4(const Motion& a, const Motion& b) {
    if (a.from != b.from) return 3;
    auto distance = [](Mv u, Mv v) { return std::abs(u.x - v.x) + std::abs(u.y - v.y); };
    const int d = distance(a.last, b.last) + distance(a.golden, b.golden);
    return d == 0 ? 0 : d < 4 ? 1 : d < 16 ? 2 : 3;
  }

  // Which frames a region is predicted from.
  uint8_t from(int l, size_t at, bool has_left, bool has_above, uint8_t truth) {
    auto of = [](const FrameTokens& t, size_t b) { return t.motion[b].from - 1u; };
    const uint32_t left = has_left ? of(now_, at - 1) : 0,
                   above = has_above ? of(now_, at - now_.blocks_wide) : 0;
    auto decide = [&](uint32_t step, int value) {
      Contexts c;
      c.set = slots::kSetFrom + step;
      c.add(slot(slots::kFrom0, ((step * 3 + left) * 3 + above) * 3 + of(before_, at)));
      c.add(slot(slots::kFrom1, step * kLevels + static_cast<uint32_t>(l)));
      return coder_.bit(c, value);
    };
    if (!decide(0, truth != kFromLast)) return kFromLast;
    return decide(1, truth == kFromBoth) ? kFromBoth : kFromGolden;
  }

  Mv vector(uint32_t l, const Nearest& near, Mv truth) {
    const Mv a = near.first, b = near.second;
    const int dx = vector_part(l, 0, truth.x - a.x, 0, b.x - a.x, a.x);
    const int dy = vector_part(l, 1, truth.y - a.y, dx != 0, b.y - a.y, a.y);
    return {static_cast<int16_t>(clamp(a.x + dx, -kMvLimit, kMvLimit)),
            static_cast<int16_t>(clamp(a.y + dy, -kMvLimit, kMvLimit))};
  }

  // One component of a vector difference: zero flag, sign, exp-Golomb magnitude with modelled
  // prefix. `other`: the other component is not zero; `second` is the second nearest's difference,
  // `first` the nearest itself.
  int vector_part(uint32_t l, uint32_t axis, int v, uint32_t other, int second, int first) {
    const uint32_t gap = std::min(7u, magnitude_bits(second));
    auto decide = [&](slots::Family family, uint32_t offset, uint32_t number, uint32_t set,
                      int value) {
      Contexts c;
      c.set = slots::kSetMv + set;
      c.add(slot(family, offset));
      if (refiner_) {
        c.add(slot(slots::kMvR0, number * kLevels + l));
        c.add(slot(slots::kMvR1, number * 8 + gap));
        c.add(slot(slots::kMvR2, number * 8 + q_ / 8));
        if (set == 1) c.add(slot(slots::kMvSignR, (axis * 3 + sign3(second)) * 3 + sign3(first)));
      }
      return coder_.bit(c, value);
    };
    if (!decide(slots::kMvZero, axis * 2 + other, axis * 2 + other, 0, v != 0)) return 0;
    const int negative = decide(slots::kMvSign, axis, 4 + axis, 1, v < 0);
    const uint32_t magnitude = static_cast<uint32_t>(std::abs(v));  // >= 1
    uint32_t bits = 0;
    while (bits < 13 && decide(slots::kMvPrefix, axis * 16 + bits, 6 + axis * 16 + bits, 2,
                               magnitude >> (bits + 1) != 0))
      ++bits;
    const uint32_t rest =
        bits ? coder_.raw(static_cast<int>(bits), magnitude & ((1u << bits) - 1)) : 0;
    const int m = static_cast<int>(1u << bits | rest);
    return negative ? -m : m;
  }

  static uint32_t magnitude_bits(int v) {
    uint32_t bits = 0;
    while (std::abs(v) >> bits) ++bits;
    return bits;
  }

  void tokens(int l, int wx, int wy) {
    const int n = 1 << (kTop - l);
    const Grid g = now_.level[l].grid;
    for (int y = wy * n; y < std::min((wy + 1) * n, g.height); ++y)
      for (int x = wx * n; x < std::min((wx + 1) * n, g.width); ++x) node(l, x, y);
  }

  // Node of the previous frame that the region's motion points at.
  int before_node(int l, int x, int y) const {
    const Grid g = now_.level[l].grid;
    const int w = now_.blocks_wide, h = now_.blocks_high, half = (1 << l) >> 1;
    const int bx = std::min((x << l) + half, w - 1), by = std::min((y << l) + half, h - 1);
    const Mv mv = now_.motion[static_cast<size_t>(by) * w + bx].last;
    return node_at(g, l, bx, by, mv);
  }

  void node(int l, int x, int y) {
    TokenLevel& t = now_.level[l];
    const int at = y * t.grid.width + x;
    int parent_energy = 0;
    uint32_t siblings = 0;
    if (l < kTop) {
      const TokenLevel& up = now_.level[l + 1];
      const int parent = (y >> 1) * up.grid.width + (x >> 1);
      if (!up.any[parent]) {
        if (Coder::kDecodes) t.any[at] = 0, t.last[at] = -1, t.energy[at] = 0;
        return;
      }
      parent_energy = up.energy[parent];
      if (x & 1) siblings += t.any[at - 1];
      if (y & 1) {
        siblings += t.any[at - t.grid.width];
        if (x & 1) siblings += t.any[at - t.grid.width - 1];
        else if (x + 1 < t.grid.width) siblings += t.any[at - t.grid.width + 1];
      }
    }
    const int left = x > 0 ? at - 1 : -1, above = y > 0 ? at - t.grid.width : -1,
              past = before_node(l, x, y);
    const uint32_t left_energy = left >= 0 ? energy6(t.energy[left]) : 0,
                   above_energy = above >= 0 ? energy6(t.energy[above]) : 0;
    const uint32_t past_energy = energy6(before_.level[l].energy[past]);
    const uint32_t near_any =
        (left >= 0 && t.any[left] ? 1u : 0u) + (above >= 0 && t.any[above] ? 1u : 0u);
    const uint32_t k = kind(l);

    Contexts c;
    c.set = slots::kSetAny + k;
    c.add(slot(slots::kAny0, k * 6 + near_any * 2 + (before_.level[l].any[past] ? 1 : 0)));
    c.add(slot(slots::kAny1, k * 36 + left_energy * 6 + above_energy));
    c.add(slot(slots::kAny2, k * 16 + q_ / 4));
    const size_t block = static_cast<size_t>(y << l) * now_.blocks_wide + (x << l);
    c.add(slot(slots::kAny3, k * 40 + (now_.depth[block] * 2u + now_.merged[block]) * 4 +
                                 std::min(past_energy, 3u)));
    c.add(slot(slots::kAny4,
               (k * 6 + energy6(parent_energy)) * 16 + siblings * 4 + (y & 1) * 2u + (x & 1)));
    if (refiner_) {
      refiner_->visit(l, x, y, past, siblings);
      c.refinement = refiner_->any();
    }
    t.any[at] = static_cast<uint8_t>(coder_.bit(c, t.any[at]));
    bool self = t.any[at];
    if (self && l > 0) {
      Contexts s;
      s.set = slots::kSetSelf + k;
      s.add(slot(slots::kSelf0, k * 6 + past_energy));
      s.add(slot(slots::kSelf1, k * 36 + left_energy * 6 + above_energy));
      s.add(slot(slots::kSelf2, k * 16 + q_ / 4));
      self = coder_.bit(s, t.last[at] >= 0);
    }
    if (!self) {
      if (Coder::kDecodes) t.last[at] = -1, t.energy[at] = 0;
      return;
    }
    token(l, at, left, above, past);
    if (Coder::kDecodes) now_.measure(l, at);
    if (refiner_) refiner_->coded();
  }

  void token(int l, int at, int left, int above, int past) {
    TokenLevel& t = now_.level[l];
    const uint32_t k = kind(l);
    int16_t* v = now_.values(l, at);
    const int count = coefficient_count(l);

    auto group_of = [](const TokenLevel& tl, int n) { return n >= 0 ? group6(tl.last[n]) : 0u; };
    const uint32_t near_group = std::max(group_of(t, left), group_of(t, above));
    const uint32_t past_group = group_of(before_.level[l], past);
    const int top_group = last_group(count - 1),
              true_group = Coder::kDecodes ? 0 : last_group(t.last[at]);
    int group = 0;
    while (group < top_group) {
      const uint32_t kg = k * slots::kGroups + static_cast<uint32_t>(group);
      Contexts c;
      c.set = slots::kSetLast + k;
      c.add(slot(slots::kLast0, kg));
      c.add(slot(slots::kLast1, kg * 6 + near_group));
      c.add(slot(slots::kLast2, kg * 8 + q_ / 8));
      c.add(slot(slots::kLast3, kg * 6 + past_group));
      if (refiner_) c.refinement = refiner_->last(group);
      if (!coder_.bit(c, true_group > group)) break;
      ++group;
    }
    int rest = 0;
    for (int b = kGroupBits[group] - 1; b >= 0; --b) {
      Contexts c;
      c.set = slots::kSetLastBits;
      c.add(slot(slots::kLastBits, static_cast<uint32_t>(group * 8 + b)));
      rest |= coder_.bit(c, (t.last[at] - kGroupFirst[group]) >> b & 1) << b;
    }
    const int last = kGroupFirst[group] + rest;
    if (last >= count) throw DamagedStream("last index out of range");

    const uint32_t ug = static_cast<uint32_t>(group);
    int before1 = 0, before2 = 0;
    for (int i = 0; i <= last; ++i) {
      const int vl = left >= 0 ? now_.value_at(l, left, i) : 0,
                va = above >= 0 ? now_.value_at(l, above, i) : 0;
      const int vp = before_.value_at(l, past, i);
      const uint32_t near = static_cast<uint32_t>(small(vl) + small(va) + 2 * small(vp));
      const uint32_t run = static_cast<uint32_t>(small(before1) * 3 + small(before2));
      const uint32_t i8 = index8(i), i16 = index16(i), i72 = index72(i),
                     togo = static_cast<uint32_t>(std::min(7, last - i));
      int magnitude = 1;
      uint32_t around = 0;  // bucket of what the refiner knows
      if (refiner_) {
        refiner_->coefficient(i, last, before1, before2);
        around = ((k * slots::kIndex16 + i16) * 8 + refiner_->predicted8(i)) * 3;
      }
      if (i < last) {
        Contexts c;
        c.set = slots::kSetSig + k * slots::kIndex8 + i8;
        c.add(slot(slots::kSig0, k * slots::kIndex + i72));
        c.add(slot(slots::kSig1, (k * slots::kIndex8 + i8) * 9 + near));
        c.add(slot(slots::kSig2, ((k * 9 + run) * 8 + togo) * slots::kIndex8 + i8));
        c.add(slot(slots::kSig3, (k * 16 + q_ / 4) * slots::kIndex16 + i16));
        c.add(slot(slots::kSig4, (k * slots::kGroups + ug) * slots::kIndex + i72));
        if (refiner_) {
          c.add(slot(slots::kSigR, around + refiner_->relatives3()));
          c.refinement = refiner_->significant();
        }
        magnitude = coder_.bit(c, v[i] != 0);
      }
      if (magnitude) {
        const int truth = std::abs(v[i]);
        Contexts c;
        c.set = slots::kSetBig + k * slots::kIndex8 + i8;
        c.add(slot(slots::kBig0, k * slots::kIndex + i72));
        c.add(slot(slots::kBig1, (k * slots::kIndex8 + i8) * 9 + near));
        c.add(slot(slots::kBig2, (k * 9 + run) * slots::kIndex8 + i8));
        c.add(slot(slots::kBig3, (k * 16 + q_ / 4) * slots::kIndex16 + i16));
        c.add(slot(slots::kBig4, (k * slots::kGroups + ug) * slots::kIndex8 + i8));
        if (refiner_) {
          c.add(slot(slots::kBigR, around + refiner_->relatives3()));
          c.refinement = refiner_->larger(1);
        }
        if (coder_.bit(c, truth > 1)) magnitude = more(k, i8, near, truth);
        const int negative = sign(k, i, vl, va, vp, around, v[i] < 0);
        if (Coder::kDecodes) v[i] = static_cast<int16_t>(negative ? -magnitude : magnitude);
      } else if (Coder::kDecodes) {
        v[i] = 0;
      }
      before2 = before1;
      before1 = magnitude;
    }
    if (Coder::kDecodes) std::fill(v + last + 1, v + count, static_cast<int16_t>(0));
  }

  // Magnitude above 1: unary to 15, then exp-Golomb.
  int more(uint32_t k, uint32_t i8, uint32_t near, int truth) {
    int m = 2;
    while (m < 16) {
      const uint32_t step = static_cast<uint32_t>(m - 2);
      Contexts c;
      c.set = slots::kSetMore;
      c.add(slot(slots::kMore0, (k * 16 + step) * slots::kIndex8 + i8));
      c.add(slot(slots::kMore1, (step * 9 + near) * 2 + (key_ ? 0 : 1)));
      c.add(slot(slots::kMore2, (step * 16 + q_ / 4) * 2 + (key_ ? 0 : 1)));
      if (refiner_) c.refinement = refiner_->larger(m);
      if (!coder_.bit(c, truth > m)) return m;
      ++m;
    }
    const uint32_t rest = static_cast<uint32_t>(std::max(0, truth - 16)) + 1;
    int bits = 0;
    while (bits < 14 && coder_.raw(1, rest >> (bits + 1) != 0)) ++bits;
    const uint32_t low = bits ? coder_.raw(bits, rest & ((1u << bits) - 1)) : 0;
    return std::min(kMaxLevel - 1, 15 + static_cast<int>(1u << bits | low));
  }

  int sign(uint32_t k, int i, int vl, int va, int vp, uint32_t around, int negative) {
    Contexts c;
    if (i < 16) {
      const uint32_t ui = static_cast<uint32_t>(i);
      c.set = slots::kSetSign;
      c.add(slot(slots::kSign0, (k * 16 + ui) * 9 + sign3(vl) * 3 + sign3(va)));
      c.add(slot(slots::kSign1, (k * 16 + ui) * 3 + sign3(vp)));
    } else {
      c.set = slots::kSetSign + 1;
      c.add(slot(slots::kSign2, k * 2));
    }
    if (refiner_ && !key_) c.add(slot(slots::kSignR, around + sign3(refiner_->predicted_sign(i))));
    return coder_.bit(c, negative);
  }
};

}  // namespace gv
