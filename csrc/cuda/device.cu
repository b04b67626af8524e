#include <string>
#include <utility>

#include "cuda/backend.hpp"
#include "cuda/device.hpp"
#include "cuda/exact_backend.hpp"

namespace gv::cuda {
namespace {

void check(cudaError_t status) {
  if (status != cudaSuccess)
    throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(status));
}

// The threads of a block.
struct BlockGroup {
  template <class Fn>
  __device__ void each(int count, const Fn& fn) const {
    for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) fn(i);
    __syncthreads();
  }
  template <class Fn>
  __device__ void one(const Fn& fn) const {
    if (threadIdx.x == 0) fn();
    __syncthreads();
  }
};

template <class Kernel>
__global__ void run(const Kernel kernel) {
  extern __shared__ uint32_t shared[];
  kernel(BlockGroup{}, static_cast<int>(blockIdx.x), shared);
}

struct Device {
  template <class T>
  class Buffer {
   public:
    explicit Buffer(size_t count = 0) : count_(count) {
      if (count_ > 0) check(cudaMalloc(&values_, bytes()));
    }
    Buffer(const T* from, size_t count) : Buffer(count) {
      if (count_ > 0) check(cudaMemcpy(values_, from, bytes(), cudaMemcpyHostToDevice));
    }
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
      swap(other);
      return *this;
    }
    ~Buffer() { cudaFree(values_); }
    T* get() { return values_; }
    const T* get() const { return values_; }
    void read(T* to) const {
      if (count_ > 0) check(cudaMemcpy(to, values_, bytes(), cudaMemcpyDeviceToHost));
    }

   private:
    size_t bytes() const { return count_ * sizeof(T); }
    void swap(Buffer& other) {
      std::swap(values_, other.values_);
      std::swap(count_, other.count_);
    }
    T* values_ = nullptr;
    size_t count_ = 0;
  };

  template <class Kernel>
  static void launch(const Kernel& kernel, int blocks, int threads, size_t words) {
    if (blocks == 0) return;
    run<<<blocks, threads, words * sizeof(uint32_t)>>>(kernel);
    check(cudaGetLastError());
  }
};

}  // namespace

std::string device_name() {
  int device = 0;
  cudaDeviceProp properties;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaGetDeviceProperties(&properties, device) != cudaSuccess) {
    cudaGetLastError();  // it is no error of a later call
    return {};
  }
  return properties.name;
}

StreamBackend& device_backend() {
  static DeviceBackend<Device> backend;
  return backend;
}

TransformerBackend& device_transformer() {
  static DeviceTransformer<Device> backend;
  return backend;
}

}  // namespace gv::cuda
