// Kernels of the stream coder and the integer network, written for a group of threads: a CUDA block
// (device.cu), or a loop on the processor (emulated.cpp) that runs the very same functions.
//
// A kernel is called once a block: kernel(group, block, shared). `group.each(n, fn)` calls
// fn(0)…fn(n - 1) in any order and lets all threads meet afterwards, `group.one(fn)` calls fn() in
// one thread. Arithmetic that chooses bits comes from csrc/entropy.
#pragma once

#include "entropy/streams.hpp"

namespace gv::cuda {

struct LayerView {
  int32_t inputs = 0, outputs = 0, shift = 1, low = 0, high = 0;
  int32_t words = 0;                 // inputs in fours, rounded up
  const uint32_t* weight = nullptr;  // words × outputs: four s8 each, the first one lowest; those
                                     // beyond the inputs are 0
  const int32_t* bias = nullptr;
  const int32_t* multiplier = nullptr;
};

struct NetworkView {
  const LayerView* layers = nullptr;
  int32_t count = 0, inputs = 0, outputs = 0;
  int32_t stride = 0;  // words of the widest layer, one row of activations
};

// sum + the four products of s8 pairs.
GV_DEVICE inline int32_t dot4(uint32_t a, uint32_t b, int32_t sum) {
#if defined(__CUDA_ARCH__)
  return __dp4a(static_cast<int>(a), static_cast<int>(b), sum);
#else
  for (int k = 0; k < 32; k += 8)
    sum += static_cast<int8_t>(a >> k & 255) * static_cast<int8_t>(b >> k & 255);
  return sum;
#endif
}

// Runs the network for `rows` rows (a multiple of kTile, which share one reading of the weights) of
// u8 activations that lie in `now`, `stride` words apart; `next` has as much room. Calls store(row,
// output, value). Bytes behind a layer's outputs meet weights of 0.
template <int kTile, class Group, class Store>
GV_DEVICE void run_network(const Group& group, const NetworkView& net, uint32_t* now,
                           uint32_t* next, int rows, const Store& store) {
  for (int l = 0; l < net.count; ++l) {
    const LayerView layer = net.layers[l];
    const bool final = l + 1 == net.count;
    group.each(layer.outputs * (rows / kTile), [&](int item) {
      const int o = item % layer.outputs, first = item / layer.outputs * kTile;
      int32_t sums[kTile] = {};
      for (int w = 0; w < layer.words; ++w) {
        const uint32_t weight = layer.weight[static_cast<size_t>(w) * layer.outputs + o];
        for (int r = 0; r < kTile; ++r)
          sums[r] = dot4(weight, now[(first + r) * net.stride + w], sums[r]);
      }
      for (int r = 0; r < kTile; ++r) {
        const int32_t value = requantise(sums[r] + layer.bias[o], layer.multiplier[o], layer.shift,
                                         layer.low, layer.high);
        if (final) store(first + r, o, value);
        else
          reinterpret_cast<uint8_t*>(next + (first + r) * net.stride)[o] =
              static_cast<uint8_t>(value);
      }
    });
    uint32_t* const swapped = now;
    now = next;
    next = swapped;
  }
}

// Rows of a matrix, or of the contexts of a batch whose values are known.
struct GivenRows {
  const uint8_t* in;
  int32_t* out;
  int32_t inputs, outputs;
  GV_DEVICE uint8_t load(size_t row, int i) const { return known_activation(in[row * inputs + i]); }
  GV_DEVICE void store(size_t row, int o, int32_t value) const { out[row * outputs + o] = value; }
};

struct PredictedRows {
  const uint8_t* side;
  const int32_t* values;
  const uint32_t* sums;  // streams × (steps + 1), as History
  uint8_t* scale;
  int16_t* mean;
  uint8_t* inflation;  // zeros at first
  int32_t side_count, steps;
  const int32_t* back;  // or null
  int32_t back_count;
  GV_DEVICE uint8_t load(size_t row, int i) const {
    const int step = static_cast<int>(row % steps);
    const size_t first = row - step;
    const History history{values + first, sums + first + row / steps};
    return context(side + row * side_count, side_count, history, step, i,
                   back ? back + row * back_count : nullptr);
  }
  GV_DEVICE void store(size_t row, int o, int32_t value) const {
    if (o == 0) scale[row] = static_cast<uint8_t>(predicted_scale(value));
    else if (o == 1) mean[row] = static_cast<int16_t>(predicted_mean(value));
    else inflation[row] = static_cast<uint8_t>(predicted_inflation(value));
  }
};

constexpr int kRowsOfBlock = 16, kRowsOfTile = 4;
constexpr int kSharedBytes = 48 << 10;  // available to a block on every device
constexpr int kWidestLayer = kSharedBytes / (2 * kRowsOfBlock);

// The network for kRowsOfBlock rows a block. Shared: 2 × kRowsOfBlock × stride words.
template <class Rows>
struct NetworkKernel {
  NetworkView net;
  Rows io;
  size_t rows;

