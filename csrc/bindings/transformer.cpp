// Python bindings of exact transformer inference (`gvcodec/gvc1d/ops_exact.py`).
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <vector>

#include "bindings/arrays.hpp"
#include "transformer/panels.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

namespace exact = gv::exact;

using Array = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Vector = In<float, 1>;
using Matrix = In<float, 2>;
using Counts = In<int32_t, 1>;
using KeyValue = In<float, 3>;

int to_int(size_t value) {
  check(value <= exact::kMostRows, "an array is too large");
  return static_cast<int>(value);
}

// An array that is written whole, of `like`'s shape with `last` columns.
Out<float> unset(const Array& like, size_t last) {
  std::vector<size_t> shape;
  size_t size = 1;
  for (size_t i = 0; i < like.ndim(); ++i) {
    shape.push_back(i + 1 < like.ndim() ? like.shape(i) : last);
    size *= shape.back();
  }
  auto* data = new float[size];
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<float*>(p); });
  return Out<float>(data, shape.size(), shape.data(), owner);
}

// Rows of an array, all axes but the last.
int rows_of(const Array& x) {
  check(x.ndim() >= 1, "an array has at least one axis");
  size_t rows = 1;
  for (size_t i = 0; i + 1 < x.ndim(); ++i) rows *= x.shape(i);
  return to_int(rows);
}

size_t width_of(const Array& x) { return x.shape(x.ndim() - 1); }

const float* optional(const std::optional<Vector>& vector, size_t size, const char* what) {
  if (!vector) return nullptr;
  check(vector->shape(0) == size, what);
  return vector->data();
}

const int32_t* optional(const std::optional<Counts>& visible, size_t queries) {
  if (!visible) return nullptr;
  check(visible->shape(0) == queries, "one visible count for each query");
  return visible->data();
}

Out<float> linear(const Array& x, const Matrix& weight, const std::optional<Vector>& bias,
                  int threads) {
  const int rows = rows_of(x);
  check(width_of(x) == weight.shape(0), "the input does not fit the weight");
  const float* add = optional(bias, weight.shape(1), "the bias does not fit the weight");
  const int inputs = to_int(weight.shape(0)), outputs = to_int(weight.shape(1));
  Out<float> out = unset(x, weight.shape(1));
  nb::gil_scoped_release unlocked;
  exact::linear(x.data(), rows, inputs, weight.data(), outputs, add, threads, out.data());
  return out;
}

Out<float> layer_norm(const Array& x, const Vector& gain, const Vector& bias, float epsilon,
                      int threads) {
  const int rows = rows_of(x);
  check(gain.shape(0) == width_of(x) && bias.shape(0) == width_of(x),
        "gain and bias do not fit the input");
  check(epsilon > 0 && epsilon <= 1, "epsilon is out of range");
  Out<float> out = unset(x, width_of(x));
  nb::gil_scoped_release unlocked;
  exact::layer_norm(x.data(), rows, to_int(width_of(x)), gain.data(), bias.data(), epsilon,
                    threads, out.data());
  return out;
}

template <exact::Function kFunction>
Out<float> apply(const Array& x, int threads) {
  rows_of(x);
  Out<float> out = unset(x, width_of(x));
  nb::gil_scoped_release unlocked;
  exact::apply(kFunction, x.data(), x.size(), threads, out.data());
  return out;
}

exact::Heads heads_of(const Array& x) {
  const auto depth = static_cast<ptrdiff_t>(x.shape(3)), rows = static_cast<ptrdiff_t>(x.shape(2));
  return {x.data(), static_cast<ptrdiff_t>(x.shape(1)) * rows * depth, rows * depth, depth};
}

