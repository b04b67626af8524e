// Python bindings of the painter (`gvcodec/painter/video.py`, `cpu.py`).
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "bindings/arrays.hpp"
#include "bindings/turn.hpp"
#include "model/video_painter.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Numbers = In<int32_t, 1>;
using Layer = std::tuple<In<int8_t, 4>, Numbers, Numbers, Numbers, Numbers>;
using Block = std::tuple<Layer, Layer, Layer, In<int32_t, 2>>;
using Samples = In<uint16_t, 2>;
using Steering = std::tuple<In<int16_t, 2>, In<int8_t, 3>>;

template <class Array>
auto copied(const Array& a) {
  return std::vector<std::remove_const_t<typename Array::Scalar>>(a.data(), a.data() + a.size());
}

gv::PainterLayer to_layer(const Layer& given) {
  const auto& [weight, bias, multiplier, shift, step] = given;
  gv::PainterLayer l;
  for (size_t i = 0; i < 4; ++i)
    check(weight.shape(i) >= 1 && weight.shape(i) <= 512, "a layer of another shape");
  check(weight.shape(2) == weight.shape(3), "a layer of another shape");
  l.outputs = static_cast<int>(weight.shape(0));
  l.inputs = static_cast<int>(weight.shape(1));
  l.side = static_cast<int>(weight.shape(2));
  l.weight = copied(weight);
  l.bias = copied(bias), l.multiplier = copied(multiplier), l.shift = copied(shift),
  l.step = copied(step);
  return l;
}

// A plane that is written whole.
Out<uint16_t> unset(size_t height, size_t width) {
  auto* data = new uint16_t[height * width];
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<uint16_t*>(p); });
  return Out<uint16_t>(data, {height, width}, owner);
}

// Planes of a picture; throws where these are of another size.
gv::PaintSource to_source(const Samples& y, const Samples& u, const Samples& v, int width,
                          int height) {
  const size_t w = static_cast<size_t>(width), h = static_cast<size_t>(height);
  const size_t cw = (w + 1) / 2, ch = (h + 1) / 2;
  check(y.shape(0) == h && y.shape(1) == w && u.shape(0) == ch && u.shape(1) == cw &&
            v.shape(0) == ch && v.shape(1) == cw,
        "planes do not fit the picture size");
  return {{y.data(), u.data(), v.data()}, width, height};
}

// Calls `paint` with planes to write, without the interpreter's lock.
template <class Paint>
nb::tuple painted(int width, int height, const Paint& paint) {
  const size_t w = static_cast<size_t>(width), h = static_cast<size_t>(height);
  const size_t cw = (w + 1) / 2, ch = (h + 1) / 2;
  const Out<uint16_t> out[3] = {unset(h, w), unset(ch, cw), unset(ch, cw)};
  uint16_t* const planes[3] = {out[0].data(), out[1].data(), out[2].data()};
  {
    nb::gil_scoped_release unlocked;
    paint(planes);
  }
  return nb::make_tuple(out[0], out[1], out[2]);
}

// The painter of a stream: the file and `fit` payloads as they are.
class Video {
 public:
  Video(const nb::bytes& model, int width, int height, int base, int scale, int q, int threads)
      : width_(width),
        height_(height),
        painter_(width, height, static_cast<gv::Base>(base), scale, q,
                 gv::read_painter({reinterpret_cast<const uint8_t*>(model.c_str()), model.size()}),
                 threads) {}

  bool start_gop(const std::optional<nb::bytes>& fit, int look, bool use_tokens) {
    const Turn turn(mutex_);
    std::optional<gv::Bytes> payload;
    if (fit) payload = gv::Bytes(reinterpret_cast<const uint8_t*>(fit->c_str()), fit->size());
    painter_.start_gop(payload, look, use_tokens);
    return painter_.paints();
  }
  nb::tuple paint(const Samples& y, const Samples& u, const Samples& v, uint64_t size) {
    const Turn turn(mutex_);
    const gv::PaintSource base = to_source(y, u, v, width_, height_);
    return painted(width_, height_,
                   [&](uint16_t* const* planes) { painter_.paint(base, size, planes); });
  }

 private:
  int width_, height_;
  gv::VideoPainter painter_;
  std::mutex mutex_;
};

class Frames {
 public:
  Frames(int width, int height, int threads) : painter_(width, height, threads) {}

