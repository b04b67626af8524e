// Python bindings of the integer network and of many streams at once, on any back-end.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "bindings/network.hpp"
#include "cuda/device.hpp"
#include "cuda/emulated.hpp"
#include "entropy/streams.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

#if defined(GVCODEC_CUDA)
constexpr bool kBuiltWithCuda = true;
#else
constexpr bool kBuiltWithCuda = false;
#endif

std::string cuda_device() {
#if defined(GVCODEC_CUDA)
  return gv::cuda::device_name();
#else
  return {};
#endif
}

gv::StreamBackend& backend_of(const std::string& name) {
  if (name == "cpu") return gv::cpu_backend();
  if (name == "emulated") return gv::cuda::emulated_backend();
  if (name != "cuda") throw nb::value_error("back-ends are cpu, cuda and emulated");
#if defined(GVCODEC_CUDA)
  return gv::cuda::device_backend();
#else
  throw std::runtime_error("built without CUDA");
#endif
}

template <class Array>
gv::Batch to_batch(const Array& cells, const In<int32_t, 1>& counts) {
  check(cells.shape(0) <= INT32_MAX && cells.shape(1) <= INT32_MAX, "a batch of impossible size");
  check(counts.shape(0) == cells.shape(0), "as many counts as streams");
  for (size_t s = 0; s < counts.shape(0); ++s)
    check(counts(s) >= 0 && counts(s) <= static_cast<int64_t>(cells.shape(1)),
          "counts are 0…steps");
  return {static_cast<int>(cells.shape(0)), static_cast<int>(cells.shape(1)), counts.data(),
          nullptr};
}

template <class Left, class Right>
void check_shape(const Left& left, const Right& right, const char* what) {
  check(left.shape(0) == right.shape(0) && left.shape(1) == right.shape(1), what);
}

void check_scales(const In<uint8_t, 2>& scale) {
  check(std::all_of(scale.data(), scale.data() + scale.size(),
                    [](uint8_t s) { return s < gv::kScales; }),
        "scale is 0…63");
}

void check_predictor(const gv::IntegerNetwork& network, const In<uint8_t, 3>& side) {
  check(network.outputs() == gv::kFewestOutputs || network.outputs() == gv::kMostOutputs,
        "a predicting network has two or three outputs");
  check(side.shape(2) <= static_cast<size_t>(network.inputs()),
        "more side information than inputs");
}

using Back = std::optional<In<int32_t, 3>>;

void set_back(gv::Batch& batch, const Back& back, const gv::IntegerNetwork& network,
              const In<uint8_t, 3>& side) {
  if (!back) return;
  check_shape(*back, side, "as many values before as steps");
  check(back->shape(2) + side.shape(2) == static_cast<size_t>(network.inputs()),
        "inputs are side information and values before");
  batch.back = back->data();
}

gv::Packets to_packets(const std::vector<nb::bytes>& list, const gv::Batch& batch) {
  check(list.size() == static_cast<size_t>(batch.streams), "as many packets as streams");
  gv::Packets packets;
  for (const nb::bytes& one : list) {
    const auto* data = reinterpret_cast<const uint8_t*>(one.c_str());
    packets.bytes.insert(packets.bytes.end(), data, data + one.size());
    packets.start.push_back(packets.bytes.size());
  }
  return packets;
}

nb::list to_list(const gv::Packets& packets) {
  nb::list list;
  for (size_t s = 0; s + 1 < packets.start.size(); ++s)
    list.append(nb::bytes(reinterpret_cast<const char*>(packets.bytes.data()) + packets.start[s],
                          packets.start[s + 1] - packets.start[s]));
  return list;
}

struct Decoded {
  std::vector<int32_t> values;
  std::vector<uint8_t> whole;

  explicit Decoded(const gv::Batch& batch)
      : values(batch.at(batch.streams, 0)), whole(static_cast<size_t>(batch.streams)) {}
  nb::tuple to_tuple(const gv::Batch& batch) && {
    const size_t streams = static_cast<size_t>(batch.streams),
                 steps = static_cast<size_t>(batch.steps);
    return nb::make_tuple(to_numpy(std::move(values), {streams, steps}),
                          to_numpy(std::move(whole), {streams}));
  }
};

Out<int32_t> forward(const std::vector<Layer>& layers, const In<uint8_t, 2>& activations,
                     const std::string& backend) {
  gv::StreamBackend& machine = backend_of(backend);
  const gv::IntegerNetwork network = to_network(layers);
  check(activations.shape(1) == static_cast<size_t>(network.inputs()),
        "activations do not fit the first layer");
  check(activations.shape(0) <= INT32_MAX, "a batch of impossible size");
  const size_t rows = activations.shape(0), outputs = static_cast<size_t>(network.outputs());
  std::vector<int32_t> out(rows * outputs);
  {
    nb::gil_scoped_release unlocked;
    machine.forward(network, activations.data(), static_cast<int>(rows), out.data());
  }
  return to_numpy(std::move(out), {rows, outputs});
}

nb::list encode(const In<int32_t, 2>& values, const In<uint8_t, 2>& scale,
                const In<int16_t, 2>& mean, const In<int32_t, 1>& counts,
                const std::string& backend) {
  gv::StreamBackend& machine = backend_of(backend);
  const gv::Batch batch = to_batch(values, counts);
  check_shape(values, scale, "as many scales as values");
  check_shape(values, mean, "as many means as values");
  check_scales(scale);
  gv::Packets packets;
  {
    nb::gil_scoped_release unlocked;
    packets = machine.encode(batch, values.data(), scale.data(), mean.data());
  }
  return to_list(packets);
}

