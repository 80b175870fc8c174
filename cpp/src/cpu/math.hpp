// exp and log that the compiler can vectorise: no branches, no tables, no libm, and always inlined,
// as a loop that calls is not vectorised whatever its pragma says. Polynomials after Cephes
// (Moshier).
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace pymim::cpu::PYMIM_ISA {

inline float from_bits(int32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline int32_t to_bits(float value) {
  int32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// e^x to 2 ulp; 0 below -87.3, and e^88 (1.65e38, not infinity) above 88.
[[gnu::always_inline]] inline float exp(float x) {
  const float clamped = x < -87.33654f ? -87.33654f : (x > 88.f ? 88.f : x);
  // Rounds to an integer in the low mantissa bits.
  const float scaled = clamped * 1.44269504f + 12582912.f;
  const float n = scaled - 12582912.f;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  const float power = from_bits((static_cast<int32_t>(n) + 127) << 23);
  return x < -87.33654f ? 0.f : p * power;
}

// ln x for normal positive x, to 2 ulp.
[[gnu::always_inline]] inline float log(float x) {
  const int32_t bits = to_bits(x) - 0x3f3504f3;  // puts the mantissa in [sqrt(1/2), sqrt(2))
  const float e = static_cast<float>(bits >> 23);
  const float m = from_bits((bits & 0x007fffff) + 0x3f3504f3) - 1.f;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  const float square = m * m;
  float y = p * m * square + e * -2.12194440e-4f - 0.5f * square;
  return m + y + e * 0.693359375f;
}

}  // namespace pymim::cpu::PYMIM_ISA
