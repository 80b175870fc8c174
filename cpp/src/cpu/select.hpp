// Selects the `count` smallest keys of a row.
//
// Sorting, or std::nth_element, moves keys and branches on each. Here keys stay where they are: a
// bound is guessed, the keys below it are counted (a loop that the compiler vectorises), and the
// guess is improved until exactly `count` keys are below it. A row of N patches takes about four
// such passes.
#pragma once

#include "philox.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

// Says how the chosen keys change the flags of a row: theirs become true and the others false; or
// the reverse; or theirs are flipped and the others stay.
enum class Put { set, clear, flip };

inline int64_t count_below(const Word* keys, int64_t n, uint32_t bound) {
  int32_t count = 0;
  for (int64_t i = 0; i < n; ++i) count += keys[i] < bound;
  return count;
}

template <Put put>
void put_below(const Word* keys, int64_t n, uint32_t bound, bool* flags) {
  for (int64_t i = 0; i < n; ++i) {
    const bool below = keys[i] < bound;
    if constexpr (put == Put::set) flags[i] = below;
    if constexpr (put == Put::clear) flags[i] = !below;
    if constexpr (put == Put::flip) flags[i] ^= below;
  }
}

// Brackets the wanted bound: low <= bound < high. Counts the keys below both ends.
struct Bracket {
  uint64_t low, high;
  int64_t below_low, below_high;
};

// Brackets a bound of keys that may be anything.
inline Bracket anywhere(int64_t n) { return {0, uint64_t{1} << 32, 0, n}; }

// Brackets a bound of keys that fill only a part of the range.
inline Bracket spanned(const Word* keys, int64_t n) {
  uint32_t least = 0xffffffffu, most = 0;
#pragma omp simd reduction(min : least) reduction(max : most)
  for (int64_t i = 0; i < n; ++i) {
    least = keys[i] < least ? keys[i] : least;
    most = keys[i] > most ? keys[i] : most;
  }
  return {least < most ? least : most, uint64_t{most} + 1, 0, n};
}

// A Scale is what keys are evenly spread on: here, the keys themselves.
struct Even {
  static double number(uint32_t key) { return key; }
  static uint32_t key(double number) { return static_cast<uint32_t>(static_cast<int64_t>(number)); }
};

// Guesses the key of rank `rank`, as if the keys in the bracket were evenly spread on the Scale.
template <class Scale>
uint64_t guess(const Bracket& known, double rank) {
  const double part = (rank + 0.5 - static_cast<double>(known.below_low)) /
                      static_cast<double>(known.below_high - known.below_low + 1);
  const double low = Scale::number(static_cast<uint32_t>(known.low)),
               high = Scale::number(static_cast<uint32_t>(known.high - 1));
  const uint64_t key = Scale::key(low + (high - low) * (part < 0 ? 0 : part > 1 ? 1 : part));
  return key <= known.low ? known.low + 1 : key >= known.high ? known.high - 1 : key;
}

// Narrows the bracket to one side of a guess, or of its middle.
template <class Scale>
void narrow(const Word* keys, int64_t n, int64_t count, bool halve, Bracket& known) {
  const uint64_t middle = halve ? known.low + (known.high - known.low) / 2
                                : guess<Scale>(known, static_cast<double>(count));
  const int64_t below_middle = count_below(keys, n, static_cast<uint32_t>(middle));
  if (below_middle <= count) {
    known.low = middle;
    known.below_low = below_middle;
  } else {
    known.high = middle;
    known.below_high = below_middle;
  }
}

// Describes the smallest keys of a row: all below `bound`, and the first `ties` of those equal to
// it.
struct Smallest {
  uint32_t bound;
  int64_t ties;
};

// Finds the `count` smallest of n keys. Only keys that are equal leave ties. From the fifth pass on
// every other pass halves the bracket, so that 64 passes are enough for any keys.
template <class Scale = Even>
Smallest smallest(const Word* keys, int64_t n, int64_t count, Bracket known) {
  if (count == n) return {0xffffffffu, n};
  for (int pass = 0; known.below_low != count && known.high - known.low > 1; ++pass)
    narrow<Scale>(keys, n, count, pass >= 4 && pass % 2 == 0, known);
  return {static_cast<uint32_t>(known.low), count - known.below_low};
}

// Sets, clears or flips the flags of the smallest keys.
template <Put put>
void put_smallest(const Word* keys, int64_t n, Smallest chosen, bool* flags) {
  put_below<put>(keys, n, chosen.bound, flags);
  for (int64_t i = 0; i < n && chosen.ties > 0; ++i) {
    const bool tie = keys[i] == chosen.bound;
    flags[i] ^= tie;
    chosen.ties -= tie;
  }
}

// Hides all but the smallest keys. The keys belong, in order, to the patches whose flags are still
// false.
inline void hide_larger(const Word* keys, Smallest chosen, int64_t n, bool* flags) {
  for (int64_t i = 0; i < n; ++i) {
    if (flags[i]) continue;
    const uint32_t key = *keys++;
    const bool tie = chosen.ties > 0 && key == chosen.bound;
    flags[i] = !(tie || key < chosen.bound);
    chosen.ties -= tie;
  }
}

}  // namespace
}  // namespace pymim::cpu::PYMIM_ISA
