// Python bindings of the core (module gvcodec._core). NumPy arrays in, NumPy arrays or bytes out;
// the interpreter lock is released while the core works.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bindings/arrays.hpp"
#include "bindings/turn.hpp"
#include "common/pool.hpp"
#include "motion/block_motion.hpp"
#include "motion/motion_errors.hpp"

namespace nb = nanobind;
using namespace nb::literals;

void bind_entropy(nb::module_&);
void bind_streams(nb::module_&);
void bind_bundles(nb::module_&);
void bind_painter(nb::module_&);
void bind_format(nb::module_&);
void bind_token_trial(nb::module_&);
void bind_transformer(nb::module_&);

namespace {

// Copies a plane and repeats its edges up to whole blocks and into the margin.
gv::Plane to_padded(const In<uint16_t, 2>& in) {
  const int h = static_cast<int>(in.shape(0)), w = static_cast<int>(in.shape(1));
  gv::Plane plane(gv::ceil_div(w, gv::kBlock) * gv::kBlock,
                  gv::ceil_div(h, gv::kBlock) * gv::kBlock, gv::kMargin);
  for (int y = 0; y < plane.height; ++y) {
    const uint16_t* src = in.data() + static_cast<size_t>(std::min(y, h - 1)) * w;
    uint16_t* dst = plane.row(y);
    for (int x = 0; x < w; ++x) dst[x] = std::min<uint16_t>(src[x], gv::kMaxSample);
    std::fill(dst + w, dst + plane.width, dst[w - 1]);
  }
  plane.extend();
  return plane;
}

void raise(const char* name, const char* what) {
  nb::object type = nb::module_::import_("gvcodec.errors").attr(name);
  PyErr_SetString(type.ptr(), what);
}

}  // namespace

NB_MODULE(_core, m) {
  // Objects of ours that live until the interpreter ends are no fault; the end of a worker is
  // quiet.
  nb::set_leak_warnings(false);
  m.doc() = "C++ core of gvcodec: range coder, stream coder, motion search, painter, transformer.";
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const gv::DamagedStream& e) {
      raise("DamagedStreamError", e.what());
    } catch (const gv::BadSetting& e) {
      raise("UsageError", e.what());
    }
  });
  bind_entropy(m);
  bind_streams(m);
  bind_bundles(m);
  bind_painter(m);
  bind_format(m);
  bind_token_trial(m);
  bind_transformer(m);
  m.def("cpu_forms", &gv::cpu_forms,
        "Instruction sets for the core's loops on this machine: plain, avx2, avxvnni, avx512; on "
        "ARM plain, neon, "
        "dotprod.");
  m.def("cpu", &gv::cpu_name,
        "The instruction set in use: $GVCODEC_CPU, or the best. Raises `UsageError` if missing.");
  m.def("use_cpu", &gv::use_cpu, "name"_a,
        "For the whole process; calls that are running may use both forms.");
  m.def("pool_size", &gv::pool_size, "Threads that the core has started.");
  m.def("use_small_stacks", &gv::use_small_stacks,
        "New threads of the process get stacks of 1 MiB, which count where memory is limited.");

  struct Errors {
    gv::MotionErrors errors;
    int width, height;
    std::mutex mutex = {};
  };
  nb::class_<Errors>(m, "MotionErrors",
                     "Residuals of motion compensation for the blocks of a video's source frames.")
      .def(
          "__init__",
          [](Errors* self, int width, int height, int threads) {
            check_size(width, height);
            new (self) Errors{gv::MotionErrors(width, height, threads), width, height};
          },
          "width"_a, "height"_a, "threads"_a = 1)
      .def(
          "push",
          [](Errors& self, const In<uint16_t, 2>& y) {
            check(static_cast<int>(y.shape(0)) == self.height &&
                      static_cast<int>(y.shape(1)) == self.width,
                  "plane of another size");
            const gv::Plane luma = to_padded(y);
            const Turn turn(self.mutex);
            std::vector<float> error;
            {
              nb::gil_scoped_release unlocked;
              error = self.errors.push(luma);
            }
            return to_numpy(std::move(error),
                            {static_cast<size_t>(gv::ceil_div(self.height, gv::kBlock)),
                             static_cast<size_t>(gv::ceil_div(self.width, gv::kBlock))});
          },
          "y"_a,
          "Takes the luma (H, W) of the next frame, 10 bits. Returns the mean squared error "
          "float32 (rows, columns) of its 16×16 blocks, predicted from the previous frame; 0 in "
          "the first frame.");

  struct Blocks {
    gv::BlockMotion motion;
    size_t width, height;
    std::mutex mutex = {};
  };
  nb::class_<Blocks>(m, "BlockMotion", "Motion of a video's base frames as the painter needs it.")
      .def(
          "__init__",
          [](Blocks* self, int width, int height, int threads) {
            check_size(width, height);
            new (self) Blocks{gv::BlockMotion(width, height, threads), static_cast<size_t>(width),
                              static_cast<size_t>(height)};
          },
          "width"_a, "height"_a, "threads"_a = 1)
      .def(
          "forget",
          [](Blocks& self) {
            const Turn turn(self.mutex);
            self.motion.forget();
          },
          "The next frame is the first one.")
      .def(
          "push",
          [](Blocks& self, const In<uint16_t, 2>& y) -> std::optional<Out<int16_t>> {
            check(y.shape(0) == self.height && y.shape(1) == self.width, "plane of another size");
            const Turn turn(self.mutex);
            std::vector<int16_t> found;
            {
              nb::gil_scoped_release unlocked;
              found = self.motion.push(y.data());
            }
            if (found.empty()) return std::nullopt;
            return to_numpy(std::move(found), {(self.height + 15) / 16, (self.width + 15) / 16, 2});
          },
          "y"_a,
          "Takes the luma (H, W) of the next frame, 10 bits. Returns (dy, dx) in whole samples, "
          "int16 (rows, columns, 2), of its 16×16 blocks against the previous frame, None for the "
          "first.");

  m.def(
      "motion_search",
      [](const In<uint16_t, 2>& current, const In<uint16_t, 2>& reference, int penalty, int threads,
         int finest) {
        const int h = static_cast<int>(current.shape(0)), w = static_cast<int>(current.shape(1));
        check_size(w, h);
        check(reference.shape(0) == current.shape(0) && reference.shape(1) == current.shape(1),
              "planes differ in size");
        check(finest == 4 || finest == 2 || finest == 1,
              "finest is 4, 2 or 1 quarters of a sample");
        const gv::Plane cur = to_padded(current), ref = to_padded(reference);
        gv::MotionField field;
        {
          nb::gil_scoped_release unlocked;
          field = gv::search_motion(cur, ref, {}, penalty, finest, threads);
        }
        std::vector<int16_t> mv;
        for (const gv::Mv v : field.mv) mv.push_back(v.x), mv.push_back(v.y);
        const size_t fh = static_cast<size_t>(field.height), fw = static_cast<size_t>(field.width);
        return nb::make_tuple(to_numpy(std::move(mv), {fh, fw, 2}),
                              to_numpy(std::move(field.satd), {fh, fw}));
      },
      "current"_a, "reference"_a, "penalty"_a = 64, "threads"_a = 1, "finest"_a = 1,
      "Vectors (H/16, W/16, 2) int16 in quarter samples, multiples of `finest` (4, 2 or 1), and "
      "their SATD, for luma planes of 10 bit; sizes round up to 16.");
}
