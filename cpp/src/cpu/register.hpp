// How wide a register of the instruction set is, and the type of one: arithmetic, comparison and
// choice act lane by lane.
#pragma once

#include <cstdint>

namespace pymim::cpu::PYMIM_ISA {

#if defined(__AVX512F__)
constexpr int64_t kRegister = 64;  // bytes
#elif defined(__AVX2__)
constexpr int64_t kRegister = 32;
#else
constexpr int64_t kRegister = 16;
#endif

// Also how a loop takes its numbers: Packed, a register at a time, or Single, at its ends.
template <class R>
struct Packed {
  static constexpr int64_t kLanes = kRegister / sizeof(R);
  typedef R Lanes __attribute__((vector_size(kRegister)));
};
template <class R>
struct Single {};

}  // namespace pymim::cpu::PYMIM_ISA
