// The exact transformer on a machine that runs the kernels (backend.hpp defines Machine).
#pragma once

#include "cuda/exact_device.hpp"
#include "cuda/exact_kernels.hpp"

namespace gv::cuda {

template <class Machine>
class DeviceTransformer final : public TransformerBackend {
  template <class T>
  using Buffer = typename Machine::template Buffer<T>;
  using Floats = Buffer<float>;
  static constexpr size_t kShared = gv::exact::kSumLanes + 1;

 public:
  void apply(gv::exact::Function function, const float* x, size_t count, float* out) override {
    Floats values(x, count);
    on_device(function, values.get(), count);
    values.read(out);
  }

  void linear(const float* x, int rows, int inputs, const float* weight, int outputs,
              const float* bias, float* out) override {
    const Floats from(x, size(rows, inputs)), w(weight, size(inputs, outputs));
    const Floats b(bias, bias ? outputs : 0);
    Floats to(size(rows, outputs));
    on_device({from.get(), w.get(), bias ? b.get() : nullptr, nullptr, rows, inputs, outputs,
               to.get()});
    to.read(out);
  }

  void layer_norm(const float* x, int rows, int width, const float* gain, const float* bias,
                  float epsilon, float* out) override {
    const Floats from(x, size(rows, width)), g(gain, width), b(bias, width);
    Floats to(size(rows, width));
    on_device({from.get(), g.get(), b.get(), width, epsilon, to.get()}, rows);
    to.read(out);
  }

  void attention(const gv::exact::AttentionShape& shape, const float* query, const float* key,
                 const float* value, const int32_t* visible, float* out) override {
    const size_t heads = size(shape.batch, shape.heads), n = heads * shape.queries,
                 m = heads * shape.keys, d = static_cast<size_t>(shape.depth);
    const Floats q(query, n * d), k(key, m * d), v(value, m * d);
    const Buffer<int32_t> counts(visible, visible ? shape.queries : 0);
    Floats to(n * d);
    const auto places = [&](const float* data, int rows) {
      const ptrdiff_t head = static_cast<ptrdiff_t>(rows) * shape.depth;
      return gv::exact::Heads{data, shape.heads * head, head, shape.depth};
    };
    on_device(shape, places(q.get(), shape.queries), places(k.get(), shape.keys),
              places(v.get(), shape.keys), visible ? counts.get() : nullptr,
              places(nullptr, shape.queries), to.get());
    to.read(out);
  }

  void block(const float* x, int batch, int length, const gv::exact::BlockWeights& w,
             const int32_t* visible, float* out) override {
    const int rows = batch * length, D = w.width, H = w.hidden, depth = D / w.heads;
    const Floats gain1(w.attention_gain, D), bias1(w.attention_bias, D), gain2(w.mlp_gain, D),
        bias2(w.mlp_bias, D), qkv_w(w.qkv, size(D, 3 * D)), qkv_b(w.qkv_bias, 3 * D),
        out_w(w.out, size(D, D)), out_b(w.out_bias, D), up_w(w.up, size(D, H)), up_b(w.up_bias, H),
        down_w(w.down, size(H, D)), down_b(w.down_bias, D);
    const Buffer<int32_t> counts(visible, visible ? length : 0);
    const Floats from(x, size(rows, D));
    Floats norm(size(rows, D)), qkv(size(rows, 3 * D)), mixed(size(rows, D)), y(size(rows, D)),
        hidden(size(rows, H)), to(size(rows, D));

    on_device({from.get(), gain1.get(), bias1.get(), D, gv::exact::kEpsilon, norm.get()}, rows);
    on_device({norm.get(), qkv_w.get(), qkv_b.get(), nullptr, rows, D, 3 * D, qkv.get()});
    const ptrdiff_t row = 3 * D, all = row * length;
    const auto part = [&](int i) {
      return gv::exact::Heads{qkv.get() + i * D, all, depth, row};
    };
    on_device({batch, w.heads, length, length, depth}, part(0), part(1), part(2),
              visible ? counts.get() : nullptr,
              {nullptr, static_cast<ptrdiff_t>(length) * D, depth, D}, mixed.get());
    on_device({mixed.get(), out_w.get(), out_b.get(), from.get(), rows, D, D, y.get()});
    on_device({y.get(), gain2.get(), bias2.get(), D, gv::exact::kEpsilon, norm.get()}, rows);
    on_device({norm.get(), up_w.get(), up_b.get(), nullptr, rows, D, H, hidden.get()});
    on_device(gv::exact::Function::kGelu, hidden.get(), size(rows, H));
    on_device({hidden.get(), down_w.get(), down_b.get(), y.get(), rows, H, D, to.get()});
    to.read(out);
  }

 private:
  static size_t size(int a, int b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }

  static void on_device(gv::exact::Function function, float* values, size_t count) {
    const size_t blocks = (count + exact::kThreads - 1) / exact::kThreads;
    Machine::launch(exact::FunctionKernel{function, values, values, count},
                    static_cast<int>(blocks), exact::kThreads, 0);
  }

  static void on_device(const exact::LinearKernel& kernel) {
    const int blocks = ceil_div(kernel.outputs, exact::kTileColumns) *
                       ceil_div(kernel.rows, exact::kTileRows);
    Machine::launch(kernel, blocks, exact::kThreads, 0);
  }

  static void on_device(const exact::NormKernel& kernel, int rows) {
    Machine::launch(kernel, rows, exact::kThreads, kShared);
  }

  static void on_device(const gv::exact::AttentionShape& shape, const gv::exact::Heads& query,
                        const gv::exact::Heads& key, const gv::exact::Heads& value,
                        const int32_t* visible, const gv::exact::Heads& to, float* out) {
    const int blocks = shape.batch * shape.heads * shape.queries;
    Floats scores(size(blocks, shape.keys));
    const exact::AttentionKernel kernel{shape, query, key, value, to, visible, scores.get(), out};
    Machine::launch(kernel, blocks, exact::kThreads, kShared);
  }
};

}  // namespace gv::cuda
