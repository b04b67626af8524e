// Base motion at odd sizes: any values of steps make frames inside the margins, the same with any
// number of threads and in every form of the loops, and so does the search; contexts stay in range.
#include "check.hpp"
#include "motion_tree/compensation.hpp"
#include "motion_tree/contexts.hpp"
#include "motion_tree/frame.hpp"
#include "motion_tree/search.hpp"

using namespace gvtest;
using namespace gv::motion_tree;

namespace {

std::shared_ptr<Still> noise(int width, int height, Random& random) {
  auto still = make_still(width, height);
  for (gv::Plane& plane : still->plane)
    for (int y = 0; y < plane.height; ++y)
      for (int x = 0; x < plane.width; ++x)
        plane.row(y)[x] = static_cast<uint16_t>(uniform(random, 0, 1023));
  finish_planes(*still, width, height);
  return still;
}

std::vector<int16_t> steps(int windows, int most, Random& random) {
  std::vector<int16_t> values(static_cast<size_t>(windows) * kValues);
  for (int w = 0; w < windows; ++w) {
    int16_t* row = &values[static_cast<size_t>(w) * kValues];
    for (int i = 0; i < kValues; ++i) row[i] = static_cast<int16_t>(uniform(random, -most, most));
    for (int k = kFirstLeaf; k <= kCodedNodes; ++k)
      row[first_value(k)] = static_cast<int16_t>(uniform(random, kNear, kFar));
  }
  return values;
}

std::vector<uint16_t> samples(const Frame& frame) {
  std::vector<uint16_t> all;
  for (const gv::Plane& plane : frame.shown().plane)
    all.insert(all.end(), plane.data.begin(), plane.data.end());
  return all;
}

// A chain of frames, the longest steps all to one side among them.
std::vector<uint16_t> chain(int width, int height, int threads) {
  Random random(5);
  const Frame far(noise(width, height, random), width, height, 1);
  Frame frame(noise(width, height, random), width, height, 0);
  std::vector<uint16_t> all;
  const int windows = frame.windows();
  const std::vector<uint8_t> levels(static_cast<size_t>(windows), kLevels);
  for (int i = 0; i < 6; ++i) {
    std::vector<int16_t> values = steps(windows, i < 2 ? 3 : kLargest, random);
    if (i == 4)
      for (int16_t& v : values) v = std::max<int16_t>(v, 0) ? kFar : 0;
    const Times times{i & 1 ? 1 : -1, i & 1 ? -15 : 16};
    frame = Frame(frame, &far, times, values.data(), levels.data(), threads);
    const std::vector<uint16_t> made = samples(frame);
    all.insert(all.end(), made.begin(), made.end());
    for (const uint16_t s : made) EXPECT(s <= gv::kMaxSample);
    const Frame still(frame, &far, times, values.data(), std::vector<uint8_t>(levels.size()).data(),
                      threads);
    EXPECT(samples(still) == made);
  }
  return all;
}

Found searched(int width, int height, int threads) {
  Random random(6);
  const auto before = noise(width, height, random), after = noise(width, height, random);
  auto now = std::make_shared<Still>(*before);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      now->plane[0].row(y)[x] = (x < width / 2 ? before : after)->plane[0].row(y)[x + 3];
  finish_planes(*now, width, height);
  const Frame near(before, width, height, 0), far(after, width, height, 1);
  const std::vector<uint8_t> most(static_cast<size_t>(near.windows()), kLevels);
  const Found found = choose_motion(*now, near, &far, {-1, 2}, 400, most.data(), threads);
  for (const int16_t v : found.values) EXPECT(std::abs(v) <= kLargest);
  const Frame made(near, &far, {-1, 2}, found.values.data(), found.levels.data(), threads);
  const auto off = window_errors(made.shown(), *now, width, height);
  const auto unmoved = window_errors(near.shown(), *now, width, height);
  for (size_t w = 0; w < off.size(); ++w) EXPECT(off[w] < unmoved[w]);
  return found;
}

void contexts() {
  Random random(7);
  const int windows = 6;
  const std::vector<int16_t> last = steps(windows, kLargest, random);
  const std::vector<int32_t> level(last.size(), 31 * 32);
  const uint8_t levels[windows] = {5, 0, 3, 1, 5, 5};
  for (const int far : {0, 3}) {
    const Contexts made =
        packet_contexts({last.data(), level.data()}, levels, 1, windows, 3, 63, {-1, far});
    size_t count = 0;
    for (int w = 1; w < windows; ++w) count += levels[w] ? value_count(levels[w], far != 0) : 0;
    EXPECT(made.index.size() == count && made.side.size() == count * kSide);
    for (const uint8_t a : made.side) EXPECT(a <= 127);
    for (size_t s = 0; s < count; ++s)
      for (int b = 0; b < kBack; ++b)
        EXPECT(made.back[s * kBack + b] >= 0 &&
               made.back[s * kBack + b] <= static_cast<int32_t>(s));
  }
}

}  // namespace

int main() {
  std::vector<uint16_t> first;
  std::vector<int16_t> found;
  in_every_form([&](const std::string&) {
    for (const int threads : {1, 3}) {
      const std::vector<uint16_t> made = chain(275, 141, threads);
      if (first.empty()) first = made;
      EXPECT(made == first);
      const Found one = searched(275, 141, threads);
      if (found.empty()) found = one.values;
      EXPECT(one.values == found);
    }
    chain(1, 1, 1);
    chain(17, 3, 2);
  });
  contexts();
  return verdict("motion_tree");
}
