// The current CUDA device for the length of a call: launches go where the arrays are.
#pragma once

#include <cuda_runtime.h>

#include "pymim/check.hpp"

namespace pymim::cuda {

inline void check_cuda(cudaError_t status, const char* call) {
  if (status != cudaSuccess)
    throw std::runtime_error(std::string(call) + ": " + cudaGetErrorString(status));
}

class DeviceGuard {
 public:
  explicit DeviceGuard(int index) {
    check_cuda(cudaGetDevice(&before_), "cudaGetDevice");
    changed_ = before_ != index;
    if (changed_) check_cuda(cudaSetDevice(index), "cudaSetDevice");
  }
  ~DeviceGuard() {
    if (changed_) cudaSetDevice(before_);
  }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int before_ = 0;
  bool changed_ = false;
};

}  // namespace pymim::cuda
