// Many independent streams of integers, coded at once: the interface of a back-end, and that of the
// processor.
//
// A batch is a matrix of streams × steps integers of which the first counts[s] of row s are coded,
// each row as an rANS packet of its own by the Laplace tables of cdf.hpp. The table of every
// integer is either given (scale index, mean) or predicted: an integer network sees `side`
// activations that both sides know and the values of its stream that went before. All back-ends
// make the same bytes; any bytes decode to some values, and `whole` tells whether a packet ended
// with its last value.
#pragma once

#include "entropy/cdf.hpp"
#include "entropy/intnet.hpp"

namespace gv {

struct Batch {
  int streams = 0, steps = 0;
  const int32_t* counts = nullptr;  // streams; 0…steps
  // Which values a predicting network sees, streams × steps × (its inputs - side_count): a
  // distance backwards, 0 = none, below 0 the mean magnitude of a span (`Span`); null: those just
  // before, latest first.
  const int32_t* back = nullptr;
  GV_BOTH size_t at(int stream, int step) const {
    return static_cast<size_t>(stream) * static_cast<size_t>(steps) + static_cast<size_t>(step);
  }
};

// Packets one behind the other: that of stream s is bytes[start[s]]…bytes[start[s + 1]].
struct Packets {
  std::vector<uint8_t> bytes;
  std::vector<uint64_t> start{0};
};

// A predicting network has the outputs (scale index, mean in eighths, zero inflation or not),
// clamped, and these inputs: `side` activations of the step, then the values before it
// (`Batch::back`): values as activations around 64 (where there is none: 64), magnitudes of spans
// by their logarithm (none: 0).
constexpr int kFewestOutputs = 2, kMostOutputs = 3;
GV_BOTH inline uint8_t value_activation(int32_t value) {
  return static_cast<uint8_t>(clamp(value, -64, 63) + 64);
}
GV_BOTH inline uint8_t known_activation(uint8_t side) {
  return side < kMaxActivation ? side : static_cast<uint8_t>(kMaxActivation);
}

// The values of a stream, and sums[i]: the magnitudes of the first i of them, modulo 2^32.
struct History {
  const int32_t* values;
  const uint32_t* sums;
};
constexpr int32_t kLoudest = 1023;  // a magnitude counts as that at most
GV_BOTH inline uint32_t sum_after(uint32_t sum, int32_t value) {
  const int32_t limited = clamp(value, -kLoudest, kLoudest);
  return sum + static_cast<uint32_t>(limited < 0 ? -limited : limited);
}

// `length` values, the first of them `far` before this one; as an entry of `back`
// -(far · 2^kSpanBits + length).
constexpr int kSpanBits = 14;
constexpr uint32_t kSpanUnit = 32;
// Of a mean magnitude, in 1 / kSpanUnit: eight steps an octave of it plus one, below 2^15.
GV_BOTH inline uint8_t span_activation(const uint32_t* sums, int step, int32_t entry) {
  const uint32_t span = 0u - static_cast<uint32_t>(entry);
  const int far = static_cast<int>(span >> kSpanBits),
            length = static_cast<int>(span & ((1u << kSpanBits) - 1));
  if (far > step || length == 0 || length > far) return 0;
  const uint32_t sum = sums[step - far + length] - sums[step - far];
  if (sum == 0) return 0;
  // At most 2^14 · 1023 · 32 < 2^29.
  const uint32_t mean = sum * kSpanUnit / static_cast<uint32_t>(length);
  const uint32_t n = (mean < (1u << 15) - 1 ? mean : (1u << 15) - 1) + 1;
  int octave = 0;
  while (n >> (octave + 1) != 0) ++octave;
  const uint32_t activation = 8 * static_cast<uint32_t>(octave) + (n << 3 >> octave & 7);
  return known_activation(static_cast<uint8_t>(activation));
}

// `back`: the entries of this step, or null.
GV_BOTH inline uint8_t context(const uint8_t* side, int side_count, const History& history,
                               int step, int input, const int32_t* back) {
  if (input < side_count) return known_activation(side[input]);
  const int entry = back ? back[input - side_count] : input - side_count + 1;
  if (entry < 0) return span_activation(history.sums, step, entry);
  return value_activation(entry > 0 && entry <= step ? history.values[step - entry] : 0);
}
GV_BOTH inline int predicted_scale(int32_t output) { return clamp(output, 0, kScales - 1); }
GV_BOTH inline int predicted_mean(int32_t output) { return clamp(output, INT16_MIN, INT16_MAX); }
GV_BOTH inline int predicted_inflation(int32_t output) { return clamp(output, 0, kInflations - 1); }
GV_BOTH inline TableChoice predicted(const int32_t* output, int outputs) {
  return {predicted_scale(output[0]), predicted_mean(output[1]),
          outputs < kMostOutputs ? 0 : predicted_inflation(output[2])};
}

// Arrays are dense, rows first: values, scale and mean (streams, steps), side (streams, steps,
// side_count), whole (streams).
class StreamBackend {
 public:
  virtual ~StreamBackend() = default;
  // As IntegerNetwork::forward.
  virtual void forward(const IntegerNetwork& network, const uint8_t* in, int rows,
                       int32_t* out) = 0;
  virtual Packets encode(const Batch& batch, const int32_t* values, const uint8_t* scale,
                         const int16_t* mean) = 0;
  // Values behind counts[s] become 0.
  virtual void decode(const Batch& batch, const Packets& packets, const uint8_t* scale,
                      const int16_t* mean, int32_t* values, uint8_t* whole) = 0;
  // side_count <= network.inputs(), network.outputs() is kFewestOutputs…kMostOutputs.
  virtual Packets encode_predicted(const Batch& batch, const IntegerNetwork& network,
                                   const uint8_t* side, int side_count, const int32_t* values) = 0;
  virtual void decode_predicted(const Batch& batch, const IntegerNetwork& network,
                                const Packets& packets, const uint8_t* side, int side_count,
                                int32_t* values, uint8_t* whole) = 0;
};

StreamBackend& cpu_backend();

}  // namespace gv
