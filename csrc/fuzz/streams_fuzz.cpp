// Fuzzing of the stream coder (tokens, base gvc1d, summaries): build/fuzz/streams_fuzz CORPUS.
//
// An input is a batch: how many streams and steps, tables or a network that predicts them, then
// either packets of any bytes or values. Packets decode on every back-end to the same values; encoded
// values decode to themselves.
#include <tuple>

#include "cuda/emulated.hpp"
#include "entropy/streams.hpp"
#include "fuzz/bytes.hpp"

namespace {

gv::IntegerNetwork network(gvfuzz::Bytes& in, int inputs) {
  std::vector<gv::DenseLayer> layers;
  const int hidden = in.below(6) + 1;
  const int outputs = gv::kFewestOutputs + in.below(2);
  for (const auto& [from, to, last] :
       {std::tuple{inputs, hidden, false}, std::tuple{hidden, outputs, true}}) {
    gv::DenseLayer layer;
    layer.inputs = from;
    layer.outputs = to;
    for (int i = 0; i < from * to; ++i) layer.weight.push_back(in.value<int8_t>());
    for (int o = 0; o < to; ++o) {
      layer.bias.push_back(gv::clamp(in.value<int32_t>(), -gv::kMaxBias, gv::kMaxBias));
      layer.multiplier.push_back(in.value<int32_t>());
    }
    layer.shift = in.below(62) + 1;
    if (last) layer.low = INT32_MIN, layer.high = INT32_MAX;
    layers.push_back(std::move(layer));
  }
  return gv::IntegerNetwork(std::move(layers));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gvfuzz::Bytes in(data, size);
  gv::Batch batch;
  batch.streams = in.below(5) + 1;
  batch.steps = in.below(24) + 1;
  std::vector<int32_t> counts;
  for (int s = 0; s < batch.streams; ++s) counts.push_back(in.below(batch.steps + 1));
  batch.counts = counts.data();
  const size_t cells = static_cast<size_t>(batch.streams) * batch.steps;
  const uint8_t choice = in.byte();
  const bool predicted = choice & 1, spans = choice & 2, made = in.byte() & 1;
  const int sides = in.below(4);
  std::vector<uint8_t> scale(cells), side(cells * sides);
  std::vector<int16_t> mean(cells);
  for (uint8_t& v : side) v = in.byte();
  for (size_t i = 0; i < cells && !predicted; ++i) {
    scale[i] = static_cast<uint8_t>(in.below(gv::kScales));
    mean[i] = in.value<int16_t>();
  }
  const gv::IntegerNetwork net = network(in, sides + in.below(4) + 1);
  std::vector<int32_t> values(cells);
  std::vector<int32_t> back(spans ? cells * static_cast<size_t>(net.inputs() - sides) : 0);
  for (int32_t& entry : back) {
    const int far = in.below(25);
    entry = far & 1 ? far : -(far << gv::kSpanBits | in.below(25));
  }
  if (spans) batch.back = back.data();
  gv::Packets packets;
  gv::StreamBackend* const machines[] = {&gv::cpu_backend(), &gv::cuda::emulated_backend()};
  if (made) {
    for (int s = 0; s < batch.streams; ++s)
      for (int t = 0; t < counts[s]; ++t) {
        const int bits = in.below(32);
        const int64_t size = in.value<uint32_t>() >> bits;
        values[batch.at(s, t)] = static_cast<int32_t>(
            gv::clamp<int64_t>(in.byte() & 1 ? -size : size, INT32_MIN, INT32_MAX));
      }
    packets = predicted
                  ? machines[0]->encode_predicted(batch, net, side.data(), sides, values.data())
                  : machines[0]->encode(batch, values.data(), scale.data(), mean.data());
  } else {
    for (int s = 0; s < batch.streams; ++s) {
      const std::vector<uint8_t> packet = in.take(in.below(40));
      packets.bytes.insert(packets.bytes.end(), packet.begin(), packet.end());
      packets.start.push_back(packets.bytes.size());
    }
  }
  std::vector<int32_t> found[2];
  std::vector<uint8_t> whole[2];
  for (int i = 0; i < 2; ++i) {
    found[i].assign(cells, -1);
    whole[i].assign(static_cast<size_t>(batch.streams), 2);
    if (predicted)
      machines[i]->decode_predicted(batch, net, packets, side.data(), sides, found[i].data(),
                                    whole[i].data());
    else
      machines[i]->decode(batch, packets, scale.data(), mean.data(), found[i].data(),
                          whole[i].data());
  }
  gvfuzz::require(found[0] == found[1] && whole[0] == whole[1]);
  if (made) {
    gvfuzz::require(found[0] == values);
    for (const uint8_t w : whole[0]) gvfuzz::require(w == 1);
  }
  return 0;
}
