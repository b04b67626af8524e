// The motion search's routines, which are compiled for several instruction sets, in each of them
// against a plain twin; and the choice of the form.
#include "check.hpp"
#include "motion/motion_search.hpp"

using namespace gvtest;

namespace {

constexpr int kTaps[4][8] = {{0, 0, 0, 64, 0, 0, 0, 0},
                             {-1, 4, -10, 58, 17, -5, 1, 0},
                             {-1, 4, -11, 40, 40, -11, 4, -1},
                             {0, 1, -5, 17, 58, -10, 4, -1}};

// One sample of a block at (left, top), edges repeated without end.
int sample(const gv::Plane& ref, int x, int y, int fx, int fy) {
  int sum = 0;
  for (int j = 0; j < 8; ++j) {
    int line = 0;
    for (int i = 0; i < 8; ++i)
      line +=
          kTaps[fx][i] *
          ref.row(gv::clamp(y + j - 3, 0, ref.height - 1))[gv::clamp(x + i - 3, 0, ref.width - 1)];
    sum += kTaps[fy][j] * (line >> 2);
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
  gv::Plane ref(48, 32, gv::kMargin);
  for (int y = 0; y < ref.height; ++y)
    for (int x = 0; x < ref.width; ++x)
      ref.row(y)[x] = static_cast<uint16_t>(uniform(random, 0, gv::kMaxSample));
  ref.extend();
  for (int turn = 0; turn < 400; ++turn) {
    const int far = turn % 3 ? 60 : gv::kMvLimit;
    const gv::Mv mv{static_cast<int16_t>(uniform(random, -far, far)),
                    static_cast<int16_t>(uniform(random, -far, far))};
    const int x = 16 * uniform(random, 0, ref.width / 16 - 1),
              y = 16 * uniform(random, 0, ref.height / 16 - 1);
    uint16_t out[256];
    gv::compensate_luma(ref, x, y, mv, out, 16);
    const int left = gv::clamp(x + (mv.x >> 2), -gv::kReach, ref.width + gv::kReach - 16);
    const int top = gv::clamp(y + (mv.y >> 2), -gv::kReach, ref.height + gv::kReach - 16);
    uint32_t sad = 0;
    for (int j = 0; j < 16; ++j)
      for (int i = 0; i < 16; ++i) {
        EXPECT(out[j * 16 + i] == sample(ref, left + i, top + j, mv.x & 3, mv.y & 3));
        sad += static_cast<uint32_t>(std::abs(out[j * 16 + i] - ref.row(y + j)[x + i]));
      }
    EXPECT(gv::sad16(out, 16, ref.row(y) + x, ref.stride) == sad);
    EXPECT(gv::satd16(out, 16, ref.row(y) + x, ref.stride) ==
           satd(out, ref.row(y) + x, ref.stride));
  }
}

void settings() {
  const std::vector<std::string> forms = gv::cpu_forms();
  EXPECT(!forms.empty() && forms.front() == "plain");
  for (const std::string name :
       {"plain", "avx2", "avxvnni", "avx512", "neon", "dotprod", "AVX2", "sse", ""}) {
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
    motion(random);
  });
  return verdict("kernels");
}
