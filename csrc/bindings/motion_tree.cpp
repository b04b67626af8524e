// Python bindings of base motion (`gvcodec/base/motion`): frames, the motion search, contexts
// of the entropy network.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <memory>

#include "bindings/arrays.hpp"
#include "motion_tree/compensation.hpp"
#include "motion_tree/contexts.hpp"
#include "motion_tree/search.hpp"

namespace nb = nanobind;
using namespace nb::literals;
namespace tree = gv::motion_tree;

namespace {

using Samples = In<uint16_t, 2>;
using Frame = tree::Frame;
constexpr int kLongestTime = 64;

void fill(gv::Plane& plane, const Samples& in, int width, int height) {
  check(in.shape(1) == static_cast<size_t>(width) && in.shape(0) == static_cast<size_t>(height),
        "planes do not fit together");
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      plane.row(y)[x] =
          std::min<uint16_t>(in.data()[static_cast<size_t>(y) * width + x], gv::kMaxSample);
}

Frame to_frame(const Samples& y, const Samples& u, const Samples& v, int picture) {
  check_size(static_cast<int64_t>(y.shape(1)), static_cast<int64_t>(y.shape(0)));
  check(picture == 0 || picture == 1, "pictures are 0 and 1");
  const int width = static_cast<int>(y.shape(1)), height = static_cast<int>(y.shape(0));
  auto still = tree::make_still(width, height);
  const Samples* planes[3] = {&y, &u, &v};
  for (int p = 0; p < 3; ++p)
    fill(still->plane[p], *planes[p], p ? (width + 1) / 2 : width, p ? (height + 1) / 2 : height);
  tree::finish_planes(*still, width, height);
  return Frame(std::move(still), width, height, picture);
}

Out<uint16_t> crop(const gv::Plane& plane, int width, int height) {
  std::vector<uint16_t> values(static_cast<size_t>(width) * height);
  for (int y = 0; y < height; ++y)
    std::copy_n(plane.row(y), width, values.data() + static_cast<size_t>(y) * width);
  return to_numpy(std::move(values), {static_cast<size_t>(height), static_cast<size_t>(width)});
}

nb::tuple planes_of(const Frame& frame) {
  const int w = frame.width(), h = frame.height(), cw = (w + 1) / 2, ch = (h + 1) / 2;
  const gv::motion_tree::Still& shown = frame.shown();
  return nb::make_tuple(crop(shown.plane[0], w, h), crop(shown.plane[1], cw, ch),
                        crop(shown.plane[2], cw, ch));
}

nb::tuple places_of(const Frame& frame) {
  const size_t rows = static_cast<size_t>(frame.cell_rows()),
               columns = static_cast<size_t>(frame.cell_columns());
  std::vector<int32_t> places;
  for (const auto& picture : frame.places().place)
    for (const tree::Vector v : picture) places.push_back(v.x), places.push_back(v.y);
  return nb::make_tuple(to_numpy(std::vector<uint8_t>(frame.places().from), {rows, columns}),
                        to_numpy(std::move(places), {2, rows, columns, 2}));
}

tree::Times to_times(const Frame* far, int near_time, int far_time) {
  check(near_time && std::abs(near_time) <= kLongestTime && std::abs(far_time) <= kLongestTime,
        "times of reference frames are -64…64 and not 0");
  check((far == nullptr) == (far_time == 0), "a far reference frame has a time");
  return {near_time, far_time};
}

void check_same(const Frame& a, const Frame* b) {
  check(!b || (a.width() == b->width() && a.height() == b->height()), "frames of different sizes");
}

Frame follow(const Frame& near, const Frame* far, int near_time, int far_time,
             const In<int16_t, 2>& values, const In<uint8_t, 1>& levels, int threads) {
  const tree::Times times = to_times(far, near_time, far_time);
  check_same(near, far);
  const size_t windows = static_cast<size_t>(near.windows());
  check(
      values.shape(0) == windows && values.shape(1) == tree::kValues && levels.shape(0) == windows,
      "values and a level for each window");
  for (size_t i = 0; i < values.size(); ++i)
    check(std::abs(values.data()[i]) <= tree::kLargest, "values are -127…127");
  for (size_t w = 0; w < windows; ++w) {
    check(levels(w) <= tree::kLevels, "levels are 0…5");
    for (int leaf = tree::kFirstLeaf; leaf <= tree::kCodedNodes; ++leaf) {
      const int16_t source = values(w, static_cast<size_t>(tree::first_value(leaf)));
      check(source >= tree::kNear && source <= tree::kFar, "sources are 0…2");
    }
  }
  nb::gil_scoped_release unlocked;
  return Frame(near, far, times, values.data(), levels.data(), threads);
}

nb::tuple search(const Frame& source, const Frame& near, const Frame* far, int near_time,
                 int far_time, int price, const In<uint8_t, 1>& most, int threads) {
  const tree::Times times = to_times(far, near_time, far_time);
  check_same(near, far);
  check_same(near, &source);
  const size_t windows = static_cast<size_t>(near.windows());
  check(most.shape(0) == windows && price >= 0 && price <= 1 << 20,
        "a level for each window, a price");
  for (size_t w = 0; w < windows; ++w) check(most(w) <= tree::kLevels, "levels are 0…5");
  tree::Found found;
  {
    nb::gil_scoped_release unlocked;
    found = tree::choose_motion(source.shown(), near, far, times, price, most.data(), threads);
  }
  return nb::make_tuple(to_numpy(std::move(found.values), {windows, tree::kValues}),
                        to_numpy(std::move(found.levels), {windows}),
                        to_numpy(std::move(found.bits), {windows}));
}

Out<int64_t> errors(const Frame& a, const Frame& b) {
  check_same(a, &b);
  auto sums = tree::window_errors(a.shown(), b.shown(), a.width(), a.height());
  const size_t windows = sums.size();
  return to_numpy(std::move(sums), {windows});
}

nb::tuple contexts(const In<int16_t, 2>& last, const In<int32_t, 2>& level,
                   const In<uint8_t, 1>& levels, int first, int end, int columns, int q,
                   int near_time, int far_time) {
  const size_t windows = levels.shape(0);
  check(last.shape(0) == windows && level.shape(0) == windows && last.shape(1) == tree::kValues &&
            level.shape(1) == tree::kValues,
        "a memory for each window");
  check(first >= 0 && first <= end && static_cast<size_t>(end) <= windows && columns >= 1,
        "windows that are not there");
  for (size_t w = 0; w < windows; ++w) check(levels(w) <= tree::kLevels, "levels are 0…5");
  auto made = tree::packet_contexts({last.data(), level.data()}, levels.data(), first, end, columns,
                                    q, {near_time, far_time});
  const size_t steps = made.index.size();
  return nb::make_tuple(to_numpy(std::move(made.side), {1, steps, tree::kSide}),
                        to_numpy(std::move(made.back), {1, steps, tree::kBack}),
                        to_numpy(std::move(made.index), {steps}));
}

}  // namespace

