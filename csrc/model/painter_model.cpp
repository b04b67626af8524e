#include "model/painter_model.hpp"

#include "model/safetensors.hpp"

namespace gv {
namespace {

constexpr int kForm = 2;
constexpr int kStatistics = 16, kHeadOutputs = 15, kConditionEntries = 10, kMostBlocks = 64;
constexpr int kMostChannels = 512, kMostBias = 1 << 28, kMostMultiplier = 1023;
constexpr int kMostTokenWeight = 508, kTokenContext = 9, kMostNetworkLayers = 8;
constexpr int kUnused = 10;  // for numbers that `view` does not have

[[noreturn]] void not_a_painter() { refuse("not a painter: layers do not fit together"); }

int outputs_of(const Safetensors& file, const std::string& layer) {
  const std::vector<uint64_t>& shape = file.at(layer + ".multiplier").shape;
  if (shape.size() != 1 || shape[0] < 1 || shape[0] > kMostChannels) not_a_painter();
  return static_cast<int>(shape[0]);
}

template <class T>
std::vector<int32_t> numbers(const Safetensors& file, const std::string& name, const char* type,
                             int outputs, int64_t low, int64_t high) {
  const Tensor& tensor = file.at(name);
  if (tensor.shape != std::vector<uint64_t>{static_cast<uint64_t>(outputs)}) not_a_painter();
  const std::vector<T> values = tensor.numbers<T>(type, low, high);
  return std::vector<int32_t>(values.begin(), values.end());
}

// A layer of which all sizes are known.
PainterLayer read_layer(const Safetensors& file, const std::string& name, int outputs, int inputs,
                        int side) {
  PainterLayer layer;
  layer.outputs = outputs, layer.inputs = inputs, layer.side = side;
  layer.multiplier =
      numbers<int16_t>(file, name + ".multiplier", "I16", outputs, 0, kMostMultiplier);
  layer.shift = numbers<int16_t>(file, name + ".shift", "I16", outputs, 1, 30);
  if (name == "view") {
    layer.weight.assign(static_cast<size_t>(outputs), 0);
    layer.bias.assign(static_cast<size_t>(outputs), kUnused);
    layer.step = layer.bias;
    return layer;
  }
  const Tensor& weight = file.at(name + ".weight");
  const std::vector<uint64_t> shape = {static_cast<uint64_t>(outputs),
                                       static_cast<uint64_t>(inputs), static_cast<uint64_t>(side),
                                       static_cast<uint64_t>(side)};
  if (weight.shape != shape) not_a_painter();
  layer.weight = weight.numbers<int8_t>("I8", -127, 127);
  layer.bias = numbers<int32_t>(file, name + ".bias", "I32", outputs, -kMostBias, kMostBias);
  layer.step = numbers<int16_t>(file, name + ".step", "I16", outputs, 7, 14);
  return layer;
}

IntegerNetwork read_network(const Safetensors& file, int inputs) {
  std::vector<DenseLayer> layers;
  for (int i = 0; i < kMostNetworkLayers; ++i) {
    const std::string name = "tokens." + std::to_string(i) + ".";
    if (!file.tensors.count(name + "weight")) break;
    const Tensor& weight = file.at(name + "weight");
    if (weight.shape.size() != 2 || weight.shape[0] > kMaxInputsOfLayer) not_a_painter();
    DenseLayer layer;
    layer.outputs = static_cast<int>(weight.shape[0]);
    layer.inputs = static_cast<int>(std::min<uint64_t>(weight.shape[1], kMaxInputsOfLayer + 1));
    const std::vector<int8_t> weights = weight.numbers<int8_t>("I8", INT8_MIN, INT8_MAX);
    layer.weight.assign(weights.begin(), weights.end());
    const int out = layer.outputs;
    layer.bias = numbers<int32_t>(file, name + "bias", "I32", out, INT32_MIN, INT32_MAX);
    layer.multiplier =
        numbers<int32_t>(file, name + "multiplier", "I32", out, INT32_MIN, INT32_MAX);
    const auto bounds = numbers<int32_t>(file, name + "bounds", "I32", 3, INT32_MIN, INT32_MAX);
    layer.shift = bounds[0], layer.low = bounds[1], layer.high = bounds[2];
    layers.push_back(std::move(layer));
  }
  IntegerNetwork network(std::move(layers));
  if (network.inputs() != inputs || network.outputs() != 3) not_a_painter();
  return network;
}

void read_tokens(const Safetensors& file, PainterModel& model) {
  const auto first = file.tensors.lower_bound("tokens.");
  if (first == file.tensors.end() || first->first.compare(0, 7, "tokens.") != 0) return;
  const Tensor& weight = file.at("tokens.weight");
  const uint64_t style = static_cast<uint64_t>(model.layers.style.outputs);
  if (weight.shape.size() != 2 || weight.shape[0] != style) not_a_painter();
  const uint64_t dimensions = weight.shape[1];
  if (dimensions < 4 || dimensions > 16 || dimensions % 4) not_a_painter();
  model.dimensions = static_cast<int>(dimensions);
  model.token_weight = weight.numbers<int16_t>("I16", -kMostTokenWeight, kMostTokenWeight);
  model.token_network = read_network(file, model.dimensions + kTokenContext);
}

PainterModel read_layers(const Safetensors& file) {
  PainterModel model;
  PainterLayers& l = model.layers;
  const int c = outputs_of(file, "view"), stem = outputs_of(file, "stem"),
            style = outputs_of(file, "style");
  if (c <= kStatistics || c % 4 || stem % 4 || style % 4) not_a_painter();
  l.stem = read_layer(file, "stem", stem, 12, 3);
  l.stem2 = read_layer(file, "stem2", c - kStatistics, stem, 3);
  l.statistics = read_layer(file, "statistics", kStatistics, kStatistics, 1);
  l.view = read_layer(file, "view", c, 1, 1);
  l.style = read_layer(file, "style", style, c, 1);
  l.head = read_layer(file, "head", kHeadOutputs, style, 1);
  for (int n = 0;; ++n) {
    const std::string name = "blocks." + std::to_string(n) + ".";
    if (!file.tensors.count(name + "condition")) break;
    const int wide = outputs_of(file, name + "expand");
    if (n == kMostBlocks || wide % 4) not_a_painter();
    const Tensor& condition = file.at(name + "condition");
    if (condition.shape != std::vector<uint64_t>{static_cast<uint64_t>(c), kConditionEntries})
      not_a_painter();
    l.blocks.push_back({read_layer(file, name + "depthwise", c, 1, 5),
                        read_layer(file, name + "expand", wide, c, 1),
                        read_layer(file, name + "project", c, wide, 1),
                        condition.numbers<int32_t>("I32", -65536, 65536)});
  }
  read_tokens(file, model);
  return model;
}

}  // namespace

PainterModel read_painter(Bytes data) {
  const Safetensors file = read_safetensors(data);
  const auto text = file.texts.find("painter");
  require(text != file.texts.end(), "not a painter: its sizes are missing");
  const int64_t form = json_integer(text->second, "form", 1);
  if (form != kForm)
    throw StreamError(Fault::newer, "a painter of form " + std::to_string(form) + ", not 2");
  try {
    return read_layers(file);
  } catch (const std::invalid_argument& error) {
    refuse(std::string("not a painter: ") + error.what());
  }
}

}  // namespace gv
