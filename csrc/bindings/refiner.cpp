// Python bindings of the network that refines the entropy model's predictions.
#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bindings/arrays.hpp"
#include "bindings/turn.hpp"
#include "klt/codec.hpp"
#include "klt/recorder.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using TokenLayer = std::tuple<In<int8_t, 2>, In<int32_t, 1>, In<int32_t, 1>, int>;
using Network = std::tuple<In<int8_t, 2>, In<int8_t, 2>, In<int32_t, 2>, In<int32_t, 1>, int,
                           In<int8_t, 1>, int32_t, int32_t, int>;

template <class Wide, class Array>
std::vector<Wide> widen(const Array& in) {
  return std::vector<Wide>(in.data(), in.data() + in.size());
}

void check(bool good, const char* what) {
  if (!good) throw nb::value_error(what);
}

gv::DecisionNetwork to_network(const Network& in, size_t units) {
  const auto& [token, decision, row, multiplier, shift, out, out_bias, out_multiplier, out_shift] =
      in;
  constexpr size_t kHidden = gv::refine::kHidden, kFeatures = gv::refine::kDecisionFeatures;
  check(token.shape(0) == kHidden && token.shape(1) == units, "token weights of another shape");
  check(decision.shape(0) == kHidden && decision.shape(1) == kFeatures,
        "decision weights of another shape");
  check(row.shape(0) == gv::refine::kRows && row.shape(1) == kHidden, "table of another shape");
  check(multiplier.shape(0) == kHidden && out.shape(0) == kHidden,
        "network layers do not fit together");
  check(shift >= 1 && shift <= 30 && out_shift >= 1 && out_shift <= 30, "shift is 1…30");
  check(std::abs(int64_t{out_bias}) <= gv::kMaxBias, "bias beyond 2^30");
  for (size_t i = 0; i < row.size(); ++i)
    check(std::abs(int64_t{row.data()[i]}) <= gv::refine::kMaxRow, "table beyond 2^24");
  gv::DecisionNetwork n;
  n.token = widen<int16_t>(token);
  n.row = widen<int32_t>(row);
  for (size_t o = 0; o < kHidden; ++o) {
    check(multiplier(o) >= 0 && multiplier(o) <= gv::refine::kMaxMultiplier,
          "multiplier is 0…8191");
    n.multiplier[o] = multiplier(o);
    n.out[o] = out(o);
    for (size_t f = 0; f < kFeatures; ++f) n.decision[f * kHidden + o] = decision(o, f);
  }
  n.shift = shift;
  n.out_bias = out_bias;
  n.out_multiplier = out_multiplier;
  n.out_shift = out_shift;
  return n;
}

// Decodes a stream and codes its tokens again with another model.
struct Recorder {
  gv::KltDecoder decoder;
  const gv::Model* model;
  gv::MixState mix;
  gv::FrameTokens now, before;
  std::mutex mutex = {};
};

nb::dict record(Recorder& self, nb::bytes payload, bool refines) {
  const auto* data = reinterpret_cast<const uint8_t*>(payload.c_str());
  const Turn turn(self.mutex);
  {
    const size_t size = payload.size();
    nb::gil_scoped_release unlocked;
    self.decoder.decode(data, size);
  }
  const bool key = data[0] & 0x40;
  std::swap(self.now, self.before);
  self.now = self.decoder.tokens();
  if (key) {
    self.mix = self.model->initial;
    self.before.clear();
  }
  gv::BitRecorder coder(self.mix, gv::slots::kSetCount, refines);
  gv::code_frame(
      coder, *self.model, self.decoder.prediction(), self.now, self.before, self.decoder.q(), key,
      [] {}, [] {});
  const size_t tokens = coder.tokens, decisions = coder.token.size();
  nb::dict out;
  out["cost"] = to_numpy(std::move(coder.cost), {gv::slots::kSetCount});
  out["raw_bits"] = coder.raw_bits;
  out["token_features"] =
      to_numpy(std::move(coder.token_features), {tokens, gv::refine::kTokenFeatures});
  out["token"] = to_numpy(std::move(coder.token), {decisions});
  out["kind"] = to_numpy(std::move(coder.kind), {decisions});
  out["row"] = to_numpy(std::move(coder.row), {decisions});
  out["features"] = to_numpy(std::move(coder.features), {decisions, gv::refine::kDecisionFeatures});
  out["log_odds"] = to_numpy(std::move(coder.log_odds), {decisions});
  out["bit"] = to_numpy(std::move(coder.ones), {decisions});
  return out;
}

}  // namespace

