// Every integer routine that is compiled for several instruction sets, in each of them, against a
// plain twin; and the choice of the form.
#include "check.hpp"
#include "entropy/intnet.hpp"

using namespace gvtest;

namespace {

void transforms(Random& random) {
  gv::Basis basis;
  basis.count = 384;
  for (int i = 0; i < 384 * 384; ++i)
    basis.rows.push_back(static_cast<int16_t>(uniform(random, -900, 900)));
  for (int turn = 0; turn < 20; ++turn) {
    const int count = uniform(random, 0, 384);
    int16_t residual[384], out[384];
    int32_t coefficients[384];
    for (int16_t& r : residual) r = static_cast<int16_t>(uniform(random, -1023, 1023));
    gv::klt_forward(basis, count, residual, coefficients);
    for (int i = 0; i < count; ++i) {
      int64_t sum = 0;
      for (int k = 0; k < 384; ++k) sum += static_cast<int64_t>(basis.row(i)[k]) * residual[k];
      EXPECT(coefficients[i] == static_cast<int32_t>((sum + 512) >> 10));
      // Now and then coefficients that make the sums wrap.
      if (turn % 2) coefficients[i] = uniform(random, -(1 << 27), 1 << 27);
    }
    gv::klt_inverse(basis, count, coefficients, out);
    for (int k = 0; k < 384; ++k) {
      int64_t sum = 1 << 13;
      for (int i = 0; i < count; ++i)
        sum += static_cast<int64_t>(basis.row(i)[k]) * coefficients[i];
      const int32_t wrapped =
          static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint64_t>(sum)));
      EXPECT(out[k] == gv::clamp(wrapped >> 14, -2 * gv::kMaxSample, 2 * gv::kMaxSample));
    }
  }
}

int tap(bool chroma, int fraction, int t) {
  static constexpr int kLuma[4][8] = {{0, 0, 0, 64, 0, 0, 0, 0},
                                      {-1, 4, -10, 58, 17, -5, 1, 0},
                                      {-1, 4, -11, 40, 40, -11, 4, -1},
                                      {0, 1, -5, 17, 58, -10, 4, -1}};
  static constexpr int kChroma[8][4] = {{0, 64, 0, 0},    {-2, 58, 10, -2}, {-4, 54, 16, -2},
                                        {-6, 46, 28, -4}, {-4, 36, 36, -4}, {-4, 28, 46, -6},
                                        {-2, 16, 54, -4}, {-2, 10, 58, -2}};
  return chroma ? kChroma[fraction][t] : kLuma[fraction][t];
}

// One sample of a block at (left, top), edges repeated without end.
int sample(const gv::Plane& ref, bool chroma, int x, int y, int fx, int fy) {
  const int taps = chroma ? 4 : 8, before = taps / 2 - 1;
  int sum = 0;
  for (int j = 0; j < taps; ++j) {
    int line = 0;
    for (int i = 0; i < taps; ++i)
      line += tap(chroma, fx, i) *
              ref.row(gv::clamp(y + j - before, 0,
                                ref.height - 1))[gv::clamp(x + i - before, 0, ref.width - 1)];
    sum += tap(chroma, fy, j) * (line >> 2);
  }
  return gv::clamp((sum + 512) >> 10, 0, gv::kMaxSample);
}

uint32_t satd(const uint16_t* a, const uint16_t* b, int stride) {
  uint32_t sum = 0;
  for (int by = 0; by < 16; by += 8)
    for (int bx = 0; bx < 16; bx += 8)
      for (int v = 0; v < 8; ++v)
        for (int u = 0; u < 8; ++u) {
          int coefficient = 0;
          for (int y = 0; y < 8; ++y)
            for (int x = 0; x < 8; ++x) {
              const int difference = a[(by + y) * 16 + bx + x] - b[(by + y) * stride + bx + x];
              bool odd = false;
              for (int bit = 0; bit < 3; ++bit) odd ^= ((u & x) >> bit & 1) != ((v & y) >> bit & 1);
              coefficient += odd ? -difference : difference;
            }
          sum += static_cast<uint32_t>(std::abs(coefficient));
        }
  return (sum + 4) >> 3;
}

