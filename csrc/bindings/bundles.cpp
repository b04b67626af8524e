// Python bindings of the model of frame headers in bundles.
#include "entropy/bundles.hpp"
#include "bindings/arrays.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

const uint8_t* data_of(const nb::bytes& bytes) {
  return reinterpret_cast<const uint8_t*>(bytes.c_str());
}

}  // namespace

// Calls take less than a millisecond and keep the interpreter's lock.
void bind_bundles(nb::module_& m) {
  m.attr("BUNDLE_OBUS") = gv::kMostObus;
  m.attr("BUNDLE_HEAD") = gv::kHead;
  nb::class_<gv::BundleModel>(m, "BundleModel",
                              "Codes frame headers of a GOP's bundles, one bundle after another.")
      .def(
          "__init__",
          [](gv::BundleModel* self, const nb::bytes& sample) {
            new (self) gv::BundleModel(data_of(sample), sample.size());
          },
          "sample"_a,
          "A model that has learned OBUs: each a byte for its place in the frame, one for the "
          "number of its symbols, symbols; 255 and 0 between GOPs. Raises `ValueError`.")
      .def(
          "copy", [](const gv::BundleModel& self) { return gv::BundleModel(self); },
          "For another GOP.")
      .def(
          "encode",
          [](gv::BundleModel& self, const nb::bytes& symbols) {
            return to_bytes(self.encode(data_of(symbols), symbols.size()));
          },
          "symbols"_a,
          "Codes the symbols of whole frames with BUNDLE_OBUS OBUs at most, BUNDLE_HEAD bytes of "
          "each. Raises `ValueError`.")
      .def(
          "decode",
          [](gv::BundleModel& self, const nb::bytes& data, int frames) {
            return to_bytes(self.decode(data_of(data), data.size(), frames));
          },
          "data"_a, "frames"_a,
          "The symbols of `frames` frames, of any bytes. Raises `DamagedStreamError` where they "
          "have more than BUNDLE_OBUS OBUs.");
}
