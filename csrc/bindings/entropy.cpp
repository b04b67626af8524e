// Python bindings of the integer coder: its Laplace tables, and values coded by them.
#include "bindings/arrays.hpp"
#include "entropy/cdf.hpp"
#include "entropy/tables.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

void check_models(const In<uint8_t, 1>& scale, const In<int16_t, 1>& mean) {
  check(scale.shape(0) == mean.shape(0), "as many scales as means");
  for (size_t i = 0; i < scale.shape(0); ++i) check(scale(i) < gv::kScales, "scale is 0…63");
}

// Rows of edges; a row that ends before the last column repeats 2^precision.
std::vector<gv::SymbolTable> tables_of(const In<uint32_t, 2>& edges, int precision) {
  check(precision >= 1 && precision <= gv::kMostPrecision, "precision is 1…24 bits");
  check(edges.shape(1) >= 2, "a table has an edge before and after each symbol");
  std::vector<gv::SymbolTable> tables(edges.shape(0));
  for (size_t row = 0; row < tables.size(); ++row) {
    const uint32_t* edge = &edges(row, 0);
    size_t symbols = 0;
    while (symbols + 1 < edges.shape(1) && edge[symbols + 1] > edge[symbols]) ++symbols;
    check(edge[0] == 0 && edge[symbols] == 1u << precision,
          "edges rise from 0 to 2^precision, and repeat it after a shorter table");
    for (size_t i = symbols + 1; i < edges.shape(1); ++i)
      check(edge[i] == edge[symbols], "edges after a table's end repeat 2^precision");
    tables[row] = {edge, symbols};
  }
  return tables;
}

const gv::SymbolTable& table_at(const std::vector<gv::SymbolTable>& tables, int32_t index) {
  check(index >= 0 && static_cast<size_t>(index) < tables.size(), "an index names a table");
  return tables[static_cast<size_t>(index)];
}

// Decodes symbols in calls of its own bytes, so that tables may depend on earlier values.
class SymbolDecoder {
 public:
  SymbolDecoder(const nb::bytes& data, int precision)
      : data_(data.c_str(), data.size()),
        decoder_(reinterpret_cast<const uint8_t*>(data_.data()), data_.size(), precision),
        precision_(precision) {
    check(precision >= 1 && precision <= gv::kMostPrecision, "precision is 1…24 bits");
  }
  SymbolDecoder(const SymbolDecoder&) = delete;  // the decoder points into the bytes

  auto decode(const In<uint32_t, 2>& edges, const In<int32_t, 1>& index) {
    const auto tables = tables_of(edges, precision_);
    std::vector<int32_t> symbols(index.shape(0));
    for (size_t i = 0; i < symbols.size(); ++i) table_at(tables, index(i));  // all or none
    for (size_t i = 0; i < symbols.size(); ++i)
      symbols[i] = static_cast<int32_t>(decoder_.next(table_at(tables, index(i))));
    const size_t count = symbols.size();
    return to_numpy(std::move(symbols), {count});
  }

  bool finished() const { return decoder_.finished(); }

 private:
  std::string data_;
  gv::WideDecoder decoder_;
  int precision_;
};

// Decodes integers in calls of its own bytes, so that tables may depend on earlier values.
class IntegerDecoder {
 public:
  explicit IntegerDecoder(const nb::bytes& data)
      : data_(data.c_str(), data.size()),
        decoder_(reinterpret_cast<const uint8_t*>(data_.data()), data_.size()) {}
  IntegerDecoder(const IntegerDecoder&) = delete;  // the decoder points into the bytes

  auto decode(const In<uint8_t, 1>& scale, const In<int16_t, 1>& mean) {
    check_models(scale, mean);
    std::vector<int32_t> values(scale.shape(0));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = gv::decode_integer(decoder_, {scale(i), mean(i)});
    const size_t count = values.size();
    return to_numpy(std::move(values), {count});
  }

  bool finished() const { return decoder_.finished(); }

 private:
  std::string data_;
  gv::RansDecoder decoder_;
};

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
  m.def(
      "table_encode",
      [](const In<int32_t, 1>& symbols, const In<uint32_t, 2>& edges, const In<int32_t, 1>& index,
         int precision) {
        check(symbols.shape(0) == index.shape(0), "as many symbols as indices");
        const auto tables = tables_of(edges, precision);
        uint64_t x = 0;
        std::vector<uint8_t> bytes;
        for (size_t i = symbols.shape(0); i-- > 0;) {
          const gv::SymbolTable& table = table_at(tables, index(i));
          const int32_t symbol = symbols(i);
          check(symbol >= 0 && static_cast<size_t>(symbol) < table.symbols,
                "a symbol is in its table");
          const auto place = static_cast<size_t>(symbol);
          gv::wide_push(x, table.start(place), table.size(place), precision, bytes);
        }
        for (; x != 0; x >>= 8) bytes.push_back(static_cast<uint8_t>(x));
        std::reverse(bytes.begin(), bytes.end());
        return to_bytes(bytes);
      },
      "symbols"_a, "edges"_a, "index"_a, "precision"_a,
      "Codes symbols (int32), each by the row of `edges` (uint32, 0 to 2^precision) that its "
      "index (int32) names.");
  m.def(
      "table_decode",
      [](nb::bytes data, const In<uint32_t, 2>& edges, const In<int32_t, 1>& index,
         int precision) {
        const auto tables = tables_of(edges, precision);
        gv::WideDecoder coder(reinterpret_cast<const uint8_t*>(data.c_str()), data.size(),
                              precision);
        std::vector<int32_t> symbols(index.shape(0));
        for (size_t i = 0; i < symbols.size(); ++i)
          symbols[i] = static_cast<int32_t>(coder.next(table_at(tables, index(i))));
        const size_t count = symbols.size();
        return nb::make_tuple(to_numpy(std::move(symbols), {count}), coder.finished());
      },
      "data"_a, "edges"_a, "index"_a, "precision"_a,
      "Inverse of table_encode: (symbols, whole).");
  nb::class_<SymbolDecoder>(m, "SymbolDecoder",
                            "The inverse of table_encode in several calls: tables may follow from "
                            "symbols before.")
      .def(nb::init<nb::bytes, int>(), "data"_a, "precision"_a)
      .def("decode", &SymbolDecoder::decode, "edges"_a, "index"_a,
           "The next symbols (int32), each by the row of `edges` that its index names.")
      .def_prop_ro("finished", &SymbolDecoder::finished,
                   "Whether the bytes end with the last symbol.");
  nb::class_<IntegerDecoder>(m, "IntegerDecoder",
                             "The inverse of cdf_encode in several calls: tables may follow from "
                             "integers before.")
      .def(nb::init<nb::bytes>(), "data"_a)
      .def("decode", &IntegerDecoder::decode, "scale"_a, "mean"_a,
           "The next integers (int32), each by the table of its scale index and mean.")
      .def_prop_ro("finished", &IntegerDecoder::finished,
                   "Whether the bytes end with the last integer.");
}
