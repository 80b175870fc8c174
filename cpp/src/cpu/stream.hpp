// Stores of what is not read again soon.
#pragma once

#include <cstdint>
#include <type_traits>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace pymim::cpu::PYMIM_ISA {

// to = terms * factor, past the caches where the machine can.
template <class R>
inline void stream_scaled(const R* terms, R factor, int64_t n, R* to) {
  int64_t c = 0;
#if defined(__AVX512F__)
  constexpr int64_t lanes = 64 / sizeof(R);
  for (; c < n && reinterpret_cast<uintptr_t>(to + c) % 64; ++c) to[c] = terms[c] * factor;
  for (; c + lanes <= n; c += lanes) {
    if constexpr (std::is_same_v<R, float>)
      _mm512_stream_ps(to + c, _mm512_mul_ps(_mm512_loadu_ps(terms + c), _mm512_set1_ps(factor)));
    else
      _mm512_stream_pd(to + c, _mm512_mul_pd(_mm512_loadu_pd(terms + c), _mm512_set1_pd(factor)));
  }
#endif
  for (; c < n; ++c) to[c] = terms[c] * factor;
}

}  // namespace pymim::cpu::PYMIM_ISA
