#include "cuda/emulation.hpp"
#include "cuda/exact_backend.hpp"

namespace gv::cuda {

TransformerBackend& emulated_transformer() {
  static DeviceTransformer<Emulation> backend;
  return backend;
}

}  // namespace gv::cuda
