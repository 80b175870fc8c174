// A 16-bit float kept as its bits, with CUDA's habit of computing in float.
#pragma once

#include <cstdint>
#include <cstring>

namespace pymim::emulation {

// float -> the nearest value with `Mantissa` stored bits and `16 - 1 - Mantissa` exponent bits,
// ties to even.
template <int Mantissa>
struct Half16 {
  uint16_t bits;

  Half16() = default;
  Half16(float value) : bits(round(value)) {}
  Half16(double value) : Half16(static_cast<float>(value)) {}
  Half16(int value) : Half16(static_cast<float>(value)) {}
  operator float() const { return widen(bits); }

  static uint16_t round(float value);
  static float widen(uint16_t bits);
};

inline uint32_t float_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float float_from(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// bfloat16: the upper half of a float.
template <>
inline uint16_t Half16<7>::round(float value) {
  const uint32_t bits = float_bits(value);
  if (value != value) return 0x7fff;
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
template <>
inline float Half16<7>::widen(uint16_t bits) {
  return float_from(static_cast<uint32_t>(bits) << 16);
}

// IEEE half: scaling by a power of two lets float arithmetic do the rounding, subnormals included.
template <>
inline uint16_t Half16<10>::round(float value) {
  const uint32_t sign = float_bits(value) >> 16 & 0x8000u;
  const float size = value < 0 ? -value : value;
  if (value != value) return 0x7fff;
  if (size >= 65520.f) return static_cast<uint16_t>(sign | 0x7c00u);
  if (size < 0x1p-14f)
    return static_cast<uint16_t>(sign | (float_bits(size + 0.5f) - float_bits(0.5f)));
  const uint32_t bits = float_bits(size) - (112u << 23);
  return static_cast<uint16_t>(sign | (bits + 0xfff + (bits >> 13 & 1)) >> 13);
}
template <>
inline float Half16<10>::widen(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16, rest = bits & 0x7fffu;
  if (rest >= 0x7c00u) return float_from(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  const float size = float_from(rest << 13) * 0x1p112f;
  return sign ? -size : size;
}

template <class T>
struct Pair {
  T x, y;
};

}  // namespace pymim::emulation
