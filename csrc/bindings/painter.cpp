// Python bindings of the renderer as decoders run it (`gvcodec/appearance/cpu_painter.py`).
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "bindings/arrays.hpp"
#include "bindings/turn.hpp"
#include "painter/painter.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Layer = std::tuple<In<float, 2>, In<float, 1>>;
using Block = std::tuple<In<float, 2>, In<float, 1>, Layer, Layer>;
using Samples = In<uint16_t, 2>;

gv::Dense to_dense(const Layer& layer, int inputs, int outputs) {
  const auto& [weight, bias] = layer;
  if (outputs < 0) outputs = static_cast<int>(weight.shape(0));
  if (outputs < 1 || static_cast<int>(weight.shape(0)) != outputs ||
      static_cast<int>(bias.shape(0)) != outputs || static_cast<int>(weight.shape(1)) != inputs)
    throw nb::value_error("a layer of another shape");
  gv::Dense d(inputs, outputs);
  for (int o = 0; o < outputs; ++o) {
    for (int i = 0; i < inputs; ++i) d.at(i, o) = weight(o, i);
    d.bias[o] = bias(o);
  }
  return d;
}

int outputs_of(const Layer& layer) { return static_cast<int>(std::get<0>(layer).shape(0)); }

class Painter {
 public:
  Painter(int width, int height, const In<float, 2>& noise, const In<bool, 2>& redraw, int threads)
      : painter_(width, height, to_tile(noise, redraw), threads) {}

  void start(const Layer& stem, const Layer& stem2, const Layer& statistics,
             const std::vector<Block>& blocks, const Layer& style, const Layer& head,
             const Layer& gate, const Layer& enter, const Layer& middle, const Layer& leave) {
    gv::PaintLayers l;
    l.stem = to_dense(stem, 12 * 9, -1);
    l.stem2 = to_dense(stem2, l.stem.outputs * 9, -1);
    l.statistics = to_dense(statistics, 16, -1);
    const int channels = l.stem2.outputs + l.statistics.outputs;
    for (const auto& [depthwise, bias, expand, project] : blocks) {
      if (static_cast<int>(depthwise.shape(0)) != channels || depthwise.shape(1) != 25 ||
          bias.shape(0) != depthwise.shape(0))
        throw nb::value_error("a block of another shape");
      l.blocks.push_back({std::vector<float>(depthwise.data(), depthwise.data() + depthwise.size()),
                          std::vector<float>(bias.data(), bias.data() + bias.size()),
                          to_dense(expand, channels, -1),
                          to_dense(project, outputs_of(expand), channels)});
    }
    l.style = to_dense(style, channels, -1);
    l.head = to_dense(head, l.style.outputs, 21);
    l.enter = to_dense(enter, 18 * 9, -1);
    l.gate = to_dense(gate, l.style.outputs, l.enter.outputs);
    l.middle = to_dense(middle, l.enter.outputs * 9, l.enter.outputs);
    l.leave = to_dense(leave, l.enter.outputs * 9, 6);
    const Turn turn(mutex_);
    painter_.start(std::move(l));
    stage_ = Stage::kStarted;
  }

  void begin(const Samples& y, const Samples& u, const Samples& v,
             const std::optional<In<int16_t, 3>>& motion, uint32_t corner_y, uint32_t corner_x) {
    const Turn turn(mutex_);
    if (stage_ == Stage::kNone) throw nb::value_error("begin comes after start");
    const size_t width = static_cast<size_t>(painter_.width()),
                 height = static_cast<size_t>(painter_.height());
    const size_t cw = (width + 1) / 2, ch = (height + 1) / 2;
    if (y.shape(0) != height || y.shape(1) != width || u.shape(0) != ch || u.shape(1) != cw ||
        v.shape(0) != ch || v.shape(1) != cw)
      throw nb::value_error("planes do not fit the picture size");
    if (motion && (motion->shape(0) != (height + 15) / 16 ||
                   motion->shape(1) != (width + 15) / 16 || motion->shape(2) != 2))
      throw nb::value_error("one vector for each 16×16 block");
    const gv::PaintSource loop{{y.data(), u.data(), v.data()}, painter_.width(), painter_.height()};
    nb::gil_scoped_release unlocked;
    painter_.begin(loop, motion ? motion->data() : nullptr, static_cast<int>(corner_y % 65536),
                   static_cast<int>(corner_x % 65536));
    stage_ = Stage::kBegun;
  }