Out<float> attention(const Array& query, const Array& key, const Array& value,
                     const std::optional<Counts>& visible, int threads) {
  check(query.ndim() == 4 && key.ndim() == 4 && value.ndim() == 4, "four axes");
  for (size_t i : {0, 1, 3})
    check(key.shape(i) == query.shape(i), "query and key are of different shapes");
  for (size_t i : {0, 1, 2, 3})
    check(value.shape(i) == key.shape(i), "key and value are of different shapes");
  const exact::AttentionShape shape{to_int(query.shape(0)), to_int(query.shape(1)),
                                    to_int(query.shape(2)), to_int(key.shape(2)),
                                    to_int(query.shape(3))};
  const int32_t* counts = optional(visible, query.shape(2));
  Out<float> out = unset(query, query.shape(3));
  const exact::Heads to = heads_of(query);
  nb::gil_scoped_release unlocked;
  exact::attention(shape, heads_of(query), heads_of(key), heads_of(value), false, counts,
                   threads, to, out.data());
  return out;
}

exact::BlockWeights weights_of(const std::vector<Vector>& vectors,
                               const std::vector<Matrix>& matrices, int heads) {
  check(vectors.size() == 8 && matrices.size() == 4, "eight vectors and four matrices");
  const size_t width = matrices[0].shape(0), hidden = matrices[2].shape(1);
  const size_t sizes[8] = {width, width, 3 * width, width, width, width, hidden, width};
  const size_t shapes[4][2] = {
      {width, 3 * width}, {width, width}, {width, hidden}, {hidden, width}};
  for (size_t i = 0; i < 8; ++i)
    check(vectors[i].shape(0) == sizes[i], "the weights of a block do not fit together");
  for (size_t i = 0; i < 4; ++i)
    check(matrices[i].shape(0) == shapes[i][0] && matrices[i].shape(1) == shapes[i][1],
          "the weights of a block do not fit together");
  exact::BlockWeights w{};
  w.width = to_int(width), w.hidden = to_int(hidden), w.heads = heads;
  w.attention_gain = vectors[0].data(), w.attention_bias = vectors[1].data();
  w.qkv = matrices[0].data(), w.qkv_bias = vectors[2].data();
  w.out = matrices[1].data(), w.out_bias = vectors[3].data();
  w.mlp_gain = vectors[4].data(), w.mlp_bias = vectors[5].data();
  w.up = matrices[2].data(), w.up_bias = vectors[6].data();
  w.down = matrices[3].data(), w.down_bias = vectors[7].data();
  return w;
}

// Keys and values of earlier positions of a block.
struct BlockMemory {
  gv::exact::Floats keys, values;
  int batch = 0, width = 0, capacity = 0, length = 0;
};

exact::BlockCache place_of(BlockMemory& memory, int batch, int width) {
  check(memory.batch == batch && memory.width == width, "the cache is of another shape");
  return {memory.keys.data(), memory.values.data(), memory.capacity, memory.length};
}

void append(BlockMemory& memory, const KeyValue& key_value) {
  check(key_value.shape(2) % 2 == 0, "keys and values side by side");
  const int batch = to_int(key_value.shape(0)), length = to_int(key_value.shape(1)),
            width = to_int(key_value.shape(2) / 2);
  exact::remember(place_of(memory, batch, width), key_value.data(), 2 * width, batch, length,
                  width);
  memory.length += length;
}

Out<float> block(const Array& x, const std::vector<Vector>& vectors,
                 const std::vector<Matrix>& matrices, int heads,
                 const std::optional<Counts>& visible, const std::optional<KeyValue>& context,
                 BlockMemory* memory, int threads) {
  const exact::BlockWeights w = weights_of(vectors, matrices, heads);
  check(x.ndim() == 3 && x.shape(2) == static_cast<size_t>(w.width), "x is of another shape");
  const int32_t* counts = optional(visible, x.shape(1));
  const int batch = to_int(x.shape(0)), length = to_int(x.shape(1));
  exact::BlockContext before{};
  if (context) {
    check(context->shape(0) == x.shape(0) && context->shape(2) == 2 * x.shape(2),
          "the context is of another shape");
    before = {context->data(), to_int(context->shape(1))};
  }
  exact::BlockCache past{};
  if (memory) past = place_of(*memory, batch, w.width);
  Out<float> out = unset(x, x.shape(2));
  nb::gil_scoped_release unlocked;
  exact::block(x.data(), batch, length, w, counts, context ? &before : nullptr,
               memory ? &past : nullptr, threads, out.data());
  if (memory) memory->length += length;
  return out;
}

