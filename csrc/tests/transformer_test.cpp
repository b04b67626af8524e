// Exact transformer operations from vectors, in every form of the loops that this machine has,
// with one and two threads, and as CUDA kernels in emulation. `transformer_test FILE...` reads
// vectors; without arguments the file next to this source, which conformance/exact_vectors.py writes.
//
//   vector = { case }
//   case   = var operation  var arrays { array }       the last array is the result
//   array  = var axes { var size }  { f32, little-endian }
//
// operation  arrays before the result
// 0 exp, 1 log, 2 sigmoid, 3 gelu, 4 softplus: x
// 5 linear   x [M, K], weight [K, N], bias [N], or size 0: none
// 6 norm     x [M, D], gain [D], bias [D], epsilon [1]
// 7 attention  query [B, H, Nq, d], key [B, H, Nk, d], value, visible [Nq]
// 8 block    x [B, N, D], heads [1], visible [N], then the weights in the order of BlockWeights
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"
#include "cuda/exact_device.hpp"
#include "transformer/panels.hpp"

using namespace gvtest;
namespace exact = gv::exact;

namespace {

struct Array {
  std::vector<int> shape;
  std::vector<float> values;
  int at(size_t axis) const { return shape.at(axis); }
  const float* data() const { return values.empty() ? nullptr : values.data(); }
};

struct Case {
  int operation;
  std::vector<Array> inputs;
  Array result;
};

class Vector {
 public:
  explicit Vector(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    data_.assign(std::istreambuf_iterator<char>(file), {});
    if (data_.empty()) throw std::runtime_error("no vector " + path);
  }
  bool more() const { return at_ < data_.size(); }
  Case next() {
    Case c;
    c.operation = var();
    for (int arrays = var(); arrays > 1; --arrays) c.inputs.push_back(array());
    c.result = array();
    return c;
  }

 private:
  int var() {
    uint32_t value = 0;
    for (int shift = 0;; shift += 7) {
      const uint32_t byte = static_cast<uint8_t>(data_.at(at_++));
      value |= (byte & 127) << shift;
      if (byte < 128) return static_cast<int>(value);
    }
  }
  Array array() {
    Array a;
    size_t size = 1;
    for (int axes = var(); axes > 0; --axes) {
      a.shape.push_back(var());
      size *= static_cast<size_t>(a.shape.back());
    }
    for (; size > 0; --size) {
      uint32_t bits = 0;
      for (int i = 0; i < 32; i += 8)
        bits |= static_cast<uint32_t>(static_cast<uint8_t>(data_.at(at_++))) << i;
      float value;
      std::memcpy(&value, &bits, sizeof value);
      a.values.push_back(value);
    }
    return a;
  }