void bind_motion_tree(nb::module_& m) {
  m.attr("TREE_VALUES") = tree::kValues;
  m.attr("TREE_LEVELS") = tree::kLevels;
  m.attr("TREE_SIDE") = tree::kSide;
  m.attr("TREE_BACK") = tree::kBack;
  nb::list memory;
  for (const int activation : tree::kMemoryActivations) memory.append(activation);
  m.attr("TREE_MEMORY") = nb::tuple(memory);
  m.def("tree_step", &tree::step_value, "node"_a,
        "Where the step (dx, dy) of a node 1…31 is among the values of a window.");
  nb::class_<Frame>(m, "MotionFrame",
                    "A frame of base motion: its samples, and where its cells of 4×4 luma samples "
                    "lie in the standard pictures around it.")
      .def_static(
          "still", &to_frame, "y"_a, "u"_a, "v"_a, "picture"_a = 0,
          "A standard picture, the one before (0) or after (1) the frames that go on from it.")
      .def_static("follow", &follow, "near"_a, "far"_a.none(), "near_time"_a, "far_time"_a,
                  "values"_a, "levels"_a, "threads"_a = 1,
                  "The frame that values (N, TREE_VALUES) int16 make of its reference frames at "
                  "so many frames from it; windows of level 0 are as in `near`.")
      .def("planes", &planes_of, "Y, U and V, uint16.")
      .def("places", &places_of,
           "Pictures that each cell comes from (H/4, W/4) uint8 (1, 2, or 3 for their mean), and "
           "its "
           "places in both (2, H/4, W/4, 2), (dx, dy) int32 in quarter samples.")
      .def_prop_ro("windows", &Frame::windows)
      .def_prop_ro("window_columns", &Frame::window_columns);
  m.def("tree_search", &search, "source"_a, "near"_a, "far"_a.none(), "near_time"_a, "far_time"_a,
        "price"_a, "most"_a, "threads"_a = 1,
        "Values (N, TREE_VALUES), levels (N,) and about their bits (N,) for a frame; `price` of a "
        "bit in sums of absolute differences of 8 bits, `most`: levels at most.");
  m.def("tree_errors", &errors, "a"_a, "b"_a,
        "Sums of absolute differences of all samples (10 bits) by window, int64 (N,).");
  m.def("tree_contexts", &contexts, "last"_a, "level"_a, "levels"_a, "first"_a, "end"_a,
        "columns"_a, "q"_a, "near_time"_a, "far_time"_a,
        "Activations (1, S, TREE_SIDE), values before (1, S, TREE_BACK) and index of the S values "
        "that the windows first…end - 1 put into a packet.");
}
