// Stores of what is not read again soon.
#pragma once

#include "lanes.hpp"
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace pymim::cpu::PYMIM_ISA {

// Asks for large pages behind what is about to be written: memory fresh from the system otherwise
// costs a fault every 4 KiB, which takes several times as long as the writing. Advice: nothing
// depends on its being followed.
template <class R>
inline void want_large_pages(const R* data, int64_t size) {
#if defined(__linux__)
  constexpr uintptr_t page = uintptr_t{1} << 21;
  const uintptr_t first = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const uintptr_t last = reinterpret_cast<uintptr_t>(data + size) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
  static_cast<void>(data), static_cast<void>(size);
#endif
}

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