  void run_blocks(int first, int last) {
    const Turn turn(mutex_);
    check_begun();
    if (first < 0 || first > last || last > painter_.blocks())
      throw nb::value_error("no such blocks");
    nb::gil_scoped_release unlocked;
    painter_.run_blocks(first, last);
  }

  nb::tuple finish() {
    const Turn turn(mutex_);
    check_begun();
    const size_t width = static_cast<size_t>(painter_.width()),
                 height = static_cast<size_t>(painter_.height());
    const size_t cw = (width + 1) / 2, ch = (height + 1) / 2;
    std::vector<uint16_t> y(width * height), u(cw * ch), v(cw * ch);
    uint16_t* const planes[3] = {y.data(), u.data(), v.data()};
    {
      nb::gil_scoped_release unlocked;
      painter_.finish(planes);
    }
    stage_ = Stage::kStarted;
    return nb::make_tuple(to_numpy(std::move(y), {height, width}), to_numpy(std::move(u), {ch, cw}),
                          to_numpy(std::move(v), {ch, cw}));
  }

 private:
  enum class Stage { kNone, kStarted, kBegun };

  static gv::NoiseTile to_tile(const In<float, 2>& noise, const In<bool, 2>& redraw) {
    const size_t side = noise.shape(0);
    if (side < 16 || side > 4096 || (side & (side - 1)) || noise.shape(1) != side ||
        redraw.shape(0) != side || redraw.shape(1) != side)
      throw nb::value_error("noise tiles are square, their side a power of two from 16 on");
    return gv::NoiseTile(static_cast<int>(side), noise.data(), redraw.data());
  }

  void check_begun() const {
    if (stage_ != Stage::kBegun) throw nb::value_error("begin comes first");
  }

  gv::FramePainter painter_;
  Stage stage_ = Stage::kNone;
  std::mutex mutex_;
};

Out<float> combine(const In<float, 2>& rows, const Layer& layer, bool plain) {
  const int inputs = static_cast<int>(rows.shape(0)), width = static_cast<int>(rows.shape(1));
  const gv::Dense d = to_dense(layer, inputs, -1);
  gv::Field in(inputs, 1, width), out(d.outputs, 1, width);
  std::vector<const float*> from;
  std::vector<float*> to;
  for (int i = 0; i < inputs; ++i) {
    std::copy_n(rows.data() + static_cast<size_t>(i) * width, width, in.row(i, 0));
    from.push_back(in.row(i, 0));
  }
  for (int o = 0; o < d.outputs; ++o) to.push_back(out.row(o, 0));
  (plain ? gv::combine_plain : gv::combine)(d, from.data(), width, to.data());
  std::vector<float> values;
  for (float* row : to) values.insert(values.end(), row, row + width);
  return to_numpy(std::move(values), {static_cast<size_t>(d.outputs), static_cast<size_t>(width)});
}

}  // namespace

void bind_painter(nb::module_& m) {
  nb::class_<Painter>(
      m, "FramePainter",
      "The renderer as decoders run it. A layer is (weights (outputs, inputs·taps), bias) float32.")
      .def(
          "__init__",
          [](Painter* self, int width, int height, const In<float, 2>& noise,
             const In<bool, 2>& redraw, int threads) {
            if (width < 1 || height < 1 || width > 16384 || height > 16384)
              throw nb::value_error("picture size out of range");
            new (self) Painter(width, height, noise, redraw, threads);
          },
          "width"_a, "height"_a, "noise"_a, "redraw"_a, "threads"_a = 1)
      .def("start", &Painter::start, nb::kw_only(), "stem"_a, "stem2"_a, "statistics"_a, "blocks"_a,
           "style"_a, "head"_a, "gate"_a, "enter"_a, "middle"_a, "leave"_a,
           "Forget the past and take these parameters; `blocks`: (depthwise (channels, 25), its "
           "bias with the condition, expand, project).")
      .def("begin", &Painter::begin, "y"_a, "u"_a, "v"_a, "motion"_a = nb::none(), "corner_y"_a = 0,
           "corner_x"_a = 0,
           "Take a loop frame (uint16 planes) up to the trunk; `motion` (H/16, W/16, 2) int16: "
           "(dy, dx) of blocks against the frame before.")
      .def("run_blocks", &Painter::run_blocks, "first"_a, "last"_a)
      .def("finish", &Painter::finish, "The painted planes.");
  m.def("combine_rows", &combine, "rows"_a, "layer"_a, "plain"_a = false,
        "Weighted sums of rows: (inputs, width) to (outputs, width); `plain`: without special "
        "instructions.");
}
