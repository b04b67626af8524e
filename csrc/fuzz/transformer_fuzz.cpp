// Fuzzing of the transformer's operations: build/fuzz/transformer_fuzz CORPUS.
//
// An input chooses an operation and its sizes, some out of range, then numbers: infinities, NaN and
// denormals among them. Every form of the loops gives the same bits, on one thread and on two.
#include <cmath>

#include "common/cpu.hpp"
#include "common/lines.hpp"
#include "fuzz/bytes.hpp"
#include "transformer/transformer.hpp"

namespace {

using namespace gv::exact;
using Numbers = gv::Lines<float>;
using Out = std::vector<float>;

// Numbers of a generator, a few of which the input replaces.
class Source {
 public:
  explicit Source(gvfuzz::Bytes& in)
      : in_(in), seed_(in.value<uint32_t>()), is_finite_(in.byte() & 1) {}
  Numbers take(size_t count) {
    Numbers numbers(count + kMostPanelWidth);
    for (float& number : numbers) number = next();
    return numbers;
  }

 private:
  float next() {
    constexpr float kOdd[] = {0.f,     -0.f,           1e-40f,   -1e-45f,   3.4e38f, -3.4e38f,
                              7.9e28f, -7.9e28f,       INFINITY, -INFINITY, NAN,     1e-30f,
                              88.f,    1.1754944e-38f, -64.f,    0.5f};
    seed_ = seed_ * 1664525u + 1013904223u;
    float number = static_cast<float>(static_cast<int32_t>(seed_) >> 8) * (1.0f / (1 << 20));
    if (seed_ >> 24 < 6) number = in_.value<float>();
    else if (seed_ >> 24 < 20) number = kOdd[seed_ >> 12 & 15];
    return is_finite_ && !std::isfinite(number) ? 1.f : number;
  }

  gvfuzz::Bytes& in_;
  uint32_t seed_;
  bool is_finite_;
};

// Runs `call(threads, out)` in all forms.
template <class Call>
void compare_forms(size_t count, const Call& call) {
  static const std::vector<std::string> forms = gv::cpu_forms();
  Out first;
  for (const std::string& form : forms)
    for (const int threads : {1, 2}) {
      gv::use_cpu(form);
      Out out(count);
      call(threads, out.data());
      if (first.empty()) first = out;
      gvfuzz::require(!count || !std::memcmp(first.data(), out.data(), count * sizeof(float)));
    }
}

int size_of(gvfuzz::Bytes& in, int most) { return in.below(most + 1); }  // 0 is refused

void try_linear(gvfuzz::Bytes& in, Source& source) {
  const int rows = size_of(in, 200), inputs = size_of(in, 70), outputs = size_of(in, 80);
  const bool has_bias = in.byte() & 1;
  const Numbers x = source.take(rows * inputs), weight = source.take(inputs * outputs),
                bias = source.take(outputs);
  compare_forms(rows * outputs, [&](int threads, float* out) {
    linear(x.data(), rows, inputs, weight.data(), outputs, has_bias ? bias.data() : nullptr,
           threads, out);
  });
}

void try_layer_norm(gvfuzz::Bytes& in, Source& source) {
  const int rows = size_of(in, 40), width = size_of(in, 100);
  const Numbers x = source.take(rows * width), gain = source.take(width), bias = source.take(width);
  compare_forms(rows * width, [&](int threads, float* out) {
    layer_norm(x.data(), rows, width, gain.data(), bias.data(), 1e-5f, threads, out);
  });
}

void try_function(gvfuzz::Bytes& in, Source& source) {
  const int count = in.value<uint16_t>() % 3000;
  const auto function = static_cast<Function>(in.below(6));
  const Numbers x = source.take(count);
  compare_forms(count,
                [&](int threads, float* out) { apply(function, x.data(), count, threads, out); });
}

void try_attention(gvfuzz::Bytes& in, Source& source) {
  const AttentionShape shape = {1 + in.below(2), 1 + in.below(3), 1 + in.below(30),
                                1 + in.below(60), 1 + in.below(40)};
  const bool is_causal = in.byte() & 1;
  std::vector<int32_t> visible(static_cast<size_t>(shape.queries));
  for (int32_t& keys : visible) keys = 1 + in.below(shape.keys);
  const auto heads = [&](const Numbers& numbers, int rows) {
    const ptrdiff_t head = ptrdiff_t{rows} * shape.depth;
    return Heads{numbers.data(), shape.heads * head, head, shape.depth};
  };
  const size_t all = static_cast<size_t>(shape.batch) * shape.heads * shape.depth;
  const Numbers query = source.take(all * shape.queries), key = source.take(all * shape.keys),
                value = source.take(all * shape.keys);
  compare_forms(all * shape.queries, [&](int threads, float* out) {
    attention(shape, heads(query, shape.queries), heads(key, shape.keys), heads(value, shape.keys),
              false, is_causal ? visible.data() : nullptr, threads, heads(query, shape.queries),
              out);
  });
}

void try_block(gvfuzz::Bytes& in, Source& source) {
  const int heads = 1 + in.below(4), D = heads * (1 + in.below(16)), H = 1 + in.below(60);
  const int batch = 1 + in.below(2), length = 1 + in.below(20);
  const Numbers x = source.take(batch * length * D);
  const Numbers gain = source.take(2 * D), bias = source.take(8 * D + H),
                qkv = source.take(3 * D * D), out_weight = source.take(D * D),
                up = source.take(D * H), down = source.take(H * D);
  const float* b = bias.data();
  const BlockWeights w = {D,
                          H,
                          heads,
                          gain.data(),
                          b,
                          qkv.data(),
                          b + D,
                          out_weight.data(),
                          b + 4 * D,
                          gain.data() + D,
                          b + 5 * D,
                          up.data(),
                          b + 6 * D,
                          down.data(),
                          b + 6 * D + H};
  const int kind = in.below(3), before = in.below(20), capacity = kMostPanelWidth;
  const Numbers past = source.take(batch * before * 2 * D);
  const BlockContext context = {past.data(), before};
  compare_forms(batch * length * D, [&](int threads, float* out) {
    const size_t room = static_cast<size_t>(batch) * D * capacity + kMostPanelWidth;
    Numbers keys(room), values(room);
    const BlockCache cache = {keys.data(), values.data(), capacity, before};
    block(x.data(), batch, length, w, nullptr, kind == 1 ? &context : nullptr,
          kind == 2 ? &cache : nullptr, threads, out);
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr void (*kTrials[])(gvfuzz::Bytes&, Source&) = {try_linear, try_layer_norm, try_function,
                                                          try_attention, try_block};
  gvfuzz::Bytes in(data, size);
  const int trial = in.below(5);
  Source source(in);
  try {
    kTrials[trial](in, source);
  } catch (const std::invalid_argument&) {
  }
  return 0;
}
