// Python bindings of the trial of tokens (`gvcodec/painter/tokens/metric.py`).
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bindings/arrays.hpp"
#include "token_trial/energies.hpp"
#include "token_trial/perceptual_metric.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Floats = In<float, 1>;
using Layer = std::tuple<In<float, 4>, Floats, float>;
using Stage = std::tuple<std::vector<Layer>, Floats>;
using Samples = In<uint16_t, 2>;
using Picture = std::tuple<Samples, Samples, Samples>;
using Window = std::tuple<int, int, int, int>;
using Colour = std::tuple<Floats, In<float, 2>, bool>;

template <class Array>
std::vector<float> copied(const Array& a) {
  return {a.data(), a.data() + a.size()};
}

gv::MetricStage to_stage(const Stage& stage) {
  gv::MetricStage to;
  for (const auto& [weight, bias, range] : std::get<0>(stage)) {
    check(weight.shape(0) <= 512 && weight.shape(1) <= 512 && weight.shape(2) == 3 &&
              weight.shape(3) == 3,
          "a layer of another shape");
    to.layers.push_back({static_cast<int>(weight.shape(0)), static_cast<int>(weight.shape(1)),
                         copied(weight), copied(bias), range});
  }
  to.weight = copied(std::get<1>(stage));
  return to;
}

gv::MetricPicture to_picture(const Picture& picture) {
  const auto& [y, u, v] = picture;
  check_size(static_cast<int64_t>(y.shape(1)), static_cast<int64_t>(y.shape(0)));
  const size_t width = (y.shape(1) + 1) / 2, height = (y.shape(0) + 1) / 2;
  check(u.shape(0) == height && u.shape(1) == width && v.shape(0) == height && v.shape(1) == width,
        "planes do not fit the picture size");
  return {{y.data(), u.data(), v.data()},
          static_cast<int>(y.shape(1)),
          static_cast<int>(y.shape(0))};
}

gv::MetricColour to_colour(const Colour& colour) {
  const auto& [offset, factors, eight_bits] = colour;
  check(offset.size() == 3 && factors.shape(0) == 3 && factors.shape(1) == 3,
        "a colour of another shape");
  gv::MetricColour to;
  std::copy_n(offset.data(), 3, to.offset);
  std::copy_n(factors.data(), 9, &to.factors[0][0]);
  to.eight_bits = eight_bits;
  return to;
}

}  // namespace

void bind_token_trial(nb::module_& m) {
  nb::class_<gv::PerceptualMetric>(m, "PerceptualMetric",
                                  "The perceptual distance that tokens are tried by.")
      .def(
          "__init__",
          [](gv::PerceptualMetric* self, const std::vector<Stage>& stages) {
            std::vector<gv::MetricStage> to;
            for (const Stage& stage : stages) to.push_back(to_stage(stage));
            new (self) gv::PerceptualMetric(to);
          },
          "stages"_a,
          "Stages (layers, weights of squared differences (outputs,) float32); a layer is (weight "
          "float32 (outputs, inputs, 3, 3), bias (outputs,), the largest sum that is expected).")
      .def(
          "distances",
          [](const gv::PerceptualMetric& self, const Picture& source,
             const std::vector<Picture>& painted, const std::vector<Window>& windows,
             const Colour& colour, int threads) {
            std::vector<gv::MetricPicture> pictures;
            for (const Picture& picture : painted) pictures.push_back(to_picture(picture));
            std::vector<gv::MetricWindow> places;
            for (const auto& [top, left, height, width] : windows)
              places.push_back({top, left, height, width});
            const gv::MetricPicture from = to_picture(source);
            const gv::MetricColour to = to_colour(colour);
            std::vector<double> result;
            {
              nb::gil_scoped_release unlocked;
              result = self.distances(from, pictures, places, to, threads);
            }
            return to_numpy(std::move(result), {painted.size(), windows.size()});
          },
          "source"_a, "painted"_a, "windows"_a, "colour"_a, "threads"_a = 1,
          "Distances (pictures, windows) float64 of painted pictures from their source: (y, u, v) "
          "uint16 of 10 bits each. A window is (top, left, height, width), even numbers of luma "
          "samples; `colour`: (offsets of Y, U, V (3,), their factors in R, G, B (3, 3), "
          "whether samples are rounded to 8 bits before).");
  m.def(
      "band_energies",
      [](const Samples& luma) {
        const int height = static_cast<int>(luma.shape(0)), width = static_cast<int>(luma.shape(1));
        check_size(width, height);
        std::vector<float> result;
        {
          nb::gil_scoped_release unlocked;
          result = gv::band_energies(luma.data(), width, height);
        }
        return to_numpy(std::move(result), {size_t{gv::kEnergyBands}, luma.shape(0) / 16,
                                           luma.shape(1) / 16});
      },
      "luma"_a,
      "log2 of the energies of nine bands of 16×16 patches, in 1/8: (9, H / 16, W / 16) float32 of "
      "a luma plane of 10 bits whose sides are multiples of 16.");
  m.def(
      "block_changes",
      [](const Samples& now, const Samples& before, const In<int16_t, 3>& vectors) {
        const int height = static_cast<int>(now.shape(0)), width = static_cast<int>(now.shape(1));
        check_size(width, height);
        check(before.shape(0) == now.shape(0) && before.shape(1) == now.shape(1),
              "planes of different sizes");
        check(vectors.shape(0) >= now.shape(0) / 16 && vectors.shape(1) >= now.shape(1) / 16 &&
                  vectors.shape(1) <= 16384 && vectors.shape(2) == 2,
              "one vector for each 16×16 block");
        std::vector<int32_t> result;
        {
          nb::gil_scoped_release unlocked;
          result = gv::block_changes(now.data(), before.data(), width, height, vectors.data(),
                                    static_cast<int>(vectors.shape(1)));
        }
        return to_numpy(std::move(result), {now.shape(0) / 16, now.shape(1) / 16});
      },
      "now"_a, "before"_a, "vectors"_a,
      "Sums of |difference| of whole 16×16 blocks of a luma plane to the plane before, at each "
      "block's vector (dy, dx), `vectors` (rows, columns, 2): (H / 16, W / 16) int32.");
}
