// The part of CUDA's runtime and device language that the kernels use, on the CPU. See
// emulation.hpp.
#pragma once

#include <math.h>

#include <cstdint>
#include <cstring>

#include "emulation.hpp"

#define __host__
#define __device__
#define __global__
#define __constant__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __restrict__ __restrict
#if defined(__SANITIZE_ADDRESS__)
#define __shared__ static  // AddressSanitizer guards only what is in no section of its own
#else
#define __shared__ static __attribute__((section("pymim_shared")))
#endif

#include "intrinsics.hpp"
#include "runtime_api.hpp"
#include "vector_types.hpp"
#include "warp.hpp"
