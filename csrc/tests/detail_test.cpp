// Lent detail at odd sizes: the same picture on any number of threads, nothing where there is nothing to lend, samples stay in range.
#include "core/detail.hpp"

#include "check.hpp"

using namespace gvtest;

namespace {

std::vector<uint16_t> samples(Random& random, int width, int height, int low, int high) {
  std::vector<uint16_t> found(static_cast<size_t>(width) * height);
  for (uint16_t& v : found) v = static_cast<uint16_t>(uniform(random, low, high));
  return found;
}

void picture(int width, int height) {
  Random random(width * 1000 + height);
  const auto luma = samples(random, width, height, 0, gv::kMaxSample), other = samples(random, width, height, 0, gv::kMaxSample);
  EXPECT(gv::lend_detail(luma.data(), luma.data(), width, height, 2) == luma);
  const auto one = gv::lend_detail(luma.data(), other.data(), width, height, 1);
  EXPECT(one == gv::lend_detail(luma.data(), other.data(), width, height, 3));
  for (const uint16_t v : one) EXPECT(v <= gv::kMaxSample);
  // Flat pictures a step apart have no detail; a flat one takes on small detail around its own level.
  const std::vector<uint16_t> flat(luma.size(), 500), next(luma.size(), 501);
  EXPECT(gv::lend_detail(flat.data(), next.data(), width, height, 1) == flat);
  const auto fine = samples(random, width, height, 496, 504);
  const auto lent = gv::lend_detail(flat.data(), fine.data(), width, height, 1);
  if (width > 8 && height > 8) EXPECT(lent != flat);
}

}  // namespace

int main() {
  for (const auto& [width, height] : {std::pair{1, 1}, {1, 40}, {40, 1}, {5, 3}, {64, 64}, {67, 131}, {130, 65}}) picture(width, height);
  return verdict("detail_test");
}
