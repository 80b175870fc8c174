// Storage formats read as float, and float rounded to bfloat16, in ways the compiler can vectorise.
#pragma once

#include "math.hpp"
#include "pymim/view.hpp"

namespace pymim::cpu::PYMIM_ISA {

inline float to_float(float value) { return value; }

inline float to_float(bfloat16 value) {
  return from_bits(static_cast<int32_t>(uint32_t{value.bits} << 16));
}

inline float to_float(float16 value) {
  const uint32_t magnitude = uint32_t{value.bits} & 0x7fffu, sign = (uint32_t{value.bits} & 0x8000u)
                                                                    << 16;
  // The exponent is rebiased by a multiplication, which also makes subnormal numbers normal.
  const int32_t scaled = to_bits(from_bits(static_cast<int32_t>(magnitude << 13)) * 0x1p112f);
  const uint32_t special = magnitude >= 0x7c00u ? 0x7f800000u : 0u;
  return from_bits(static_cast<int32_t>(static_cast<uint32_t>(scaled) | special | sign));
}

// The nearest bfloat16, ties to even, as the bits of a float; what is too small for a normal number
// becomes zero, as the instructions would have it.
inline uint32_t round_to_bfloat16(float value) {
  const uint32_t bits = static_cast<uint32_t>(to_bits(value));
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
  return (rounded & 0x7f800000u) ? rounded : 0u;
}

}  // namespace pymim::cpu::PYMIM_ISA
