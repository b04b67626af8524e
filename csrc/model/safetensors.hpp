// Safetensors files: numbers by name, and texts (docs/spec/models.md).
#pragma once

#include <map>

#include "format/cursor.hpp"

namespace gv {

struct Tensor {
  std::string type;  // I8, I16, I32, F32 …
  std::vector<uint64_t> shape;
  Bytes bytes;  // little-endian, in C order, of the file

  // Numbers of this type: I8, I16 or I32. Throws `StreamError` for other types and for numbers
  // outside of low…high.
  template <class T>
  std::vector<T> numbers(const char* wanted, int64_t low, int64_t high) const;
};

struct Safetensors {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> texts;

  // Throws `StreamError` where a tensor is missing.
  const Tensor& at(const std::string& name) const;
};

// Views of `file`. Throws `StreamError` for other files.
Safetensors read_safetensors(Bytes file);

// The integer that a JSON object holds under `key`, `missing` without one. Throws `StreamError`.
int64_t json_integer(const std::string& object, const std::string& key, int64_t missing);

template <class T>
std::vector<T> Tensor::numbers(const char* wanted, int64_t low, int64_t high) const {
  require(type == wanted, "a tensor of another type");
  std::vector<T> values(bytes.size / sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    std::make_unsigned_t<T> raw = 0;
    for (size_t b = 0; b < sizeof(T); ++b)
      raw = static_cast<std::make_unsigned_t<T>>(raw | bytes.data[i * sizeof(T) + b] << 8 * b);
    values[i] = static_cast<T>(raw);
    require(values[i] >= low && values[i] <= high, "a number of a tensor is out of range");
  }
  return values;
}

}  // namespace gv
