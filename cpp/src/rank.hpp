#pragma once

#include "kernels.hpp"
#include "pymim/rank.hpp"

PYMIM_EACH_PLACE(template <class T>
                 void relative_loss(View<const T, 2> scores, View<const T, 2> losses, View<const T, 2> weights,
                                    double epsilon, View<T, 2> scratch, PairSums<T> out, Stream stream);
                 template <class T> void rank(View<const T, 2> scores, bool descending,
                                              View<int64_t, 2> scratch, Order out, Stream stream);)
