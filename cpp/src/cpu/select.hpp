// The smallest keys of a row, by a bound that exactly so many are below.
#pragma once

#include "window.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

// What becomes of the flags of a row: those of the chosen keys are true and the others false, or the reverse,
// or those of the chosen are flipped.
enum class Put { set, clear, flip };

#if defined(__AVX512F__)

// Which of the 16 keys from `keys` on, of which `left` exist, are below `bound`.
inline __mmask16 below(const Word* keys, int64_t left, uint32_t bound) {
  const __mmask16 inside = first_lanes(left);
  return _mm512_mask_cmplt_epu32_mask(inside, _mm512_maskz_loadu_epi32(inside, keys),
                                      _mm512_set1_epi32(static_cast<int>(bound)));
}

inline int64_t count_below(const Word* keys, int64_t n, uint32_t bound) {
  int64_t count = 0, i = 0;
  for (; i + 16 <= n; i += 16)
    count += __builtin_popcount(
        _mm512_cmplt_epu32_mask(_mm512_loadu_si512(keys + i), _mm512_set1_epi32(static_cast<int>(bound))));
  return i < n ? count + __builtin_popcount(below(keys + i, n - i, bound)) : count;
}

// The same of 64 keys.
inline uint64_t below_64(const Word* keys, int64_t left, uint32_t bound) {
  uint64_t bits = 0;
  for (int64_t j = 0; j < 64 && j < left; j += 16) bits |= uint64_t{below(keys + j, left - j, bound)} << j;
  return bits;
}

inline __mmask64 first_64(int64_t count) { return count < 64 ? (uint64_t{1} << count) - 1 : ~uint64_t{0}; }

// 64 flags at a time, so that whoever reads them next waits for no narrower stores.
template <Put put>
void put_below(const Word* keys, int64_t n, uint32_t bound, bool* flags) {
  for (int64_t i = 0; i < n; i += 64) {
    const __mmask64 inside = first_64(n - i);
    const uint64_t bits = below_64(keys + i, n - i, bound);
    __m512i values = _mm512_maskz_set1_epi8(put == Put::clear ? ~bits : bits, 1);
    if (put == Put::flip) values = _mm512_xor_si512(values, _mm512_maskz_loadu_epi8(inside, flags + i));
    _mm512_mask_storeu_epi8(flags + i, inside, values);
  }
}

#else

inline int64_t count_below(const Word* keys, int64_t n, uint32_t bound) {
  int32_t count = 0;
  for (int64_t i = 0; i < n; ++i) count += keys[i] < bound;
  return count;
}

template <Put put>
void put_below(const Word* keys, int64_t n, uint32_t bound, bool* flags) {
  for (int64_t i = 0; i < n; ++i) {
    const bool below = keys[i] < bound;
    flags[i] = put == Put::set ? below : put == Put::clear ? !below : flags[i] ^ below;
  }
}

#endif

// What is known of a bound: it is at least `low` and less than `high`, and how many keys are below these.
struct Bracket {
  uint64_t low, high;
  int64_t below_low, below_high;
};

// Of keys that may be anything.
inline Bracket anywhere(int64_t n) { return {0, uint64_t{1} << 32, 0, n}; }

// Of keys that keep to a part of the range.
inline Bracket spanned(const Word* keys, int64_t n) {
  uint32_t least = 0xffffffffu, most = 0;
#pragma omp simd reduction(min : least) reduction(max : most)
  for (int64_t i = 0; i < n; ++i) {
    least = keys[i] < least ? keys[i] : least;
    most = keys[i] > most ? keys[i] : most;
  }
  return {least < most ? least : most, uint64_t{most} + 1, 0, n};
}

// The scale on which keys are evenly spread: their own.
struct Even {
  static double number(uint32_t key) { return key; }
  static uint32_t key(double number) { return static_cast<uint32_t>(static_cast<int64_t>(number)); }
};

// Where in the bracket the key of rank `rank` is if they are even on the Scale.
template <class Scale>
uint64_t guess(const Bracket& known, double rank) {
  const double share = (rank + 0.5 - static_cast<double>(known.below_low)) /
                       static_cast<double>(known.below_high - known.below_low + 1);
  const double low = Scale::number(static_cast<uint32_t>(known.low)),
               high = Scale::number(static_cast<uint32_t>(known.high - 1));
  const uint64_t key = Scale::key(low + (high - low) * (share < 0 ? 0 : share > 1 ? 1 : share));
  return key <= known.low ? known.low + 1 : key >= known.high ? known.high - 1 : key;
}

// Narrows the bracket to one side of a guess, or halves it.
template <class Scale>
void narrow(const Word* keys, int64_t n, int64_t count, bool halve, Bracket& known) {
  const uint64_t middle =
      halve ? known.low + (known.high - known.low) / 2 : guess<Scale>(known, static_cast<double>(count));
  const int64_t below_middle = count_below(keys, n, static_cast<uint32_t>(middle));
  if (below_middle <= count) {
    known.low = middle;
    known.below_low = below_middle;
  } else {
    known.high = middle;
    known.below_high = below_middle;
  }
}

constexpr double kReach = 9;  // ranks to both sides of a guess: 18 of the 32 that a window has room for

// Where the rows before had their key, on the Scale: rows of one batch are alike. It decides where to look
// first, never what is found.
template <class Scale>
struct Habit {
  double middle = 0, gap = 0;  // the key, and from one rank to the next