void start(BlockMemory* self, int batch, int capacity, int width) {
  check(batch >= 0 && batch <= exact::kMostRows, "too many rows");
  check(capacity >= 1 && capacity <= exact::kMostKeys, "a capacity is out of range");
  check(width >= 1 && width <= exact::kMostWidth, "a width is out of range");
  const int room = gv::ceil_div(capacity, exact::kMostPanelWidth) * exact::kMostPanelWidth;
  const size_t size = static_cast<size_t>(batch) * static_cast<size_t>(room) * width;
  check(size <= size_t{1} << 30, "too many rows");  // 4 GiB each
  new (self) BlockMemory{gv::exact::Floats(size),
                         gv::exact::Floats(size + exact::kMostPanelWidth),
                         batch, width, room, 0};
}

}  // namespace

void bind_transformer(nb::module_& m) {
  m.def("exact_linear", &linear, "x"_a.noconvert(), "weight"_a.noconvert(),
        "bias"_a.noconvert().none(), "threads"_a = 1,
        "x (..., inputs) times weight (inputs, outputs), plus bias (outputs) or None: float32, the "
        "same bits on every machine (docs/spec/exact-arithmetic.md).");
  m.def("exact_layer_norm", &layer_norm, "x"_a.noconvert(), "gain"_a.noconvert(),
        "bias"_a.noconvert(), "epsilon"_a, "threads"_a = 1,
        "Rows (..., width) of mean 0 and variance 1, times gain, plus bias.");
  m.def("exact_attention", &attention, "query"_a.noconvert(), "key"_a.noconvert(),
        "value"_a.noconvert(), "visible"_a.noconvert().none(), "threads"_a = 1,
        "query (batch, heads, queries, depth), key and value (batch, heads, keys, depth); query i "
        "sees the first visible[i] keys (int32), all for None.");
  nb::class_<BlockMemory>(m, "BlockCache",
                          "Keys and values of a block's earlier positions, for `exact_block`.")
      .def("__init__", &start, "batch"_a, "capacity"_a, "width"_a)
      .def_ro("length", &BlockMemory::length, "Positions so far.")
      .def("append", &append, "key_value"_a.noconvert(),
           "Adds positions (batch, positions, 2 width), keys and values side by side.")
      .def(
          "shorten",
          [](BlockMemory& self, int length) {
            check(length >= 0 && length <= self.length, "a length is out of range");
            self.length = length;
          },
          "length"_a, "Forgets the positions from `length` on.");
  m.def("exact_block", &block, "x"_a.noconvert(), "vectors"_a, "matrices"_a, "heads"_a,
        "visible"_a.noconvert().none(), "context"_a.noconvert().none(), "cache"_a.none(),
        "threads"_a = 1,
        "A pre-norm transformer block of x (batch, length, width). `vectors`: gain and bias of the "
        "first normalization, bias of qkv and out, gain and bias of the second, bias of up and "
        "down; `matrices`: qkv, out, up, down. A context (batch, positions, 2 width), keys and "
        "values, is seen before x; so is a cache, which is extended by the positions of x.");
  const auto function = [&](const char* name, auto body, const char* what) {
    m.def(name, body, "x"_a.noconvert(), "threads"_a = 1, what);
  };
  function("exact_exp", &apply<exact::Function::kExp>, "exp(x); 0 below -64, exp(88) above 88.");
  function("exact_log", &apply<exact::Function::kLog>, "log(x), x at least 2^-126.");
  function("exact_sigmoid", &apply<exact::Function::kSigmoid>, "1 / (1 + exp(-x)).");
  function("exact_gelu", &apply<exact::Function::kGelu>, "GELU in its tanh form.");
  function("exact_softplus", &apply<exact::Function::kSoftplus>, "log(1 + exp(x)).");
}
