// Errors of candidates: a picture that was moved is found where it went, also where the longest
// vectors reach over all edges.
#include "tokens/candidate_errors.hpp"

#include "check.hpp"

int main() {
  constexpr int kWidth = 512, kHeight = 512, kMoved = 6, kCount = 6;
  std::vector<uint8_t> before(kWidth * kHeight), now(before.size());
  uint32_t seed = 7;
  for (uint8_t& sample : before)
    sample = static_cast<uint8_t>((seed = seed * 1664525 + 1013904223) >> 24);
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x)
      now[y * kWidth + x] = before[y * kWidth + std::min(x + kMoved, kWidth - 1)];
  const int16_t offered[kCount][2] = {{2 * kMoved, 0},
                                      {0, 0},
                                      {gv::kTokenReach, gv::kTokenReach},
                                      {-gv::kTokenReach, -gv::kTokenReach},
                                      {gv::kTokenReach - 1, 1 - gv::kTokenReach},
                                      {32767, -32768}};
  std::vector<int16_t> vectors;
  for (int window = 0; window < 4; ++window)
    for (const auto& v : offered) vectors.insert(vectors.end(), v, v + 2);
  const std::vector<int32_t> errors =
      gv::candidate_errors(now.data(), before.data(), kWidth, kHeight, vectors.data(), kCount);
  EXPECT(errors.size() == static_cast<size_t>(4) * gv::kTokenPatches * kCount);
  for (size_t at = 0; at < errors.size(); at += kCount) {
    EXPECT(errors[at] == 0);
    for (int j = 1; j < kCount; ++j) EXPECT(errors[at + j] > 0);
    EXPECT(errors[at + 5] <= 255 * gv::kTokenPatch * gv::kTokenPatch);
  }
  return gvtest::verdict("candidate_errors");
}