void bind_refiner(nb::module_& m) {
  m.attr("TOKEN_FEATURES") = gv::refine::kTokenFeatures;
  m.attr("DECISION_FEATURES") = gv::refine::kDecisionFeatures;
  m.attr("REFINER_ROWS") = gv::refine::kRows;
  nb::class_<gv::RefinerModel>(
      m, "RefinerModel",
      "Integer network that refines the entropy model's predictions (csrc/klt/refiner.hpp).")
      .def(
          "__init__",
          [](gv::RefinerModel* self, const std::array<In<int16_t, 2>, 3>& relatives,
             const TokenLayer& token, const std::array<Network, gv::refine::kNetworks>& networks) {
            gv::RefinerModel model;
            for (size_t i = 0; i < 3; ++i) {
              const size_t count = i < 2 ? gv::kBlockSamples : gv::kCoarseCount;
              check(
                  relatives[i].shape(0) == count && relatives[i].shape(1) == gv::refine::kRelatives,
                  "relatives of another shape");
              model.relatives[i] = widen<int16_t>(relatives[i]);
              for (size_t k = 0; k < model.relatives[i].size(); ++k)
                check(model.relatives[i][k] < static_cast<int>(k / gv::refine::kRelatives),
                      "a relative comes before its coefficient");
            }
            const auto& [weight, bias, multiplier, shift] = token;
            gv::DenseLayer layer;
            layer.outputs = static_cast<int>(weight.shape(0));
            layer.inputs = static_cast<int>(weight.shape(1));
            check(layer.inputs == gv::refine::kTokenFeatures &&
                      layer.outputs <= gv::refine::kMaxUnits,
                  "token layer of another shape");
            layer.weight = widen<int16_t>(weight);
            layer.bias = widen<int32_t>(bias);
            layer.multiplier = widen<int32_t>(multiplier);
            layer.shift = shift;
            model.token.push_back(layer);
            (void)gv::IntegerNetwork(model.token);  // refuses what does not fit together
            for (size_t i = 0; i < networks.size(); ++i)
              model.network[i] = to_network(networks[i], weight.shape(0));
            new (self) gv::RefinerModel(std::move(model));
          },
          "relatives"_a, "token"_a, "networks"_a);

  nb::class_<Recorder>(
      m, "KltRecorder",
      "Decodes frames of `stream_model` and codes their tokens again with `model`.")
      .def(
          "__init__",
          [](Recorder* self, const gv::Model& stream_model, const gv::Model& model, int width,
             int height) {
            check(width >= 1 && height >= 1 && width <= 16384 && height <= 16384,
                  "picture size out of range");
            new (self)
                Recorder{gv::KltDecoder(stream_model, width, height, 1), &model, model.initial,
                         gv::FrameTokens(width, height), gv::FrameTokens(width, height)};
          },
          nb::keep_alive<1, 2>(), nb::keep_alive<1, 3>(), "stream_model"_a, "model"_a, "width"_a,
          "height"_a)
      .def("decode", &record, "payload"_a, "refines"_a = true,
           "Bits by weight set, raw bits, and the refiner's questions: token_features (tokens, 80) "
           "uint8 and, for each decision,\n"
           "token, kind, row, features (16), log_odds of the mixer alone, bit. `refines`: bits "
           "with corrections.");
}