void motion(Random& random) {
  gv::Picture p(48, 32);
  for (gv::Plane& plane : p.plane)
    for (int y = 0; y < plane.height; ++y)
      for (int x = 0; x < plane.width; ++x)
        plane.row(y)[x] = static_cast<uint16_t>(uniform(random, 0, gv::kMaxSample));
  p.extend();
  for (int turn = 0; turn < 400; ++turn) {
    const bool chroma = turn % 2;
    const gv::Plane& ref = p.plane[chroma];
    const int size = chroma ? 8 : 16, bits = chroma ? 3 : 2,
              reach = chroma ? gv::kReach / 2 : gv::kReach;
    const int far = turn % 3 ? 60 : gv::kMvLimit;
    const gv::Mv mv{static_cast<int16_t>(uniform(random, -far, far)),
                    static_cast<int16_t>(uniform(random, -far, far))};
    const int x = size * uniform(random, 0, ref.width / size - 1),
              y = size * uniform(random, 0, ref.height / size - 1);
    uint16_t out[256];
    (chroma ? gv::compensate_chroma : gv::compensate_luma)(ref, x, y, mv, out, size);
    const int left = gv::clamp(x + (mv.x >> bits), -reach, ref.width + reach - size);
    const int top = gv::clamp(y + (mv.y >> bits), -reach, ref.height + reach - size),
              mask = (1 << bits) - 1;
    for (int j = 0; j < size; ++j)
      for (int i = 0; i < size; ++i)
        EXPECT(out[j * size + i] ==
               sample(ref, chroma, left + i, top + j, mv.x & mask, mv.y & mask));
    if (!chroma) {
      uint32_t sad = 0;
      for (int j = 0; j < 16; ++j)
        for (int i = 0; i < 16; ++i)
          sad += static_cast<uint32_t>(std::abs(out[j * 16 + i] - ref.row(y + j)[x + i]));
      EXPECT(gv::sad16(out, 16, ref.row(y) + x, ref.stride) == sad);
      EXPECT(gv::satd16(out, 16, ref.row(y) + x, ref.stride) ==
             satd(out, ref.row(y) + x, ref.stride));
    }
  }
}

void networks(Random& random) {
  for (int turn = 0; turn < 60; ++turn) {
    std::vector<int> size;
    for (int l = uniform(random, 2, 4); l >= 0; --l) size.push_back(uniform(random, 1, 90));
    std::vector<gv::DenseLayer> layers;
    for (size_t l = 0; l + 1 < size.size(); ++l) {
      gv::DenseLayer layer;
      layer.inputs = size[l];
      layer.outputs = size[l + 1];
      for (int i = 0; i < size[l] * size[l + 1]; ++i)
        layer.weight.push_back(static_cast<int16_t>(uniform(random, -128, 127)));
      for (int o = 0; o < size[l + 1]; ++o) {
        layer.bias.push_back(uniform(random, -20000, 20000));
        layer.multiplier.push_back(uniform(random, -3000, 30000));
      }
      layer.shift = uniform(random, 12, 24);
      if (l + 2 == size.size()) layer.low = -32768, layer.high = 32767;
      layers.push_back(layer);
    }
    const int rows = uniform(random, 0, 9);
    std::vector<uint8_t> in(static_cast<size_t>(rows) * size.front());
    for (uint8_t& v : in) v = static_cast<uint8_t>(uniform(random, 0, 127));
    std::vector<int32_t> out(static_cast<size_t>(rows) * size.back());
    gv::IntegerNetwork(layers).forward(in.data(), rows, out.data());
    for (int r = 0; r < rows; ++r) {
      std::vector<int64_t> x(in.begin() + r * size.front(), in.begin() + (r + 1) * size.front());
      for (const gv::DenseLayer& layer : layers) {
        std::vector<int64_t> y;
        for (int o = 0; o < layer.outputs; ++o) {
          int64_t sum = layer.bias[o];
          for (int i = 0; i < layer.inputs; ++i)
            sum += x[i] * layer.weight[static_cast<size_t>(o) * layer.inputs + i];
          const int64_t half = int64_t{1} << (layer.shift - 1);
          y.push_back(gv::clamp<int64_t>((sum * layer.multiplier[o] + half) >> layer.shift,
                                         layer.low, layer.high));
        }
        x = y;
      }
      for (int o = 0; o < size.back(); ++o)
        EXPECT(out[static_cast<size_t>(r) * size.back() + o] == x[o]);
    }
  }
}

void settings() {
  const std::vector<std::string> forms = gv::cpu_forms();
  EXPECT(!forms.empty() && forms.front() == "plain");
  for (const std::string name : {"plain", "avx2", "avx512", "neon", "dotprod", "AVX2", "sse", ""}) {
    const bool there = std::find(forms.begin(), forms.end(), name) != forms.end();
    bool taken = true;
    try {
      gv::use_cpu(name);
    } catch (const gv::BadSetting&) {
      taken = false;
    }
    EXPECT(taken == there);
    if (taken) EXPECT(gv::cpu_name() == name);
  }
}

}  // namespace

int main() {
  settings();
  in_every_form([](const std::string&) {
    Random random(5);
    transforms(random);
    motion(random);
    networks(random);
  });
  return verdict("kernels");
}
