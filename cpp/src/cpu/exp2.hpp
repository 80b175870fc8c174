// Powers of two and logarithms in float and double, in ways the compiler can vectorise.
#pragma once

#include <cmath>

#include "element.hpp"

namespace pymim::cpu::PYMIM_ISA {

template <class T>
auto widen(T x) {
  if constexpr (std::is_same_v<T, double>)
    return x;
  else
    return to_float(x);
}

// 2^r for |r| <= 1/2, of numbers or registers of them, in the precision R: minimax polynomials, by
// Remez, that are exactly 1 at 0.
template <class R, class X>
inline X exp2_polynomial(X r) {
  if constexpr (std::is_same_v<R, float>) {
    X p = 1.3270916e-3f * r + 9.67152728e-3f;
    p = p * r + 5.55071222e-2f;
    p = p * r + 2.40222425e-1f;
    p = p * r + 6.93146994e-1f;
    return p * r + 1.f;
  } else {
    X p = 4.43528094461033616e-10 * r + 7.07410562624565937e-9;
    p = p * r + 1.01781980333285277e-7;
    p = p * r + 1.3215433089594629e-6;
    p = p * r + 1.52527334899608046e-5;
    p = p * r + 1.5403530462514613e-4;
    p = p * r + 1.33335581467899503e-3;
    p = p * r + 9.61812910758833508e-3;
    p = p * r + 5.55041086648199215e-2;
    p = p * r + 2.40226506959101562e-1;
    p = p * r + 6.9314718055994533e-1;
    return p * r + 1.;
  }
}

// 2^t to 2 ulp; below -126 (-1022) a number smaller than that, from -127 (-1023) on 0; above 127
// (1023) that power; NaN for an infinite t.
[[gnu::always_inline]] inline float exp2(float t) {
  float clamped = t < -127.f ? -127.f : t;
  clamped = clamped > 127.f ? 127.f : clamped;
  // Rounds; the integer is in the low bits of the mantissa.
  const float shifted = clamped + 12582912.f;
  const float p = exp2_polynomial<float>(clamped - (shifted - 12582912.f));
  const uint32_t bits =
      static_cast<uint32_t>(to_bits(p)) + (static_cast<uint32_t>(to_bits(shifted)) << 23);
  return from_bits(static_cast<int32_t>(bits)) + t * 0.f;
}

[[gnu::always_inline]] inline double exp2(double t) {
  double clamped = t < -1023. ? -1023. : t;
  clamped = clamped > 1023. ? 1023. : clamped;
  const double shifted = clamped + 6755399441055744.;
  double p = exp2_polynomial<double>(clamped - (shifted - 6755399441055744.));
  uint64_t bits, power;
  std::memcpy(&bits, &p, sizeof bits);
  std::memcpy(&power, &shifted, sizeof power);
  bits += power << 52;
  std::memcpy(&p, &bits, sizeof p);
  return p + t * 0.;
}

[[gnu::always_inline]] inline float log2(float x) { return log(x) * 1.44269504f; }
inline double log2(double x) { return std::log2(x); }

}  // namespace pymim::cpu::PYMIM_ISA
