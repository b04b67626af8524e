// Many independent streams of integers, coded at once: what a back-end does, and the back-end of
// the processor.
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
  // Which values a predicting network sees, streams × steps × (its inputs - side_count): so many
  // values before, 0 = none; null: those just before, latest first.
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
// clamped, and these inputs: `side` activations of the step, then values before it (`Batch::back`)
// as activations around 64 (where there is none: 64).
constexpr int kFewestOutputs = 2, kMostOutputs = 3;
GV_BOTH inline uint8_t value_activation(int32_t value) {
  return static_cast<uint8_t>(clamp(value, -64, 63) + 64);
}
GV_BOTH inline uint8_t known_activation(uint8_t side) {
  return side < kMaxActivation ? side : static_cast<uint8_t>(kMaxActivation);
}
// `back`: the entries of this step, or null.
GV_BOTH inline uint8_t context(const uint8_t* side, int side_count, const int32_t* values, int step,
                               int input, const int32_t* back) {
  if (input < side_count) return known_activation(side[input]);
  const int far = back ? back[input - side_count] : input - side_count + 1;
  return value_activation(far > 0 && far <= step ? values[step - far] : 0);
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