nb::tuple decode(const std::vector<nb::bytes>& list, const In<uint8_t, 2>& scale,
                 const In<int16_t, 2>& mean, const In<int32_t, 1>& counts,
                 const std::string& backend) {
  gv::StreamBackend& machine = backend_of(backend);
  const gv::Batch batch = to_batch(scale, counts);
  check_shape(scale, mean, "as many means as scales");
  check_scales(scale);
  const gv::Packets packets = to_packets(list, batch);
  Decoded out(batch);
  {
    nb::gil_scoped_release unlocked;
    machine.decode(batch, packets, scale.data(), mean.data(), out.values.data(), out.whole.data());
  }
  return std::move(out).to_tuple(batch);
}

nb::list encode_predicted(const std::vector<Layer>& layers, const In<uint8_t, 3>& side,
                          const In<int32_t, 2>& values, const In<int32_t, 1>& counts,
                          const std::string& backend, const Back& back) {
  gv::StreamBackend& machine = backend_of(backend);
  const gv::IntegerNetwork network = to_network(layers);
  gv::Batch batch = to_batch(values, counts);
  check_shape(values, side, "side information of another shape");
  check_predictor(network, side);
  set_back(batch, back, network, side);
  gv::Packets packets;
  {
    nb::gil_scoped_release unlocked;
    packets = machine.encode_predicted(batch, network, side.data(), static_cast<int>(side.shape(2)),
                                       values.data());
  }
  return to_list(packets);
}

nb::tuple decode_predicted(const std::vector<Layer>& layers, const In<uint8_t, 3>& side,
                           const std::vector<nb::bytes>& list, const In<int32_t, 1>& counts,
                           const std::string& backend, const Back& back) {
  gv::StreamBackend& machine = backend_of(backend);
  const gv::IntegerNetwork network = to_network(layers);
  gv::Batch batch = to_batch(side, counts);
  check_predictor(network, side);
  set_back(batch, back, network, side);
  const gv::Packets packets = to_packets(list, batch);
  Decoded out(batch);
  {
    nb::gil_scoped_release unlocked;
    machine.decode_predicted(batch, network, packets, side.data(), static_cast<int>(side.shape(2)),
                             out.values.data(), out.whole.data());
  }
  return std::move(out).to_tuple(batch);
}

Out<uint8_t> contexts(const In<uint8_t, 2>& side, const In<int32_t, 1>& values,
                      const In<int32_t, 2>& back) {
  const size_t steps = values.shape(0), sides = side.shape(1), inputs = sides + back.shape(1);
  check(steps <= INT32_MAX && side.shape(0) == steps && back.shape(0) == steps,
        "side information and values before for each value");
  std::vector<uint32_t> sums{0};
  std::vector<uint8_t> out(steps * inputs);
  for (size_t i = 0; i < steps; ++i) {
    for (size_t k = 0; k < inputs; ++k)
      out[i * inputs + k] = gv::context(side.data() + i * sides, static_cast<int>(sides),
                                        {values.data(), sums.data()}, static_cast<int>(i),
                                        static_cast<int>(k), back.data() + i * back.shape(1));
    sums.push_back(gv::sum_after(sums.back(), values(i)));
  }
  return to_numpy(std::move(out), {steps, inputs});
}

}  // namespace

void bind_streams(nb::module_& m) {
  m.attr("CUDA") = kBuiltWithCuda;
  m.def("cuda_device", &cuda_device,
        "Name of the CUDA device in use; empty without one, or in a build without CUDA.");
  m.def("intnet_forward", &forward, "layers"_a, "activations"_a, "backend"_a = "cpu",
        "Integer network: activations (rows, inputs) uint8 0…127 through layers (weight int8 (out, "
        "in), bias int32 (out),\n"
        "multiplier int32 (out), shift, low, high) to int32 (rows, out).");
  m.def("streams_encode", &encode, "values"_a, "scale"_a, "mean"_a, "counts"_a, "backend"_a,
        "Codes each row of values (streams, steps) as cdf_encode, the first counts[s] of it. "
        "Returns the packets.");
  m.def("streams_decode", &decode, "packets"_a, "scale"_a, "mean"_a, "counts"_a, "backend"_a,
        "Inverse of streams_encode: values (streams, steps), 0 behind the counts, and whether each "
        "packet was whole, uint8 (streams).");
  m.def("streams_encode_predicted", &encode_predicted, "layers"_a, "side"_a, "values"_a, "counts"_a,
        "backend"_a, "back"_a = nb::none(),
        "As streams_encode, with tables that an integer network predicts from side (streams, "
        "steps, n) and the values before: back (streams, steps, m) int32 of them, 0 = none, below "
        "0 the "
        "magnitude of a span, or the latest ones.");
  m.def("streams_decode_predicted", &decode_predicted, "layers"_a, "side"_a, "packets"_a,
        "counts"_a, "backend"_a, "back"_a = nb::none(),
        "Inverse of streams_encode_predicted; returns as streams_decode.");
  m.def("streams_contexts", &contexts, "side"_a, "values"_a, "back"_a,
        "Inputs of a predicting network for each value of a stream (steps): (steps, n + m) uint8 "
        "from side (steps, n) and back (steps, m).");
}
