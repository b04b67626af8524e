// Integers coded by 16-bit CDF tables: 64 discretised Laplace distributions, chosen by (scale
// index, mean in 1/8 step).
//
// Scale i is a mean absolute deviation of 64 · 2^((i - 63) / 6), that is 0.044…64. A
// table's symbols are the distances of the value from the mean, nearest first (0, 1, -1, 2, -2 …),
// up to a radius beyond which a scale's tail is lighter than 1/512; the last symbol is an escape,
// followed by an exp-Golomb code of the rest. Tables are made by integer arithmetic alone, so
// they are the same on every machine. Every int32 can be coded with every table.
//
// Zero inflation: of a table's probability only about 2^(-i / 8) stays where it was, the rest goes
// to the value zero. So a value that is mostly zero and far from it otherwise has a fitting table
// too.
#pragma once

#include "entropy/rans.hpp"

namespace gv {

constexpr int kScales = 64;
constexpr int kMeanSteps = 8;
constexpr int kInflations = 128;
constexpr int kLongestPrefix = 33;  // of an exp-Golomb code
// Range coder symbols of one integer at most: its own, prefix, and the rest in groups of eight bits
// (its order is 7 at most).
constexpr int kSymbolsOfInteger = 1 + kLongestPrefix + (kLongestPrefix + 7 + 7) / 8;

struct ScaleTables {
  int32_t radius = 0;   // distances -radius…radius have symbols of their own
  int32_t golomb = 0;   // order of the exp-Golomb code after an escape
  int32_t symbols = 0;  // 2 · radius + 1, and the escape
  uint32_t first =
      0;  // where its tables begin in LaplaceTables::edges: kMeanSteps of symbols + 1 edges each
};

// A view of all tables, wherever they lie.
struct LaplaceTables {
  const ScaleTables* scale = nullptr;  // kScales
  const uint32_t* edges = nullptr;
  uint32_t edge_count = 0;

  // edge[s]…edge[s + 1]: the part of 2^16 of symbol s when the mean lies step - 4 eighths above
  // the centre.
  GV_BOTH const uint32_t* edge(int scale_index, int step) const {
    const ScaleTables& t = scale[scale_index];
    return edges + t.first + static_cast<size_t>(step) * static_cast<size_t>(t.symbols + 1);
  }
};

// Made at the first call.
const LaplaceTables& laplace_tables();

// A table: scale < kScales, mean in eighths, inflation < kInflations.
struct TableChoice {
  int scale = 0, mean = 0, inflation = 0;
};

// The edges of a chosen table, inflated.
struct ChosenEdges {
  const uint32_t* edge;
  int centre;      // the integer nearest to the mean
  int zero;        // symbol of the value zero
  uint32_t kept;   // of 2^16
  uint32_t moved;  // the surplus of the symbol of zero

  GV_BOTH ChosenEdges(const LaplaceTables& tables, const TableChoice& choice) {
    const int symbols = tables.scale[choice.scale].symbols;
    centre = (choice.mean + 4) >> 3;
    edge = tables.edge(choice.scale, choice.mean - 8 * centre + 4);
    const int64_t index =
        centre < 0 ? -2 * static_cast<int64_t>(centre) - 1 : 2 * static_cast<int64_t>(centre);
    zero = index < symbols - 1 ? static_cast<int>(index) : symbols - 1;
    kept = static_cast<uint32_t>((16 - (choice.inflation & 7)) << 12) >> (choice.inflation >> 3);
    const uint32_t free =
        kProbOne - static_cast<uint32_t>(symbols);  // each symbol keeps at least 1
    moved = free - (free * kept >> 16);
  }

  GV_BOTH uint32_t operator()(int s) const {
    const uint32_t least = static_cast<uint32_t>(s);
    return least + ((edge[s] - least) * kept >> 16) + (s > zero ? moved : 0);
  }
};

template <class Coder>
GV_BOTH inline void put_raw(Coder& coder, int bits, uint64_t value) {
  while (bits > 0) {
    const int n = bits < 8 ? bits : 8;
    bits -= n;
    coder.put(static_cast<uint32_t>(value >> bits & ((1u << n) - 1)) << (kProbBits - n),
              kProbOne >> n);
  }
}

template <class Coder>
GV_BOTH inline uint64_t get_raw(Coder& coder, int bits) {
  uint64_t value = 0;
  while (bits > 0) {
    const int n = bits < 8 ? bits : 8;
    bits -= n;
    const uint32_t part = coder.peek() >> (kProbBits - n);
    coder.advance(part << (kProbBits - n), kProbOne >> n);
    value = value << n | part;
  }
  return value;
}

// Puts at most kSymbolsOfInteger symbols. `coder` has RansEncoder's put().
template <class Coder>
GV_BOTH inline void put_integer(Coder& coder, const LaplaceTables& tables,
                                const TableChoice& choice, int32_t value) {
  const ScaleTables& t = tables.scale[choice.scale];
  const ChosenEdges edge(tables, choice);
  const int64_t distance = static_cast<int64_t>(value) - edge.centre;
  const uint64_t index = static_cast<uint64_t>(distance > 0 ? 2 * distance - 1 : -2 * distance);
  const uint64_t escape = static_cast<uint64_t>(t.symbols) - 1;
  const int s = static_cast<int>(index < escape ? index : escape);
  coder.put(edge(s), edge(s + 1) - edge(s));
  if (index < escape) return;
  const uint64_t rest = index - escape + (uint64_t{1} << t.golomb);
  int bits = t.golomb;
  for (; rest >> (bits + 1) != 0; ++bits) put_raw(coder, 1, 1);
  if (bits < t.golomb + kLongestPrefix) put_raw(coder, 1, 0);
  put_raw(coder, bits, rest & ((uint64_t{1} << bits) - 1));
}

// Any bytes decode to some value; values beyond int32 are clamped. `coder` has RansDecoder's
// peek() and advance().
template <class Coder>
GV_BOTH inline int32_t get_integer(Coder& coder, const LaplaceTables& tables,
                                   const TableChoice& choice) {
  const ScaleTables& t = tables.scale[choice.scale];
  const ChosenEdges edge(tables, choice);
  const uint32_t point = coder.peek();
  int s = 0;  // the symbol with edge(s) <= point < edge(s + 1)
  for (int end = t.symbols; end - s > 1;) {
    const int middle = (s + end) / 2;
    (edge(middle) <= point ? s : end) = middle;
  }
  coder.advance(edge(s), edge(s + 1) - edge(s));
  uint64_t index = static_cast<uint64_t>(s);
  if (s + 1 == t.symbols) {
    int bits = t.golomb;
    while (bits < t.golomb + kLongestPrefix && get_raw(coder, 1)) ++bits;
    index += (uint64_t{1} << bits | get_raw(coder, bits)) - (uint64_t{1} << t.golomb);
  }
  const int64_t distance =
      index & 1 ? static_cast<int64_t>(index / 2) + 1 : -static_cast<int64_t>(index / 2);
  return static_cast<int32_t>(clamp<int64_t>(edge.centre + distance, INT32_MIN, INT32_MAX));
}

inline void encode_integer(RansEncoder& coder, const TableChoice& choice, int32_t value) {
  put_integer(coder, laplace_tables(), choice, value);
}

inline int32_t decode_integer(RansDecoder& coder, const TableChoice& choice) {
  return get_integer(coder, laplace_tables(), choice);
}

}  // namespace gv
