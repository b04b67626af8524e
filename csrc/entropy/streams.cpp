#include "entropy/streams.hpp"

namespace gv {
namespace {

class CpuBackend final : public StreamBackend {
 public:
  void forward(const IntegerNetwork& network, const uint8_t* in, int rows, int32_t* out) override {
    network.forward(in, rows, out);
  }

  Packets encode(const Batch& batch, const int32_t* values, const uint8_t* scale,
                 const int16_t* mean) override {
    Packets packets;
    for (int s = 0; s < batch.streams; ++s) {
      RansEncoder coder;
      for (int i = 0; i < batch.counts[s]; ++i) {
        const size_t at = batch.at(s, i);
        encode_integer(coder, {scale[at], mean[at]}, values[at]);
      }
      append(packets, coder.finish());
    }
    return packets;
  }

  void decode(const Batch& batch, const Packets& packets, const uint8_t* scale, const int16_t* mean,
              int32_t* values, uint8_t* whole) override {
    std::fill_n(values, batch.at(batch.streams, 0), 0);
    for (int s = 0; s < batch.streams; ++s) {
      RansDecoder coder = reader(packets, s);
      for (int i = 0; i < batch.counts[s]; ++i) {
        const size_t at = batch.at(s, i);
        values[at] = decode_integer(coder, {scale[at], mean[at]});
      }
      whole[s] = coder.finished();
    }
  }

  Packets encode_predicted(const Batch& batch, const IntegerNetwork& network, const uint8_t* side,
                           int side_count, const int32_t* values) override {
    const int inputs = network.inputs(), outputs = network.outputs();
    std::vector<uint8_t> contexts(static_cast<size_t>(batch.steps) * inputs);
    std::vector<int32_t> models(static_cast<size_t>(batch.steps) * outputs);
    std::vector<uint32_t> sums(static_cast<size_t>(batch.steps) + 1);
    Packets packets;
    for (int s = 0; s < batch.streams; ++s) {
      const int32_t* row = values + batch.at(s, 0);
      for (int i = 0; i < batch.counts[s]; ++i) {
        gather(side + batch.at(s, i) * side_count, side_count, {row, sums.data()}, i, inputs,
               back_of(batch, batch.at(s, i), inputs - side_count),
               contexts.data() + static_cast<size_t>(i) * inputs);
        sums[i + 1] = sum_after(sums[i], row[i]);
      }
      network.forward(contexts.data(), batch.counts[s], models.data());
      RansEncoder coder;
      for (int i = 0; i < batch.counts[s]; ++i)
        encode_integer(coder, predicted(&models[static_cast<size_t>(i) * outputs], outputs),
                       row[i]);
      append(packets, coder.finish());
    }
    return packets;
  }

  // Step by step, so that the network serves all streams at once.
  void decode_predicted(const Batch& batch, const IntegerNetwork& network, const Packets& packets,
                        const uint8_t* side, int side_count, int32_t* values,
                        uint8_t* whole) override {
    std::fill_n(values, batch.at(batch.streams, 0), 0);
    std::vector<RansDecoder> coders;
    for (int s = 0; s < batch.streams; ++s) coders.push_back(reader(packets, s));
    const int inputs = network.inputs(), outputs = network.outputs();
    std::vector<uint8_t> contexts(static_cast<size_t>(batch.streams) * inputs);
    std::vector<int32_t> models(static_cast<size_t>(batch.streams) * outputs);
    const size_t stride = static_cast<size_t>(batch.steps) + 1;
    std::vector<uint32_t> sums(static_cast<size_t>(batch.streams) * stride);
    std::vector<int> active;
    for (int i = 0; i < batch.steps; ++i) {
      active.clear();
      for (int s = 0; s < batch.streams; ++s) {
        if (i >= batch.counts[s]) continue;
        uint8_t* to = contexts.data() + active.size() * inputs;
        gather(side + batch.at(s, i) * side_count, side_count,
               {values + batch.at(s, 0), sums.data() + s * stride}, i, inputs,
               back_of(batch, batch.at(s, i), inputs - side_count), to);
        active.push_back(s);
      }
      network.forward(contexts.data(), static_cast<int>(active.size()), models.data());
      const int32_t* model = models.data();
      for (const int s : active) {
        const int32_t value = decode_integer(coders[s], predicted(model, outputs));
        values[batch.at(s, i)] = value;
        uint32_t* const sum = sums.data() + s * stride + i;
        sum[1] = sum_after(sum[0], value);
        model += outputs;
      }
    }
    for (int s = 0; s < batch.streams; ++s) whole[s] = coders[s].finished();
  }

 private:
  static void append(Packets& packets, const std::vector<uint8_t>& bytes) {
    packets.bytes.insert(packets.bytes.end(), bytes.begin(), bytes.end());
    packets.start.push_back(packets.bytes.size());
  }
  static RansDecoder reader(const Packets& packets, int s) {
    return {packets.bytes.data() + packets.start[s],
            static_cast<size_t>(packets.start[s + 1] - packets.start[s])};
  }
  static void gather(const uint8_t* side, int side_count, const History& history, int step,
                     int inputs, const int32_t* back, uint8_t* to) {
    for (int k = 0; k < inputs; ++k) to[k] = context(side, side_count, history, step, k, back);
  }
  static const int32_t* back_of(const Batch& batch, size_t at, int count) {
    return batch.back ? batch.back + at * static_cast<size_t>(count) : nullptr;
  }
};

}  // namespace

StreamBackend& cpu_backend() {
  static CpuBackend backend;
  return backend;
}

}  // namespace gv
