// Keys that rank patches: the smallest are chosen. The arithmetic is the same bits on every device:
// integers, and float operations of one rounding each (no fused ones: see COMPILE_OPTIONS of the
// sources that include this), so log and exp are spelled out.
#pragma once

#include <cmath>
#include <cstring>

#include "pymim/mask.hpp"

namespace pymim {
namespace {

PYMIM_HOST_DEVICE inline uint32_t to_word(float value) {
  uint32_t word;
  memcpy(&word, &value, sizeof word);
  return word;
}

PYMIM_HOST_DEVICE inline float from_word(uint32_t word) {
  float value;
  memcpy(&value, &word, sizeof value);
  return value;
}

PYMIM_HOST_DEVICE inline float to_float(float value) { return value; }

PYMIM_HOST_DEVICE inline float to_float(bfloat16 value) {
  return from_word(uint32_t{value.bits} << 16);
}

PYMIM_HOST_DEVICE inline float to_float(float16 value) {
  const uint32_t sign = (value.bits & 0x8000u) << 16, exponent = value.bits >> 10 & 31u,
                 mantissa = value.bits & 0x3ffu;
  const uint32_t small = to_word(static_cast<float>(static_cast<int32_t>(mantissa)) * 0x1p-24f);
  const uint32_t normal = (exponent + (exponent == 31 ? 224u : 112u)) << 23 | mantissa << 13;
  return from_word(sign | (exponent == 0 ? small : normal));
}

// Integers in the order of floats, with -0 = 0.
PYMIM_HOST_DEVICE inline uint32_t ascending(float value) {
  const uint32_t word = to_word(value), same = word << 1 ? word : 0u;
  return same ^ (same >> 31 ? 0xffffffffu : 0x80000000u);
}

PYMIM_HOST_DEVICE inline uint32_t descending(float value) { return ~ascending(value); }

// Uniform on (0, 1), an odd multiple of 2^-24.
PYMIM_HOST_DEVICE inline float open_unit(uint32_t word) {
  return static_cast<float>(static_cast<int32_t>(word >> 9 << 1 | 1u)) * 0x1p-24f;
}

// ln x for normal positive x: with x = 2^e m and s = (m - 1) / (m + 1), ln m = 2 atanh s. 2 ulp.
PYMIM_HOST_DEVICE inline float exact_log(float x) {
  // So that m is in [sqrt(1/2), sqrt(2)).
  const auto offset = static_cast<int32_t>(to_word(x) - 0x3f3504f3u);
  const auto e = static_cast<float>(offset >> 23);
  const float m = from_word((static_cast<uint32_t>(offset) & 0x007fffffu) + 0x3f3504f3u);
  const float s = (m - 1.f) / (m + 1.f), square = s * s;
  float p = 0.22222222f;
  p = p * square + 0.28571429f;
  p = p * square + 0.4f;
  p = p * square + 0.66666667f;
  p = p * square + 2.f;
  return s * p + e * 0.69314718f;
}

// e^x for -87 <= x <= 0, by Taylor's series on [-ln 2 / 2, ln 2 / 2]. 4 ulp.
PYMIM_HOST_DEVICE inline float exact_exp(float x) {
  const float n = (x * 1.44269504f + 12582912.f) - 12582912.f;  // the nearest integer
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 0.0013888889f;
  p = p * r + 0.0083333333f;
  p = p * r + 0.041666667f;
  p = p * r + 0.16666667f;
  p = p * r + 0.5f;
  p = p * r + 1.f;
  p = p * r + 1.f;
  return p * from_word(static_cast<uint32_t>(static_cast<int32_t>(n) + 127) << 23);
}

// Exp(1) / weight: positive, so its bits are in its order.
PYMIM_HOST_DEVICE inline uint32_t weighted_key(float weight, uint32_t word) {
  const float above = weight > 0x1p-100f ? weight : 0x1p-100f,
              clamped = above < 0x1p100f ? above : 0x1p100f;
  return to_word(-exact_log(open_unit(word)) / clamped);
}

PYMIM_HOST_DEVICE inline uint32_t priority_key(float priority, uint32_t word) {
  return descending(priority + unit(word));
}

// Which crop of which pattern an image gets.
struct Crop {
  int64_t pattern, top, left;
  bool down, right;  // flips

  PYMIM_HOST_DEVICE Crop(const Words& words, const View<const float, 3>& bank, int64_t rows,
                         int64_t columns)
      : pattern(below(words.x, static_cast<uint32_t>(bank.shape[0]))),
        top(below(words.y, static_cast<uint32_t>(bank.shape[1] - rows + 1))),
        left(below(words.z, static_cast<uint32_t>(bank.shape[2] - columns + 1))),
        down(words.w >> 31),
        right(words.w >> 30 & 1) {}

  PYMIM_HOST_DEVICE float at(const View<const float, 3>& bank, int64_t rows, int64_t columns,
                             int64_t y, int64_t x) const {
    const int64_t row = top + (down ? rows - 1 - y : y),
                  column = left + (right ? columns - 1 - x : x);
    return bank.data[(pattern * bank.shape[1] + row) * bank.shape[2] + column];
  }
};

// The part of a ring of `covered` patches that one of several views hides: ranks [begin, end) and
// [0, wrapped).
struct Arc {
  int64_t begin, end, wrapped;

  PYMIM_HOST_DEVICE Arc(int64_t view, int64_t views, int64_t hidden, int64_t covered)
      : begin(view * covered / views), end(begin + hidden), wrapped(0) {
    if (end <= covered) return;
    wrapped = end - covered;
    end = covered;
  }
};

// Selection sampling (Fan et al. 1962): whether the next of `remaining` is one of the `left` still
// to be taken.
PYMIM_HOST_DEVICE inline bool keeps(uint32_t word, int64_t left, int64_t remaining) {
  return below(word, static_cast<uint32_t>(remaining)) < left;
}

}  // namespace
}  // namespace pymim