  void start(const std::vector<Layer>& layers, const std::vector<Block>& blocks,
             const Numbers& entries, const std::optional<Steering>& steering) {
    check(layers.size() == 6, "six layers beside the blocks");
    gv::PainterSteering s;
    if (steering) {
      const auto& [weight, levels] = *steering;
      for (size_t i = 0; i < 3; ++i) check(levels.shape(i) <= 512, "levels of another shape");
      check(weight.shape(1) == levels.shape(0), "steering levels have another shape");
      s = {static_cast<int>(levels.shape(0)), static_cast<int>(levels.shape(1)),
           static_cast<int>(levels.shape(2)), copied(weight), copied(levels)};
    }
    gv::PainterLayers l;
    gv::PainterLayer* const places[] = {&l.stem, &l.stem2, &l.statistics,
                                        &l.view, &l.style, &l.head};
    for (size_t i = 0; i < layers.size(); ++i) *places[i] = to_layer(layers[i]);
    for (const auto& [depthwise, expand, project, condition] : blocks)
      l.blocks.push_back(
          {to_layer(depthwise), to_layer(expand), to_layer(project), copied(condition)});
    const Turn turn(mutex_);
    painter_.start(l, copied(entries), s);
  }

  nb::tuple paint(const Samples& y, const Samples& u, const Samples& v,
                  const std::optional<In<int16_t, 3>>& motion, int frame_condition) {
    const Turn turn(mutex_);
    check(frame_condition >= -2048 && frame_condition <= 2048,
          "an entry of the condition is out of range");
    const int width = painter_.width(), height = painter_.height();
    const gv::PaintSource loop = to_source(y, u, v, width, height);
    check(!motion || (motion->shape(0) == static_cast<size_t>(height + 15) / 16 &&
                      motion->shape(1) == static_cast<size_t>(width + 15) / 16 &&
                      motion->shape(2) == 2),
          "one vector for each 16×16 block");
    return painted(width, height, [&](uint16_t* const* planes) {
      painter_.paint(loop, motion ? motion->data() : nullptr, frame_condition, planes);
    });
  }

 private:
  gv::FramePainter painter_;
  std::mutex mutex_;
};

}  // namespace

void bind_painter(nb::module_& m) {
  nb::class_<Video>(m, "VideoPainter", "Paints the base frames of one stream in display order.")
      .def(
          "__init__",
          [](Video* self, const nb::bytes& model, int width, int height, int base, int scale, int q,
             int threads) {
            check_size(width, height);
            check(scale >= 0 && scale <= 2 && q >= 0 && q <= 63, "scale is 0…2, q is 0…63");
            new (self) Video(model, width, height, base, scale, q, threads);
          },
          "model"_a, "width"_a, "height"_a, "base"_a, "scale"_a, "q"_a, "threads"_a = 1,
          "`model`: bytes of a painter's file; `base`, `scale`, `q` as a header has them.")
      .def("start_gop", &Video::start_gop, "fit"_a = nb::none(), "look"_a = -1,
           "use_tokens"_a = true,
           "Forget the past and take a `fit` payload; whether frames are painted. Raises "
           "`DamagedStreamError`.")
      .def("paint", &Video::paint, "y"_a, "u"_a, "v"_a, "size"_a,
           "The painted planes; `size`: bytes of the frame's packet, 0 = unknown.");
  nb::class_<Frames>(m, "FramePainter", "The painter as decoders run it.")
      .def(
          "__init__",
          [](Frames* self, int width, int height, int threads) {
            check_size(width, height);
            new (self) Frames(width, height, threads);
          },
          "width"_a, "height"_a, "threads"_a = 1)
      .def("start", &Frames::start, "layers"_a, "blocks"_a, "entries"_a,
           "steering"_a = nb::none(),
           "Forget the past. A layer is (weight int8 (outputs, inputs, rows, columns), bias, "
           "multiplier, shift, step int32); `layers`: stem, "
           "stem2, statistics, view, style, head; a block: (depthwise, expand, project, "
           "condition int32). `steering`: (weight int16 (outputs of style, D), levels int8 (D, rows, "
           "columns) of regions of 64×64 samples), the weight of a level in each sum of style.")
      .def("paint", &Frames::paint, "y"_a, "u"_a, "v"_a, "motion"_a = nb::none(),
           "frame_condition"_a = 0,
           "The painted planes of the next frame; `motion` (H/16, W/16, 2) int16: (dy, dx) of "
           "blocks against the previous frame.");
}
