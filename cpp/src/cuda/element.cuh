// Storage formats read as float.
#pragma once

#include <cuda_fp16.h>
#include <math_constants.h>

#include "launch.cuh"

namespace pymim::cuda {

__device__ inline float to_float(float value) { return value; }
__device__ inline float to_float(bfloat16 value) {
  return __uint_as_float(unsigned{value.bits} << 16);
}
__device__ inline float to_float(float16 value) {
  return __half2float(__ushort_as_half(value.bits));
}

}  // namespace pymim::cuda