  Bracket around() const {
    const uint64_t low = Scale::key(middle - kReach * gap), high = Scale::key(middle + kReach * gap);
    return {low, high + 1, 0, 0};
  }
  void learn(uint32_t key, const Bracket& looked, int64_t size) {
    const double width = Scale::number(static_cast<uint32_t>(looked.high - 1)) -
                         Scale::number(static_cast<uint32_t>(looked.low));
    const double weight = gap == 0 ? 1 : 0.25;
    middle += weight * (Scale::number(key) - middle);
    gap += weight * (width / static_cast<double>(size) - gap);
  }
};

// The smallest keys of a row: all below `bound`, and of those that equal it the first `ties`.
struct Smallest {
  uint32_t bound;
  int64_t ties;
};

#if defined(__AVX512F__)
// Looks at the keys of `looked`: where they are few and the one wanted is among them, the bracket is closed on
// it, and else it is narrowed. Inline, as a call would pass a window's registers through memory.
template <class Scale>
[[gnu::always_inline]] inline void look(const Word* keys, int64_t n, int64_t count, Bracket looked,
                                        Bracket& known, Habit<Scale>* habit) {
  const Window window(keys, n, looked.low, looked.high);
  const int64_t rank = count - window.below;
  if (rank < 0) {
    known.high = looked.low;
    known.below_high = window.below;
  } else if (rank >= window.size) {
    known.low = looked.high;
    known.below_low = window.below + window.size;
  } else if (window.holds()) {
    const Window::Found found = window.at(rank);
    known = {found.key, uint64_t{found.key} + 1, found.below, count + 1};
    if (habit) habit->learn(found.key, looked, window.size);
  } else {
    known = {looked.low, looked.high, window.below, window.below + window.size};
  }
}

// The part of a bracket around a guess; all of it where it is small.
template <class Scale>
Bracket around_guess(const Bracket& known, int64_t count, double reach) {
  if (known.below_high - known.below_low <= Window::kMost) return known;
  const double middle = static_cast<double>(count);
  return {guess<Scale>(known, middle - reach), guess<Scale>(known, middle + reach) + 1, 0, 0};
}
#endif

// Of n keys the `count` smallest. Looks for a bound with exactly `count` keys below it, by interpolation, and
// from the fifth pass on by halving in turn: two passes (in AVX-512; else four) where the keys are as the Scale
// says, 64 at most. Only ties leave none.
template <class Scale = Even>
Smallest smallest(const Word* keys, int64_t n, int64_t count, Bracket known, Habit<Scale>* habit = nullptr) {
  if (count == n) return {0xffffffffu, n};
  for (int pass = 0; known.below_low != count && known.high - known.low > 1; ++pass) {
#if defined(__AVX512F__)
    if (pass < 4) {
      // Half as far after the first, lest as many keys as a window did not hold are met again.
      const Bracket looked = around_guess<Scale>(known, count, pass == 0 ? kReach : kReach / 2);
      look(keys, n, count, looked, known, habit);
      continue;
    }
#endif
    narrow<Scale>(keys, n, count, pass >= 4 && pass % 2 == 0, known);
    const int64_t open = known.below_high - count;
    if (habit && known.below_low == count && open > 0)
      habit->learn(static_cast<uint32_t>(known.low), known, open);
  }
  return {static_cast<uint32_t>(known.low), count - known.below_low};
}

// The same of one of many rows that are alike, of keys that keep to a part of the range: looks first where the
// rows before had their key, and learns from it.
template <class Scale>
Smallest smallest_of_alike(const Word* keys, int64_t n, int64_t count, Habit<Scale>& habit) {
  Bracket known = anywhere(n);
#if defined(__AVX512F__)
  if (habit.gap != 0 && count < n) look(keys, n, count, habit.around(), known, &habit);
  if (known.high - known.low == 1) return {static_cast<uint32_t>(known.low), count - known.below_low};
#endif
  const Bracket span = spanned(keys, n);
  known.low = std::max(known.low, span.low);
  known.high = std::min(known.high, span.high);
  return smallest(keys, n, count, known, &habit);
}

// The flags of the smallest keys.
template <Put put>
void put_smallest(const Word* keys, int64_t n, Smallest chosen, bool* flags) {
  put_below<put>(keys, n, chosen.bound, flags);
  for (int64_t i = 0; i < n && chosen.ties > 0; ++i) {
    const bool tie = keys[i] == chosen.bound;
    flags[i] ^= tie;
    chosen.ties -= tie;
  }
}

// Keys are of those patches, in their order, whose flags are false: sets the flags of all but the smallest.
inline void hide_larger(const Word* keys, Smallest chosen, int64_t n, bool* flags) {
  int64_t i = 0, rest = 0;
#if defined(__AVX512F__)
  if (chosen.ties == 0)
    for (; i < n; i += 64) {
      const __mmask64 inside = first_64(n - i);
      const __m512i chunk = _mm512_maskz_loadu_epi8(inside, flags + i);
      const uint64_t open = _mm512_mask_testn_epi8_mask(inside, chunk, chunk);
      const int64_t count = __builtin_popcountll(open);
      const uint64_t shown = _pdep_u64(below_64(keys + rest, count, chosen.bound), open);
      _mm512_mask_storeu_epi8(flags + i, inside, _mm512_maskz_set1_epi8(~shown, 1));
      rest += count;
    }
#endif
  for (; i < n; ++i) {
    if (flags[i]) continue;
    const bool tie = chosen.ties > 0 && keys[rest] == chosen.bound;
    flags[i] = !(tie || keys[rest] < chosen.bound);
    chosen.ties -= tie;
    ++rest;
  }
}

}  // namespace
}  // namespace pymim::cpu::PYMIM_ISA