  template <class Group>
  GV_DEVICE void operator()(const Group& group, int block, uint32_t* shared) const {
    const size_t first = static_cast<size_t>(block) * kRowsOfBlock;
    const int count = rows - first < kRowsOfBlock ? static_cast<int>(rows - first) : kRowsOfBlock;
    group.each(kRowsOfBlock * net.inputs, [&](int item) {
      const int r = item / net.inputs, i = item % net.inputs;
      reinterpret_cast<uint8_t*>(shared + r * net.stride)[i] =
          r < count ? io.load(first + r, i) : 0;
    });
    run_network<kRowsOfTile>(group, net, shared, shared + kRowsOfBlock * net.stride, kRowsOfBlock,
                             [&](int r, int o, int32_t value) {
                               if (r < count) io.store(first + r, o, value);
                             });
  }
};

// The range coder's symbols of one integer.
struct SymbolList {
  uint32_t symbol[kSymbolsOfInteger];
  int count = 0;
  GV_DEVICE void put(uint32_t start, uint32_t freq) { symbol[count++] = start << 16 | (freq - 1); }
};

struct ByteCounter {
  uint64_t size = 0;
  GV_DEVICE void operator()(uint8_t) { ++size; }
};

struct ByteWriter {
  uint8_t* end;  // bytes come last first
  GV_DEVICE void operator()(uint8_t byte) { *--end = byte; }
};

constexpr int kStreamsOfBlock = 64;

// A stream a thread, from its last integer to its first. Without `bytes` it only measures `size`;
// with them the packet is written up to start[s + 1].
struct EncodeKernel {
  LaplaceTables tables;
  Batch batch;
  const int32_t* values;
  const uint8_t* scale;
  const int16_t* mean;
  const uint8_t* inflation;  // or null
  uint64_t* size;
  uint8_t* bytes;
  const uint64_t* start;

  template <class Group>
  GV_DEVICE void operator()(const Group& group, int block, uint32_t*) const {
    group.each(kStreamsOfBlock, [&](int t) {
      const int s = block * kStreamsOfBlock + t;
      if (s >= batch.streams) return;
      if (bytes == nullptr) {
        ByteCounter counter;
        code(s, counter);
        size[s] = counter.size;
      } else {
        ByteWriter writer{bytes + start[s + 1]};
        code(s, writer);
      }
    });
  }

  template <class Emit>
  GV_DEVICE void code(int s, Emit& emit) const {
    uint32_t x = 0;
    for (int i = batch.counts[s]; i-- > 0;) {
      const size_t at = batch.at(s, i);
      SymbolList list;
      put_integer(list, tables, {scale[at], mean[at], inflation == nullptr ? 0 : inflation[at]},
                  values[at]);
      while (list.count > 0) {
        const uint32_t symbol = list.symbol[--list.count];
        rans_push(x, symbol >> 16, (symbol & 0xffff) + 1, emit);
      }
    }
    rans_flush(x, emit);
  }
};

struct PacketsView {
  const uint8_t* bytes;
  const uint64_t* start;
  GV_DEVICE RansDecoder reader(int s) const {
    return {bytes + start[s], static_cast<size_t>(start[s + 1] - start[s])};
  }
};

// A stream a thread.
struct DecodeKernel {
  LaplaceTables tables;
  Batch batch;
  PacketsView packets;
  const uint8_t* scale;
  const int16_t* mean;
  int32_t* values;
  uint8_t* whole;

  template <class Group>
  GV_DEVICE void operator()(const Group& group, int block, uint32_t*) const {
    group.each(kStreamsOfBlock, [&](int t) {
      const int s = block * kStreamsOfBlock + t;
      if (s >= batch.streams) return;
      RansDecoder coder = packets.reader(s);
      for (int i = 0; i < batch.steps; ++i) {
        const size_t at = batch.at(s, i);
        values[at] = i < batch.counts[s] ? get_integer(coder, tables, {scale[at], mean[at]}) : 0;
      }
      whole[s] = coder.finished();
    });
  }
};

// A stream a block: its threads run the network of a step together, one of them decodes. Shared: 2
// × stride + kMostOutputs words.
struct PredictedDecodeKernel {
  LaplaceTables tables;
  Batch batch;
  NetworkView net;
  PacketsView packets;
  const uint8_t* side;
  int32_t side_count;
  int32_t* values;
  uint32_t* sums;  // streams × (steps + 1), zeros at first
  uint8_t* whole;

  template <class Group>
  GV_DEVICE void operator()(const Group& group, int s, uint32_t* shared) const {
    uint32_t *const now = shared, *const next = now + net.stride;
    int32_t* const model = reinterpret_cast<int32_t*>(next + net.stride);
    int32_t* const row = values + batch.at(s, 0);
    uint32_t* const sum = sums + batch.at(s, s);
    const int count = batch.counts[s];
    group.each(batch.steps - count, [&](int i) { row[count + i] = 0; });
    RansDecoder coder = packets.reader(s);  // every thread has one; that of group.one() counts
    for (int step = 0; step < count; ++step) {
      const uint8_t* known = side + batch.at(s, step) * side_count;
      const int32_t* back =
          batch.back ? batch.back + batch.at(s, step) * (net.inputs - side_count) : nullptr;
      group.each(net.inputs, [&](int i) {
        reinterpret_cast<uint8_t*>(now)[i] = context(known, side_count, {row, sum}, step, i, back);
      });
      run_network<1>(group, net, now, next, 1,
                     [&](int, int o, int32_t value) { model[o] = value; });
      group.one([&] {
        row[step] = get_integer(coder, tables, predicted(model, net.outputs));
        sum[step + 1] = sum_after(sum[step], row[step]);
      });
    }
    group.one([&] { whole[s] = coder.finished(); });
  }
};

}  // namespace gv::cuda
