#pragma once

#include <cstring>

#include "kernels.hpp"
#include "pymim/rank.hpp"

namespace pymim {
namespace {  // so that each instruction set keeps its own copy

// Unsigned integers in the order of the numbers: -0 equals 0, NaN is above all.
template <class Key, class T>
PYMIM_HOST_DEVICE inline Key ordered_bits(T value) {
  constexpr Key sign = Key{1} << (8 * sizeof(Key) - 1);
  Key bits;
  value += T{0};
  memcpy(&bits, &value, sizeof bits);
  bits = bits & sign ? ~bits : bits | sign;
  return value == value ? bits : ~Key{0};
}
PYMIM_HOST_DEVICE inline uint32_t sort_key(float value) { return ordered_bits<uint32_t>(value); }
PYMIM_HOST_DEVICE inline uint64_t sort_key(double value) { return ordered_bits<uint64_t>(value); }

}  // namespace
}  // namespace pymim

PYMIM_EACH_PLACE(template <class T>
                 void relative_loss(View<const T, 2> scores, View<const T, 2> losses,
                                    View<const T, 2> weights, double epsilon, View<T, 2> scratch,
                                    PairSums<T> out, Stream stream);
                 template <class T> void rank(View<const T, 2> scores, bool descending,
                                              View<int64_t, 2> scratch, Order out, Stream stream);)

// Every place instantiates the kernels for each type of scores.
#define PYMIM_RANK_FOR(T)                                                                   \
  template void relative_loss(View<const T, 2>, View<const T, 2>, View<const T, 2>, double, \
                              View<T, 2>, PairSums<T>, Stream);                             \
  template void rank(View<const T, 2>, bool, View<int64_t, 2>, Order, Stream);
#define PYMIM_RANK_FOR_ALL \
  PYMIM_RANK_FOR(float)    \
  PYMIM_RANK_FOR(double)
