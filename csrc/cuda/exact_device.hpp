// The exact transformer on a CUDA device, or its emulation on the processor; the same bits as
// transformer.hpp, whose arguments these calls have. They copy their arguments to the device and
// the results back, and throw std::runtime_error when that fails.
#pragma once

#include "transformer/transformer.hpp"

namespace gv::cuda {

class TransformerBackend {
 public:
  virtual ~TransformerBackend() = default;
  virtual void apply(gv::exact::Function function, const float* x, size_t count, float* out) = 0;
  virtual void linear(const float* x, int rows, int inputs, const float* weight, int outputs,
                      const float* bias, float* out) = 0;
  virtual void layer_norm(const float* x, int rows, int width, const float* gain,
                          const float* bias, float epsilon, float* out) = 0;
  // Dense arrays [batch, heads, rows, depth].
  virtual void attention(const gv::exact::AttentionShape& shape, const float* query,
                         const float* key, const float* value, const int32_t* visible,
                         float* out) = 0;
  virtual void block(const float* x, int batch, int length, const gv::exact::BlockWeights& w,
                     const int32_t* visible, float* out) = 0;
};

TransformerBackend& emulated_transformer();

// In builds with GVCODEC_CUDA.
TransformerBackend& device_transformer();

}  // namespace gv::cuda
