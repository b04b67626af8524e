// Python bindings of the integer coder: its Laplace tables, and values coded by them.
#include "bindings/arrays.hpp"
#include "entropy/cdf.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

void check_models(const In<uint8_t, 1>& scale, const In<int16_t, 1>& mean) {
  check(scale.shape(0) == mean.shape(0), "as many scales as means");
  for (size_t i = 0; i < scale.shape(0); ++i) check(scale(i) < gv::kScales, "scale is 0…63");
}

}  // namespace

void bind_entropy(nb::module_& m) {
  m.attr("SCALES") = gv::kScales;
  m.def(
      "cdf_table",
      [](int scale, int mean) {
        check(scale >= 0 && scale < gv::kScales, "scale is 0…63");
        const gv::LaplaceTables& tables = gv::laplace_tables();
        const uint32_t* edge = tables.edge(scale, (mean + 4) & 7);
        const size_t count = static_cast<size_t>(tables.scale[scale].symbols) + 1;
        return to_numpy(std::vector<uint32_t>(edge, edge + count), {count});
      },
      "scale"_a, "mean"_a = 0,
      "Edges 0 … 2^16 (uint32) of a table's symbols: distances 0, 1, -1, 2 … from the integer "
      "nearest to the mean, then the escape.");
  m.def(
      "cdf_encode",
      [](const In<int32_t, 1>& values, const In<uint8_t, 1>& scale, const In<int16_t, 1>& mean) {
        check_models(scale, mean);
        check(values.shape(0) == scale.shape(0), "as many values as scales");
        gv::RansEncoder coder;
        for (size_t i = 0; i < values.shape(0); ++i)
          gv::encode_integer(coder, {scale(i), mean(i)}, values(i));
        return to_bytes(coder.finish());
      },
      "values"_a, "scale"_a, "mean"_a,
      "Codes integers (int32), each by the Laplace table of its scale index (uint8, 0…63: mean "
      "absolute deviation\n"
      "64 · 2^((i - 63) / 6)) and mean (int16, in eighths). Any value can be coded with any "
      "table.");
  m.def(
      "cdf_decode",
      [](nb::bytes data, const In<uint8_t, 1>& scale, const In<int16_t, 1>& mean) {
        check_models(scale, mean);
        gv::RansDecoder coder(reinterpret_cast<const uint8_t*>(data.c_str()), data.size());
        std::vector<int32_t> values(scale.shape(0));
        for (size_t i = 0; i < values.size(); ++i)
          values[i] = gv::decode_integer(coder, {scale(i), mean(i)});
        const size_t count = values.size();
        return nb::make_tuple(to_numpy(std::move(values), {count}), coder.finished());
      },
      "data"_a, "scale"_a, "mean"_a,
      "Inverse of cdf_encode: (values, whole). `whole` is false when the bytes do not end with the "
      "last value; any bytes\n"
      "decode to some values.");
}
