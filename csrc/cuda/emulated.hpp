// The CUDA form of the stream coder, run on the processor, block after block: what its tests look at where there is no device.
#pragma once

#include "core/streams.hpp"

namespace gv::cuda {

StreamBackend& emulated_backend();

}  // namespace gv::cuda
