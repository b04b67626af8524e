// Calls for tests of the core: integers of test vectors, the fields of a `fit` payload.
#include "entropy/cdf.hpp"
#include "model/painter_model.hpp"
#include "web/core/errors.hpp"
#include "web/core/json.hpp"

using namespace gv;

extern "C" {

// Reads `count` integers by one table (csrc/entropy/cdf.hpp). Whether all bytes are used up.
int vector_integers(const uint8_t* data, size_t size, int scale, int mean, int inflation, int count,
                    int32_t* out) {
  RansDecoder coder(data, size);
  for (int n = 0; n < count; ++n) out[n] = decode_integer(coder, {scale, mean, inflation});
  return coder.finished();
}

// "identity", or noise, keep and factors, then of each tensor its name, exponent and values.
const char* vector_fit(const PainterModel* model, const uint8_t* data, size_t size) {
  static std::string text;
  const int code = guard([&] {
    constexpr const char* kNames[] = {"head.bias", "style.bias", "head.weight"};
    const Fit fit = parse_fit({data, size}, *model);
    text = fit.identity
               ? "identity"
               : std::to_string(fit.strength.noise) + " " + std::to_string(fit.strength.keep);
    if (fit.identity) return 0;
    for (const int factor : fit.strength.factors) text += " " + std::to_string(factor);
    for (const Delta& delta : fit.deltas) {
      text += std::string(";") + kNames[delta.name] + " " + std::to_string(delta.exponent);
      for (const int32_t value : delta.values) text += " " + std::to_string(value);
    }
    return 0;
  });
  return code < 0 ? nullptr : text.c_str();
}

}  // extern "C"
