// Arithmetic, bit and memory intrinsics. One thread runs at a time, so an atomic operation is a
// plain one.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

template <class To, class From>
To pymim_bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

inline int __float_as_int(float x) { return pymim_bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return pymim_bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return pymim_bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return pymim_bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return pymim_bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return pymim_bit_cast<double>(x); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __clzll(long long x) {
  return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(uint64_t{a} * b >> 32);
}
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int bit = 0; bit < 32; ++bit) reversed |= (x >> bit & 1u) << (31 - bit);
  return reversed;
}

inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
inline double rsqrt(double x) { return 1. / sqrt(x); }
#define __expf expf  // macros: glibc declares functions of these names
#define __exp2f exp2f
#define __logf logf
#define __log2f log2f
#define __cosf cosf
#define __sinf sinf
inline float __fdividef(float a, float b) { return a / b; }
inline float __saturatef(float x) { return x < 0.f || x != x ? 0.f : (x > 1.f ? 1.f : x); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frcp_rn(float x) { return 1.f / x; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline int __float2int_rn(float x) { return static_cast<int>(rintf(x)); }
inline int __float2int_rz(float x) { return static_cast<int>(x); }
inline int __float2int_rd(float x) { return static_cast<int>(floorf(x)); }
inline unsigned __float2uint_rz(float x) { return static_cast<unsigned>(x); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }

template <class A, class B>
constexpr std::common_type_t<A, B> min(A a, B b) {
  using T = std::common_type_t<A, B>;
  return static_cast<T>(b) < static_cast<T>(a) ? static_cast<T>(b) : static_cast<T>(a);
}
template <class A, class B>
constexpr std::common_type_t<A, B> max(A a, B b) {
  using T = std::common_type_t<A, B>;
  return static_cast<T>(a) < static_cast<T>(b) ? static_cast<T>(b) : static_cast<T>(a);
}

template <class T>
T __ldg(const T* address) {
  return *address;
}
template <class T>
T __ldcs(const T* address) {
  return *address;
}
template <class T>
T __ldcg(const T* address) {
  return *address;
}
template <class T>
void __stcs(T* address, T value) {
  *address = value;
}
inline void __threadfence() {}
inline void __threadfence_block() {}

// Each returns what was there before.
template <class T>
T pymim_exchange(T* address, T value) {
  const T before = *address;
  *address = value;
  return before;
}
template <class T>
T atomicAdd(T* address, std::common_type_t<T> value) {
  return pymim_exchange(address, static_cast<T>(*address + value));
}
template <class T>
T atomicSub(T* address, std::common_type_t<T> value) {
  return pymim_exchange(address, static_cast<T>(*address - value));
}
template <class T>
T atomicMin(T* address, std::common_type_t<T> value) {
  return pymim_exchange(address, value < *address ? value : *address);
}
template <class T>
T atomicMax(T* address, std::common_type_t<T> value) {
  return pymim_exchange(address, *address < value ? value : *address);
}
template <class T>
T atomicAnd(T* address, std::common_type_t<T> value) {
  return pymim_exchange(address, static_cast<T>(*address & value));
}
template <class T>
T atomicOr(T* address, std::common_type_t<T> value) {
  return pymim_exchange(address, static_cast<T>(*address | value));
}
template <class T>
T atomicXor(T* address, std::common_type_t<T> value) {
  return pymim_exchange(address, static_cast<T>(*address ^ value));
}
template <class T>
T atomicExch(T* address, std::common_type_t<T> value) {
  return pymim_exchange<T>(address, value);
}
template <class T>
T atomicCAS(T* address, std::common_type_t<T> expected, std::common_type_t<T> value) {
  return pymim_exchange<T>(address, *address == expected ? value : *address);
}
