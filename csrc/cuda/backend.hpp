// The stream coder on a machine that runs the kernels: sizes, copies in and out, launches. Machine
// is CUDA or its emulation.
//
//   Machine::Buffer<T>(n)           room for n values
//   Machine::Buffer<T>(from, n)     with a copy of those values
//   buffer.get()                    its address there
//   buffer.read(to)                 copies all of it back
//   Machine::launch(kernel, blocks, threads, words)
//                                   `words` of 32 bits are shared by the threads of a block
#pragma once

#include <string>

#include "cuda/kernels.hpp"

namespace gv::cuda {

template <class Machine>
class DeviceNetwork {
  template <class T>
  using Buffer = typename Machine::template Buffer<T>;

 public:
  explicit DeviceNetwork(const IntegerNetwork& network) {
    if (network.widest() > kWidestLayer)
      throw std::invalid_argument("a CUDA block has room for layers up to " +
                                  std::to_string(kWidestLayer) + " wide");
    std::vector<uint32_t> weights;
    std::vector<int32_t> vectors;  // biases and multipliers
    for (const DenseLayer& layer : network.layers()) {
      const size_t n = static_cast<size_t>(layer.inputs);
      for (size_t first = 0; first < n; first += 4)
        for (int o = 0; o < layer.outputs; ++o) {
          const int16_t* w = layer.weight.data() + static_cast<size_t>(o) * n;
          uint32_t word = 0;
          for (size_t k = 0; k < 4 && first + k < n; ++k)
            word |= static_cast<uint32_t>(w[first + k] & 255) << (8 * k);
          weights.push_back(word);
        }
      vectors.insert(vectors.end(), layer.bias.begin(), layer.bias.end());
      vectors.insert(vectors.end(), layer.multiplier.begin(), layer.multiplier.end());
    }
    weights_ = Buffer<uint32_t>(weights.data(), weights.size());
    vectors_ = Buffer<int32_t>(vectors.data(), vectors.size());

    std::vector<LayerView> views;
    const uint32_t* weight = weights_.get();
    const int32_t* vector = vectors_.get();
    for (const DenseLayer& layer : network.layers()) {
      const int words = ceil_div(layer.inputs, 4);
      views.push_back({layer.inputs, layer.outputs, layer.shift, layer.low, layer.high, words,
                       weight, vector, vector + layer.outputs});
      weight += static_cast<size_t>(words) * layer.outputs;
      vector += 2 * static_cast<size_t>(layer.outputs);
    }
    layers_ = Buffer<LayerView>(views.data(), views.size());
    view_ = {layers_.get(), static_cast<int32_t>(views.size()), network.inputs(), network.outputs(),
             ceil_div(network.widest(), 4)};
  }

  const NetworkView& view() const { return view_; }

 private:
  Buffer<uint32_t> weights_;
  Buffer<int32_t> vectors_;
  Buffer<LayerView> layers_;
  NetworkView view_;
};

template <class Machine>
class DeviceBackend final : public StreamBackend {
  template <class T>
  using Buffer = typename Machine::template Buffer<T>;

 public:
  void forward(const IntegerNetwork& network, const uint8_t* in, int rows, int32_t* out) override {
    const DeviceNetwork<Machine> net(network);
    const size_t count = static_cast<size_t>(rows);
    const Buffer<uint8_t> from(in, count * network.inputs());
    Buffer<int32_t> to(count * network.outputs());
    run(net, GivenRows{from.get(), to.get(), network.inputs(), network.outputs()}, count);
    to.read(out);
  }

  Packets encode(const Batch& batch, const int32_t* values, const uint8_t* scale,
                 const int16_t* mean) override {
    const size_t cells = batch.at(batch.streams, 0);
    const Buffer<int32_t> device_values(values, cells);
    const Buffer<uint8_t> device_scale(scale, cells);
    const Buffer<int16_t> device_mean(mean, cells);
    return code(batch, device_values, device_scale.get(), device_mean.get(), nullptr);
  }

  void decode(const Batch& batch, const Packets& packets, const uint8_t* scale, const int16_t* mean,
              int32_t* values, uint8_t* whole) override {
    const size_t cells = batch.at(batch.streams, 0);
    const Streams streams(batch);
    const Buffer<uint8_t> bytes(packets.bytes.data(), packets.bytes.size()),
        device_scale(scale, cells);
    const Buffer<uint64_t> start(packets.start.data(), packets.start.size());
    const Buffer<int16_t> device_mean(mean, cells);
    Buffer<int32_t> out(cells);
    Buffer<uint8_t> flags(static_cast<size_t>(batch.streams));
    const DecodeKernel kernel{streams.tables,     streams.batch,     {bytes.get(), start.get()},
                              device_scale.get(), device_mean.get(), out.get(),
                              flags.get()};
    Machine::launch(kernel, ceil_div(batch.streams, kStreamsOfBlock), kStreamsOfBlock, 0);
    out.read(values);
    flags.read(whole);
  }

