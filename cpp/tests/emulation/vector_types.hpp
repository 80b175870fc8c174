// float2, int4 and kin, with CUDA's alignment.
#pragma once

#define PYMIM_VECTORS(type, name)                                                             \
  struct alignas(2 * sizeof(type)) name##2 { type x, y; };                                    \
  struct name##3 { type x, y, z; };                                                           \
  struct alignas(4 * sizeof(type) < 16 ? 4 * sizeof(type) : 16) name##4 { type x, y, z, w; }; \
  inline name##2 make_##name##2(type x, type y) { return {x, y}; }                            \
  inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }                 \
  inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
PYMIM_VECTORS(float, float)
PYMIM_VECTORS(double, double)
PYMIM_VECTORS(int, int)
PYMIM_VECTORS(short, short)
PYMIM_VECTORS(unsigned short, ushort)
PYMIM_VECTORS(signed char, char)
PYMIM_VECTORS(unsigned char, uchar)
PYMIM_VECTORS(long long, longlong)
PYMIM_VECTORS(unsigned long long, ulonglong)
#undef PYMIM_VECTORS

struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
