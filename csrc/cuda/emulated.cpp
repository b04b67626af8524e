#include "cuda/emulated.hpp"

#include "cuda/backend.hpp"
#include "cuda/emulation.hpp"

namespace gv::cuda {

StreamBackend& emulated_backend() {
  static DeviceBackend<Emulation> backend;
  return backend;
}

}  // namespace gv::cuda
