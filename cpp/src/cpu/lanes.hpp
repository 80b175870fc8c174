// Loads, stores and sums of registers, and powers of two of them.
#pragma once

#include <limits>
#include <type_traits>

#include "exp2.hpp"
#include "register.hpp"
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace pymim::cpu::PYMIM_ISA {

template <class R, class T>
inline R load(Single<R>, const T* from) {
  return widen(*from);
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
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>)
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>(n > 0 ? (1 << n) - 1 : 0), from);
#endif
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
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<R, float>) return _mm512_reduce_add_ps(x);
#endif
  R out = 0;
  for (int64_t i = 0; i < Packed<R>::kLanes; ++i) out += x[i];
  return out;
}

// The first of the k greatest at(Packed or Single, c).
template <class R, class At>
int64_t first_greatest(int64_t k, At at) {
  constexpr int64_t lanes = Packed<R>::kLanes;
  using Index = std::conditional_t<sizeof(R) == 8, int64_t, int32_t>;
  typedef Index Places __attribute__((vector_size(kRegister)));
  typename Packed<R>::Lanes best = {};
  Places where = {}, here = {};
  for (int64_t i = 0; i < lanes; ++i) {
    best[i] = std::numeric_limits<R>::lowest();
    here[i] = static_cast<Index>(i);
  }
  int64_t c = 0;
  for (; c + lanes <= k; c += lanes, here += static_cast<Index>(lanes)) {
    const auto values = at(Packed<R>(), c);
    const auto more = values > best;
    where = more ? here : where;
    best = more ? values : best;
  }
  R top = best[0];
  int64_t first = where[0];
  for (int64_t i = 1; i < lanes; ++i)
    if (best[i] > top || (best[i] == top && where[i] < first)) {
      top = best[i];
      first = where[i];
    }
  for (; c < k; ++c)
    if (const R value = at(Single<R>(), c); value > top) {
      top = value;
      first = c;
    }
  return first;
}

#if defined(__AVX512F__)
// By a table and with masked ends Sinkhorn takes 1 / 1.3 to 1 / 1.4 of the time, which is 0.9 to
// 2.6 % of a training step: these are all that its loops do. 2^(j/32) for j = 0, 1, .. 31, without
// j in the bits that 2^n is added to.
alignas(64) constexpr uint32_t kRoots[32] = {
    0x3f800000, 0x3f7ecd87, 0x3f7daac3, 0x3f7c980f, 0x3f7b95c2, 0x3f7aa43a, 0x3f79c3d3, 0x3f78f4f0,
    0x3f7837f0, 0x3f778d3a, 0x3f76f532, 0x3f767043, 0x3f75fed7, 0x3f75a15b, 0x3f75583f, 0x3f7523f6,
    0x3f7504f3, 0x3f74fbaf, 0x3f7508a4, 0x3f752c4d, 0x3f75672a, 0x3f75b9be, 0x3f76248c, 0x3f76a81e,
    0x3f7744fd, 0x3f77fbb8, 0x3f78ccdf, 0x3f79b907, 0x3f7ac0c7, 0x3f7be4ba, 0x3f7d257d, 0x3f7e83b3};

// Has x in a register from here on: the compiler would otherwise read it from memory at each of its
// uses, and what limits these loops is the reading.
template <class X>
inline X in_register(X x) {
  asm("" : "+v"(x));
  return x;
}
#endif

// exp2(x) gives 2^(x scale) of each lane, to 2 ulp. In AVX-512 floats are 2^-126 or a little more
// where it is smaller, at least 2^127 where it is larger, and past 1e9 anything: there `checked`
// gives NaN.
template <class R>
class Exp2 {
 public:
  using Lanes = typename Packed<R>::Lanes;
  explicit Exp2(R scale) : scale_(scale) {}

  Lanes operator()(Lanes x) const {
    R values[Packed<R>::kLanes];
    std::memcpy(values, &x, sizeof x);
#pragma omp simd
    for (int64_t i = 0; i < Packed<R>::kLanes; ++i) values[i] = exp2(values[i] * scale_);
    std::memcpy(&x, values, sizeof x);
    return x;
  }
  Lanes checked(Lanes x) const { return (*this)(x); }

 private:
  R scale_;
};

#if defined(__AVX512F__)
// x scale = m/32 + r, where a sum rounds to m in the low bits of its mantissa. 2^(m/32) is a root,
// from a table in two registers, and an exponent; of 2^r the first terms are enough.
template <>
class Exp2<float> {
 public:
  explicit Exp2(float scale)
      : scale_(in_register(_mm512_set1_ps(scale))),
        low_(in_register(_mm512_load_si512(kRoots))),
        high_(in_register(_mm512_load_si512(kRoots + 16))) {}

  __m512 operator()(__m512 scores) const {
    constexpr int32_t zero = 0x48c00000;  // of `magic`
    const __m512 magic = _mm512_set1_ps(393216.f), x = in_register(scores);
    const __m512 sum = _mm512_fmadd_ps(x, scale_, magic);
    const __m512 r = _mm512_fmsub_ps(x, scale_, _mm512_sub_ps(sum, magic));
    const __m512i least =
        _mm512_max_epi32(_mm512_castps_si512(sum), _mm512_set1_epi32(zero - 126 * 32));
    const __m512i m = _mm512_min_epi32(least, _mm512_set1_epi32(zero + 127 * 32));
    const __m512i root = _mm512_permutex2var_epi32(low_, m, high_);
    const __m512 power = _mm512_castsi512_ps(_mm512_add_epi32(root, _mm512_slli_epi32(m, 18)));
    const __m512 slope =
        _mm512_fmadd_ps(r, _mm512_set1_ps(0.2402265f), _mm512_set1_ps(0.69315733f));
    return _mm512_fmadd_ps(_mm512_mul_ps(power, r), slope, power);
  }

  __m512 checked(__m512 x) const {
    const __mmask16 large =
        _mm512_cmp_ps_mask(_mm512_abs_ps(x * scale_), _mm512_set1_ps(1e9f), _CMP_GT_OQ);
    return _mm512_mask_mov_ps((*this)(x), large, _mm512_set1_ps(NAN));
  }

 private:
  __m512 scale_;
  __m512i low_, high_;
};

template <>
class Exp2<double> {
 public:
  explicit Exp2(double scale) : scale_(_mm512_set1_pd(scale)) {}

  __m512d operator()(__m512d x) const {
    constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    const __m512d t = x * scale_;
    const __m512d n =
        _mm512_max_pd(_mm512_maskz_roundscale_pd(0xff, t, nearest), _mm512_set1_pd(-9000.));
    return _mm512_maskz_scalef_pd(0xff, exp2_polynomial<double>(t - n), n);
  }
  __m512d checked(__m512d x) const { return (*this)(x); }

 private:
  __m512d scale_;
};
#endif

}  // namespace pymim::cpu::PYMIM_ISA
