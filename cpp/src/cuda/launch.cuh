// EXPERIMENTAL, as is all of this folder: no kernel has run on a GPU yet, on the CPU by emulation
// only.
//
// Launching a kernel, and what every kernel may ask of where it runs. With PYMIM_EMULATE
// cpp/tests/emulation stands in for the CUDA headers, so the .cu files also run, slowly, on a
// machine with no GPU.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>

#include "device.hpp"

namespace pymim::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

// Starts kernel(arguments...) on `stream`; `shared` is the bytes of dynamic shared memory a block
// uses.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared, Stream stream,
            const Arguments&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;  // an empty batch is not an error
  if (shared > 48 * 1024)
    check_cuda(
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
        "cudaFuncSetAttribute");
  const auto on = static_cast<cudaStream_t>(stream.handle);
#if PYMIM_EMULATE
  (void)on;
  emulation::run(grid, block, shared, [&] { kernel(static_cast<Parameters>(arguments)...); });
#else
  kernel<<<grid, block, shared, on>>>(static_cast<Parameters>(arguments)...);
#endif
  check_cuda(cudaGetLastError(), "kernel launch");
}

PYMIM_HOST_DEVICE inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Starts kernel(arguments...) with a warp for each of `images`.
inline constexpr int kWarpsPerBlock = 4;
template <class... Parameters, class... Arguments>
void launch_warps(void (*kernel)(Parameters...), int64_t images, Stream stream,
                  const Arguments&... arguments) {
  const dim3 grid(static_cast<unsigned>(divide_up(images, kWarpsPerBlock)));
  launch(kernel, grid, dim3(kWarpsPerBlock * kWarp), 0, stream, arguments...);
}

// The image of this warp.
__device__ inline int64_t this_image() {
  return int64_t{blockIdx.x} * kWarpsPerBlock + threadIdx.x / kWarp;
}

// The block's dynamic shared memory.
template <class T>
__device__ T* dynamic_shared() {
#if PYMIM_EMULATE
  return static_cast<T*>(emulation::shared_memory());
#else
  extern __shared__ __align__(128) unsigned char bytes[];
  return reinterpret_cast<T*>(bytes);
#endif
}

}  // namespace pymim::cuda
