// Energies of detail and changes of blocks against the same sums written out sample by sample, in
// every form of the loops.
#include "token_trial/energies.hpp"

#include <cmath>

#include "check.hpp"

using namespace gvtest;

namespace {

struct Real {
  int width, height;
  std::vector<double> v;
  double at(int y, int x) const {
    return v[static_cast<size_t>(gv::clamp(y, 0, height - 1)) * width +
             gv::clamp(x, 0, width - 1)];
  }
};

// A value of `x`, filtered down and along with taps `step` apart.
double filtered(const Real& x, int top, int left, const std::vector<int>& down,
                const std::vector<int>& along, int step) {
  double sum = 0;
  for (size_t j = 0; j < down.size(); ++j)
    for (size_t i = 0; i < along.size(); ++i)
      sum += down[j] * along[i] *
             x.at(top + (static_cast<int>(j) - static_cast<int>(down.size()) / 2) * step,
                  left + (static_cast<int>(i) - static_cast<int>(along.size()) / 2) * step);
  return sum;
}

double cut(double v) { return std::max(-1023.0, std::min(1023.0, v)); }

// Appends energies of three bands; `scale`: 4 of the finest, else 16. Returns the blurred plane.
Real bands(const Real& x, int step, int side, double scale, std::vector<double>& out) {
  const std::vector<int> smooth = {1, 4, 6, 4, 1}, slope = {-1, 0, 1}, one = {1};
  Real low{x.width, x.height, {}};
  std::vector<double> planes[3];
  for (int top = 0; top < x.height; ++top)
    for (int left = 0; left < x.width; ++left) {
      const double both = filtered(x, top, left, smooth, smooth, step) / (scale * 16);
      low.v.push_back(both);
      planes[0].push_back(cut((scale == 4 ? 4 : 1) * x.at(top, left) - both));
      planes[1].push_back(cut((filtered(x, top, left, smooth, one, step) -
                               filtered(x, top, left, one, smooth, step)) /
                              scale));
      planes[2].push_back(cut(-filtered(x, top, left, slope, slope, step) / (scale == 4 ? 1 : 4)));
    }
  for (const auto& plane : planes)
    for (int by = 0; by < x.height / side; ++by)
      for (int bx = 0; bx < x.width / side; ++bx) {
        double sum = 0;
        for (int y = by * side; y < (by + 1) * side; ++y)
          for (int c = bx * side; c < (bx + 1) * side; ++c)
            sum += std::pow(plane[static_cast<size_t>(y) * x.width + c], 2);
        out.push_back(std::log2(sum / (side * side) + 4) / 8);
      }
  return low;
}

std::vector<double> energies(const std::vector<uint16_t>& luma, int width, int height) {
  const Real x{width, height, {luma.begin(), luma.end()}};
  std::vector<double> out;
  bands(x, 1, 16, 4, out);
  Real half{width / 2, height / 2, {}};
  for (int top = 0; top < half.height; ++top)
    for (int left = 0; left < half.width; ++left) {
      double sum = 0;
      const int taps[4] = {1, 3, 3, 1};
      for (int j = 0; j < 4; ++j)
        for (int i = 0; i < 4; ++i)
          sum += taps[j] * taps[i] * x.at(2 * top + j - 1, 2 * left + i - 1);
      half.v.push_back(sum / 16);
    }
  bands(bands(half, 1, 8, 16, out), 2, 8, 16, out);
  return out;
}

}  // namespace

int main() {
  Random random(3);
  const int width = 80, height = 48;
  std::vector<uint16_t> luma, before;
  for (int i = 0; i < width * height; ++i) {
    const bool calm = i / width < 16;
    luma.push_back(static_cast<uint16_t>(uniform(random, calm ? 500 : 0, calm ? 502 : 1023)));
    before.push_back(static_cast<uint16_t>(uniform(random, 0, 1023)));
  }
  std::vector<int16_t> vectors;
  for (int i = 0; i < 2 * (width / 16 + 1) * (height / 16); ++i)
    vectors.push_back(static_cast<int16_t>(uniform(random, -40, 40)));
  const std::vector<double> expected = energies(luma, width, height);
  std::vector<float> first;
  in_every_form([&](const std::string&) {
    const auto measured = gv::band_energies(luma.data(), width, height);
    if (first.empty()) first = measured;
    EXPECT(measured == first && measured.size() == expected.size());
    for (size_t i = 0; i < expected.size(); ++i) EXPECT(std::abs(measured[i] - expected[i]) < 1e-6);
    const auto changes = gv::block_changes(luma.data(), before.data(), width, height - 5,
                                           vectors.data(), width / 16 + 1);
    EXPECT(changes.size() == 5u * 2);
    for (int by = 0; by < 2; ++by)
      for (int bx = 0; bx < 5; ++bx) {
        const int16_t* v = &vectors[2 * static_cast<size_t>(by * (width / 16 + 1) + bx)];
        int sum = 0;
        for (int y = 16 * by; y < 16 * by + 16; ++y)
          for (int x = 16 * bx; x < 16 * bx + 16; ++x)
            sum += std::abs(luma[static_cast<size_t>(y) * width + x] -
                            before[static_cast<size_t>(gv::clamp(y + v[0], 0, height - 6)) * width +
                                   gv::clamp(x + v[1], 0, width - 1)]);
        EXPECT(changes[static_cast<size_t>(by) * 5 + bx] == sum);
      }
  });
  bool refused = false;
  try {
    gv::band_energies(luma.data(), width, 40);
  } catch (const std::invalid_argument&) {
    refused = true;
  }
  EXPECT(refused);
  return verdict("energies_test");
}
