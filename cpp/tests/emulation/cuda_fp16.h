#pragma once

#include "cuda_runtime.h"
#include "half_format.hpp"

using __half = pymim::emulation::Half16<10>;
using half = __half;
using __half2 = pymim::emulation::Pair<__half>;
using half2 = __half2;

inline __half __float2half(float x) { return x; }
inline __half __float2half_rn(float x) { return x; }
inline float __half2float(__half x) { return x; }
inline __half __ushort_as_half(unsigned short bits) { return pymim_bit_cast<__half>(bits); }
inline unsigned short __half_as_ushort(__half x) { return x.bits; }
inline __half2 __floats2half2_rn(float x, float y) { return {x, y}; }
inline float2 __half22float2(__half2 x) { return {x.x, x.y}; }
