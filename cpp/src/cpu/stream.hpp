// Stores of what is not read again soon.
#pragma once

#include "lanes.hpp"

namespace pymim::cpu::PYMIM_ISA {

// to[c] = value(Packed or Single, c), past the caches where the machine can.
template <class R, class Value>
inline void stream(int64_t n, R* to, Value value) {
  int64_t c = 0;
#if defined(__AVX512F__)
  for (; c < n && reinterpret_cast<uintptr_t>(to + c) % 64; ++c) to[c] = value(Single<R>(), c);
  for (; c + Packed<R>::kLanes <= n; c += Packed<R>::kLanes) {
    if constexpr (std::is_same_v<R, float>)
      _mm512_stream_ps(to + c, value(Packed<R>(), c));
    else
      _mm512_stream_pd(to + c, value(Packed<R>(), c));
  }
#endif
  for (; c < n; ++c) to[c] = value(Single<R>(), c);
}

}  // namespace pymim::cpu::PYMIM_ISA
