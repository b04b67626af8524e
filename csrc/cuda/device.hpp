// The stream coder on a CUDA device; in builds with GVCODEC_CUDA.
#pragma once

#include <string>

#include "entropy/streams.hpp"

namespace gv::cuda {

// Name of the device in use, empty without one that answers.
std::string device_name();

// Its calls copy their arguments to the device and the results back. They throw std::runtime_error,
// with CUDA's message, when that fails, and std::invalid_argument for networks wider than a block
// has room for.
StreamBackend& device_backend();

}  // namespace gv::cuda