  Packets encode_predicted(const Batch& batch, const IntegerNetwork& network, const uint8_t* side,
                           int side_count, const int32_t* values) override {
    const size_t cells = batch.at(batch.streams, 0);
    const DeviceNetwork<Machine> net(network);
    const Buffer<int32_t> device_values(values, cells);
    const Buffer<uint8_t> device_side(side, cells * side_count);
    const int back_count = network.inputs() - side_count;
    const Buffer<int32_t> back(batch.back, batch.back ? cells * back_count : 0);
    Buffer<uint8_t> scale(cells);
    Buffer<int16_t> mean(cells);
    const std::vector<uint8_t> none(cells);
    Buffer<uint8_t> inflation(none.data(), cells);
    std::vector<uint32_t> sums;
    for (int s = 0; s < batch.streams; ++s) {
      sums.push_back(0);
      for (int i = 0; i < batch.steps; ++i)
        sums.push_back(sum_after(sums.back(), values[batch.at(s, i)]));
    }
    const Buffer<uint32_t> device_sums(sums.data(), sums.size());
    run(net,
        PredictedRows{device_side.get(), device_values.get(), device_sums.get(), scale.get(),
                      mean.get(), inflation.get(), side_count, batch.steps,
                      batch.back ? back.get() : nullptr, back_count},
        cells);
    return code(batch, device_values, scale.get(), mean.get(), inflation.get());
  }

  void decode_predicted(const Batch& batch, const IntegerNetwork& network, const Packets& packets,
                        const uint8_t* side, int side_count, int32_t* values,
                        uint8_t* whole) override {
    const size_t cells = batch.at(batch.streams, 0);
    Streams streams(batch);
    const Buffer<int32_t> back(batch.back,
                               batch.back ? cells * (network.inputs() - side_count) : 0);
    if (batch.back) streams.batch.back = back.get();
    const DeviceNetwork<Machine> net(network);
    const Buffer<uint8_t> bytes(packets.bytes.data(), packets.bytes.size()),
        device_side(side, cells * side_count);
    const Buffer<uint64_t> start(packets.start.data(), packets.start.size());
    Buffer<int32_t> out(cells);
    const std::vector<uint32_t> zeros(cells + static_cast<size_t>(batch.streams));
    Buffer<uint32_t> sums(zeros.data(), zeros.size());
    Buffer<uint8_t> flags(static_cast<size_t>(batch.streams));
    const PredictedDecodeKernel kernel{
        streams.tables,    streams.batch, net.view(), {bytes.get(), start.get()},
        device_side.get(), side_count,    out.get(),  sums.get(),
        flags.get()};
    const int threads = std::min(256, ceil_div(network.widest(), 32) * 32);
    Machine::launch(kernel, batch.streams, threads,
                    2 * static_cast<size_t>(net.view().stride) + kMostOutputs);
    out.read(values);
    flags.read(whole);
  }

 private:
  // Tables and counts of a batch, over there.
  struct Streams {
    explicit Streams(const Batch& from)
        : scale(laplace_tables().scale, kScales),
          edges(laplace_tables().edges, laplace_tables().edge_count),
          counts(from.counts, static_cast<size_t>(from.streams)),
          tables{scale.get(), edges.get(), laplace_tables().edge_count},
          batch{from.streams, from.steps, counts.get(), nullptr} {}
    Buffer<ScaleTables> scale;
    Buffer<uint32_t> edges;
    Buffer<int32_t> counts;
    LaplaceTables tables;
    Batch batch;
  };

  template <class Rows>
  static void run(const DeviceNetwork<Machine>& net, const Rows& io, size_t rows) {
    const NetworkKernel<Rows> kernel{net.view(), io, rows};
    const int blocks = static_cast<int>((rows + kRowsOfBlock - 1) / kRowsOfBlock);
    Machine::launch(kernel, blocks, 128, 2 * kRowsOfBlock * static_cast<size_t>(net.view().stride));
  }

  static Packets code(const Batch& batch, const Buffer<int32_t>& values, const uint8_t* scale,
                      const int16_t* mean, const uint8_t* inflation) {
    const Streams streams(batch);
    Buffer<uint64_t> size(static_cast<size_t>(batch.streams));
    EncodeKernel kernel{streams.tables, streams.batch, values.get(), scale,  mean,
                        inflation,      size.get(),    nullptr,      nullptr};
    const int blocks = ceil_div(batch.streams, kStreamsOfBlock);
    Machine::launch(kernel, blocks, kStreamsOfBlock, 0);
    std::vector<uint64_t> sizes(static_cast<size_t>(batch.streams));
    size.read(sizes.data());

    Packets packets;
    for (const uint64_t n : sizes) packets.start.push_back(packets.start.back() + n);
    packets.bytes.resize(packets.start.back());
    if (packets.bytes.empty()) return packets;
    const Buffer<uint64_t> start(packets.start.data(), packets.start.size());
    Buffer<uint8_t> bytes(packets.bytes.size());
    kernel.bytes = bytes.get();
    kernel.start = start.get();
    Machine::launch(kernel, blocks, kStreamsOfBlock, 0);
    bytes.read(packets.bytes.data());
    return packets;
  }
};

}  // namespace gv::cuda
