// Barriers, shuffles and votes: threads meet, and the last to come works out everybody's answer.
#pragma once

#include <cstring>

#include "emulation.hpp"

namespace pymim::emulation {

struct Shuffle {
  uint64_t value;
  int source;
  uint64_t result;
};

inline void finish_shuffle(Brought lanes) {
  for (int lane = 0; lane < warpSize; ++lane)
    if (auto* mine = static_cast<Shuffle*>(lanes[lane])) {
      const auto* from = static_cast<const Shuffle*>(lanes[mine->source]);
      mine->result = from ? from->value : ~uint64_t{0};  // undefined on a GPU
    }
}

// The value of lane `source`.
template <class T>
T shuffle(const char* what, unsigned mask, T value, int source) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  Shuffle mine{0, source, 0};
  std::memcpy(&mine.value, &value, sizeof value);
  meet_warp(what, mask, &mine, finish_shuffle);
  std::memcpy(&value, &mine.result, sizeof value);
  return value;
}

struct Vote {
  bool value;
  unsigned result;
};

inline unsigned vote(const char* what, unsigned mask, bool value) {
  Vote mine{value, 0};
  meet_warp(what, mask, &mine, [](Brought lanes) {
    unsigned result = 0;
    for (int lane = 0; lane < warpSize; ++lane)
      if (auto* its = static_cast<Vote*>(lanes[lane])) result |= unsigned{its->value} << lane;
    for (int lane = 0; lane < warpSize; ++lane)
      if (auto* its = static_cast<Vote*>(lanes[lane])) its->result = result;
  });
  return mine.result;
}

inline int count(const char* what, bool value) {
  int mine = value;
  meet_block(what, &mine, [](Brought all, int threads) {
    int sum = 0;
    for (int i = 0; i < threads; ++i) sum += *static_cast<int*>(all[i]);
    for (int i = 0; i < threads; ++i) *static_cast<int*>(all[i]) = sum;
  });
  return mine;
}

// The lane to read from: inside this lane's group of `width`, else this lane itself.
inline int inside(int source, int width) {
  const int first = lane() / width * width;
  return source >= first && source < first + width ? source : lane();
}

template <class T, class Combine>
T reduce(const char* what, unsigned mask, T value, Combine combine) {
  T result{};
  bool first = true;
  for (int source = 0; source < warpSize; ++source)
    if (mask >> source & 1) {
      const T other = shuffle(what, mask, value, source);
      result = first ? other : combine(result, other);
      first = false;
    }
  return result;
}

}  // namespace pymim::emulation

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize) {
  using namespace pymim::emulation;
  return shuffle("__shfl_sync", mask, value, lane() / width * width + (source & (width - 1)));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = warpSize) {
  using namespace pymim::emulation;
  return shuffle("__shfl_xor_sync", mask, value, inside(lane() ^ lanes, width));
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize) {
  using namespace pymim::emulation;
  return shuffle("__shfl_down_sync", mask, value, inside(lane() + static_cast<int>(delta), width));
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize) {
  using namespace pymim::emulation;
  return shuffle("__shfl_up_sync", mask, value, inside(lane() - static_cast<int>(delta), width));
}

inline unsigned __ballot_sync(unsigned mask, bool value) {
  return pymim::emulation::vote("__ballot_sync", mask, value);
}
inline int __any_sync(unsigned mask, bool value) {
  return pymim::emulation::vote("__any_sync", mask, value) != 0;
}
inline int __all_sync(unsigned mask, bool value) {
  return pymim::emulation::vote("__all_sync", mask, !value) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  pymim::emulation::vote("__syncwarp", mask, false);
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value) {
  unsigned equal = 0;
  for (int source = 0; source < warpSize; ++source)
    if (mask >> source & 1)
      equal |= unsigned{pymim::emulation::shuffle("__match_any_sync", mask, value, source) == value}
               << source;
  return equal;
}
template <class T>
T __reduce_add_sync(unsigned mask, T value) {
  return pymim::emulation::reduce("__reduce_add_sync", mask, value,
                                  [](T a, T b) { return T(a + b); });
}
template <class T>
T __reduce_min_sync(unsigned mask, T value) {
  return pymim::emulation::reduce("__reduce_min_sync", mask, value,
                                  [](T a, T b) { return b < a ? b : a; });
}
template <class T>
T __reduce_max_sync(unsigned mask, T value) {
  return pymim::emulation::reduce("__reduce_max_sync", mask, value,
                                  [](T a, T b) { return a < b ? b : a; });
}

inline void __syncthreads() { pymim::emulation::count("__syncthreads", false); }
inline int __syncthreads_count(int value) {
  return pymim::emulation::count("__syncthreads_count", value != 0);
}
inline int __syncthreads_or(int value) {
  return pymim::emulation::count("__syncthreads_or", value != 0) != 0;
}
inline int __syncthreads_and(int value) {
  return pymim::emulation::count("__syncthreads_and", value == 0) == 0;
}