  std::vector<char> data_;
  size_t at_ = 0;
};

std::vector<int32_t> counts(const Array& a) { return {a.values.begin(), a.values.end()}; }

exact::Heads heads_of(const Array& a) {
  const ptrdiff_t row = a.at(3), head = a.at(2) * row;
  return {a.data(), a.at(1) * head, head, row};
}

exact::BlockWeights weights_of(const std::vector<Array>& in) {
  return {in[0].at(2),   in[11].at(1),  static_cast<int>(in[1].values[0]),
          in[3].data(),  in[4].data(),  in[5].data(),
          in[6].data(),  in[7].data(),  in[8].data(),
          in[9].data(),  in[10].data(), in[11].data(),
          in[12].data(), in[13].data(), in[14].data()};
}

std::vector<float> block(const Case& c, int threads, bool cached) {
  const auto& in = c.inputs;
  const int batch = in[0].at(0), length = in[0].at(1), width = in[0].at(2);
  const exact::BlockWeights w = weights_of(in);
  const std::vector<int32_t> visible = counts(in[2]);
  std::vector<float> out(in[0].values.size());
  if (!cached) {
    exact::block(in[0].data(), batch, length, w, visible.data(), nullptr, nullptr, threads,
                 out.data());
    return out;
  }
  // The first positions see each other; the following ones come one by one.
  const int capacity = exact::kMostPanelWidth * gv::ceil_div(length, exact::kMostPanelWidth);
  const size_t size = static_cast<size_t>(batch) * capacity * width;
  exact::Floats keys(size), values(size + exact::kMostPanelWidth);
  exact::BlockCache cache{keys.data(), values.data(), capacity, 0};
  for (int next = visible[0]; cache.start < length; cache.start = next++) {
    const int count = next - cache.start;
    std::vector<float> x, y(static_cast<size_t>(batch) * count * width);
    const auto place = [&](int b) {
      return (static_cast<size_t>(b) * length + cache.start) * width;
    };
    for (int b = 0; b < batch; ++b)
      x.insert(x.end(), in[0].data() + place(b), in[0].data() + place(b) + count * width);
    exact::block(x.data(), batch, count, w, nullptr, nullptr, &cache, threads, y.data());
    for (int b = 0; b < batch; ++b)
      std::copy_n(y.data() + static_cast<size_t>(b) * count * width, count * width,
                  out.data() + place(b));
  }
  return out;
}

const exact::Function kFunctions[] = {exact::Function::kExp, exact::Function::kLog,
                                      exact::Function::kSigmoid, exact::Function::kGelu,
                                      exact::Function::kSoftplus};

std::vector<float> computed(const Case& c, int threads) {
  const auto& in = c.inputs;
  const Array& x = in[0];
  std::vector<float> out(c.result.values.size());
  switch (c.operation) {
    case 5:
      exact::linear(x.data(), x.at(0), x.at(1), in[1].data(), in[1].at(1), in[2].data(), threads,
                    out.data());
      return out;
    case 6:
      exact::layer_norm(x.data(), x.at(0), x.at(1), in[1].data(), in[2].data(), in[3].values[0],
                        threads, out.data());
      return out;
    case 7:
      exact::attention({x.at(0), x.at(1), x.at(2), in[1].at(2), x.at(3)}, heads_of(x),
                       heads_of(in[1]), heads_of(in[2]), false, counts(in[3]).data(), threads,
                       heads_of(x), out.data());
      return out;
    case 8: return block(c, threads, false);
  }
  exact::apply(kFunctions[c.operation], x.data(), x.values.size(), threads, out.data());
  return out;
}

std::vector<float> emulated(const Case& c) {
  gv::cuda::TransformerBackend& device = gv::cuda::emulated_transformer();
  const auto& in = c.inputs;
  const Array& x = in[0];
  std::vector<float> out(c.result.values.size());
  switch (c.operation) {
    case 5:
      device.linear(x.data(), x.at(0), x.at(1), in[1].data(), in[1].at(1), in[2].data(),
                    out.data());
      return out;
    case 6:
      device.layer_norm(x.data(), x.at(0), x.at(1), in[1].data(), in[2].data(), in[3].values[0],
                        out.data());
      return out;
    case 7:
      device.attention({x.at(0), x.at(1), x.at(2), in[1].at(2), x.at(3)}, x.data(), in[1].data(),
                       in[2].data(), counts(in[3]).data(), out.data());
      return out;
    case 8:
      device.block(x.data(), x.at(0), x.at(1), weights_of(in), counts(in[2]).data(), out.data());
      return out;
  }
  device.apply(kFunctions[c.operation], x.data(), x.values.size(), out.data());
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

template <class Equal>
void run(const std::string& path, const std::string& form, const Equal& equal) {
  int cases = 0, same = 0;
  for (Vector vector(path); vector.more(); ++cases) {
    const Case c = vector.next();
    if (equal(c)) ++same;
    else std::printf("case %d, operation %d: other bits\n", cases, c.operation);
  }
  std::printf("%s %s: %d of %d cases\n", path.c_str(), form.c_str(), same, cases);
  EXPECT(cases > 0 && same == cases);
}

void run(const std::string& path) {
  in_every_form([&](const std::string& form) {
    run(path, form, [](const Case& c) {
      return same_bits(computed(c, 1), c.result.values) &&
             same_bits(computed(c, 2), c.result.values) &&
             (c.operation != 8 || same_bits(block(c, 2, true), c.result.values));
    });
  });
  run(path, "CUDA, emulated",
      [](const Case& c) { return same_bits(emulated(c), c.result.values); });
}

}  // namespace

// For WebAssembly, where Debian's emscripten does not find the `main` of a newer clang.
extern "C" int run_vector() {
  run(GV_TRANSFORMER);
  return verdict("transformer_test");
}

int main(int argc, char** argv) {
  if (argc < 2) return run_vector();
  for (int i = 1; i < argc; ++i) run(argv[i]);
  return verdict("transformer_test");
}
