// What the entropy network sees of each value: activations that both sides know before a packet,
// and which values of the packet before it.
#pragma once

#include "motion_tree/tree.hpp"

namespace gv::motion_tree {

// Activations of a value, and values that it looks back at.
constexpr int kSide = 25, kBack = 11;
// Which activations are about the frames before, the two that are steps first: without any those
// are kNoStep, the others 0.
constexpr int kMemoryActivations[] = {10, 11, 12, 13, 14, 15, 16, 22, 23};
constexpr int kNoStep = 64;

// What is known of the windows from the frame before: steps (windows × kValues), their running
// mean magnitudes in 1/32.
struct Memory {
  const int16_t* last = nullptr;
  const int32_t* level = nullptr;
};

struct Contexts {
  std::vector<uint8_t> side;   // steps × kSide
  std::vector<int32_t> back;   // steps × kBack: how many values before, 0 = none
  std::vector<int32_t> index;  // steps: window · kValues + value
};

// Of the values of windows first…end - 1, `columns` of them side by side, that go into one packet.
Contexts packet_contexts(const Memory& memory, const uint8_t* levels, int first, int end,
                         int columns, int q, Times times);

}  // namespace gv::motion_tree
