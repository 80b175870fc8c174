// One register of numbers: arithmetic, comparison and choice act lane by lane.
#pragma once

#include "exp2.hpp"
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace pymim::cpu::PYMIM_ISA {

#if defined(__AVX512F__)
constexpr int64_t kRegister = 64;
#elif defined(__AVX__)
constexpr int64_t kRegister = 32;
#else
constexpr int64_t kRegister = 16;
#endif

// How a loop takes its numbers: a register at a time, or, at its ends, singly.
template <class R>
struct Packed {
  static constexpr int64_t kLanes = kRegister / sizeof(R);
  typedef R Lanes __attribute__((vector_size(kRegister)));
};
template <class R>
struct Single {};

template <class R>
inline R load(Single<R>, const R* from) {
  return *from;
}

template <class R, class T>
inline typename Packed<R>::Lanes load(Packed<R>, const T* from) {
  typename Packed<R>::Lanes out;
  if constexpr (std::is_same_v<R, T>) {
    std::memcpy(&out, from, sizeof out);
  } else {
    R values[Packed<R>::kLanes];
#pragma omp simd
    for (int64_t i = 0; i < Packed<R>::kLanes; ++i) values[i] = widen(from[i]);
    std::memcpy(&out, values, sizeof out);
  }
  return out;
}

// The first n of them, or fewer than none, then zeros.
template <class R, class T>
inline typename Packed<R>::Lanes load(Packed<R>, const T* from, int64_t n) {
  typename Packed<R>::Lanes out{};
  for (int64_t i = 0; i < n; ++i) out[i] = widen(from[i]);
  return out;
}

template <class R>
inline void store(Packed<R>, R* to, typename Packed<R>::Lanes x) {
  std::memcpy(to, &x, sizeof x);
}

template <class R>
inline R sum(Packed<R>, typename Packed<R>::Lanes x) {
  R out = 0;
  for (int64_t i = 0; i < Packed<R>::kLanes; ++i) out += x[i];
  return out;
}

// 2^t of each lane, as exp2 of one number, but in AVX-512, where it takes eight instructions, with the whole
// range of the format: infinity above it, and for numbers past 1e9 below it, which no bound on n need serve.
template <class R>
inline typename Packed<R>::Lanes exp2(Packed<R>, typename Packed<R>::Lanes t) {
#if defined(__AVX512F__)
  constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  if constexpr (std::is_same_v<R, float>) {
    const __m512 n = _mm512_max_ps(_mm512_maskz_roundscale_ps(0xffff, t, nearest), _mm512_set1_ps(-1000.f));
    return _mm512_maskz_scalef_ps(0xffff, exp2_polynomial<R>(t - n), n);
  } else {
    const __m512d n = _mm512_max_pd(_mm512_maskz_roundscale_pd(0xff, t, nearest), _mm512_set1_pd(-9000.));
    return _mm512_maskz_scalef_pd(0xff, exp2_polynomial<R>(t - n), n);
  }
#else
  R values[Packed<R>::kLanes];
  std::memcpy(values, &t, sizeof t);
#pragma omp simd
  for (int64_t i = 0; i < Packed<R>::kLanes; ++i) values[i] = exp2(values[i]);
  std::memcpy(&t, values, sizeof t);
  return t;
#endif
}

}  // namespace pymim::cpu::PYMIM_ISA
