// Python bindings of the parts of the entropy model: range coder, integers by CDF tables.
#include "bindings/arrays.hpp"
#include "entropy/cdf.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

void check_models(const In<uint8_t, 1>& scale, const In<int16_t, 1>& mean) {
  if (scale.shape(0) != mean.shape(0)) throw nb::value_error("as many scales as means");
  for (size_t i = 0; i < scale.shape(0); ++i)
    if (scale(i) >= gv::kScales) throw nb::value_error("scale is 0…63");
}

gv::RansEncoder to_coder(const In<uint32_t, 1>& start, const In<uint32_t, 1>& freq) {
  if (start.shape(0) != freq.shape(0)) throw nb::value_error("as many starts as frequencies");
  gv::RansEncoder coder;
  for (size_t i = 0; i < start.shape(0); ++i) {
    if (freq(i) < 1 || freq(i) > gv::kProbOne || start(i) > gv::kProbOne - freq(i))
      throw nb::value_error("symbol outside 2^16");
    coder.put(start(i), freq(i));
  }
  return coder;
}

nb::bytes rans_encode(const In<uint32_t, 1>& start, const In<uint32_t, 1>& freq) {
  return to_bytes(to_coder(start, freq).finish());
}

nb::tuple rans_decode(nb::bytes data, const In<uint32_t, 2>& cdf, const In<uint32_t, 1>& which) {
  const size_t edges = cdf.shape(1);
  for (size_t t = 0; t < cdf.shape(0); ++t) {
    bool good = edges >= 2 && cdf(t, 0) == 0 && cdf(t, edges - 1) == gv::kProbOne;
    for (size_t i = 1; good && i < edges; ++i) good = cdf(t, i) > cdf(t, i - 1);
    if (!good) throw nb::value_error("a row of cdf rises from 0 to 2^16");
  }
  gv::RansDecoder coder(reinterpret_cast<const uint8_t*>(data.c_str()), data.size());
  std::vector<int32_t> symbols;
  for (size_t i = 0; i < which.shape(0); ++i) {
    const uint32_t t = which(i);
    if (t >= cdf.shape(0)) throw nb::value_error("no such table");
    size_t s = 0;
    while (cdf(t, s + 1) <= coder.peek()) ++s;
    coder.advance(cdf(t, s), cdf(t, s + 1) - cdf(t, s));
    symbols.push_back(static_cast<int32_t>(s));
  }
  const size_t count = symbols.size();
  return nb::make_tuple(to_numpy(std::move(symbols), {count}), coder.finished());
}

}  // namespace

void bind_entropy(nb::module_& m) {
  m.attr("SCALES") = gv::kScales;
  m.def("rans_encode", &rans_encode, "start"_a, "freq"_a,
        "Codes symbols that occupy [start, start + freq) of 2^16.");
  m.def("rans_decode", &rans_decode, "data"_a, "cdf"_a, "which"_a,
        "Decodes one symbol for each entry of `which` by the rows of `cdf` (0 … 2^16). Returns "
        "(symbols, whole).");
  m.def(
      "cdf_table",
      [](int scale, int mean) {
        if (scale < 0 || scale >= gv::kScales) throw nb::value_error("scale is 0…63");
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
        if (values.shape(0) != scale.shape(0)) throw nb::value_error("as many values as scales");
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
