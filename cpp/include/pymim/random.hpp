// Counter-based random bits: a pure function of (seed, step, view, image, draw), the same on CPU
// and GPU. Philox-4x32-10, from Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC
// 2011).
#pragma once

#include <cstdint>

#include "pymim/view.hpp"

namespace pymim {

// Which stream of random numbers a call reads. Together with the dataset index it names a mask for
// ever.
struct Draw {
  uint64_t seed = 0;
  uint64_t step = 0;  // below 2^48
  uint32_t view = 0;  // below 2^8
};

struct Words {
  uint32_t x, y, z, w;
};

// Four random words for a 128-bit counter and a 64-bit key.
PYMIM_HOST_DEVICE inline Words philox(Words counter, uint64_t seed) {
  uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * counter.x;
    const uint64_t b = uint64_t{0xCD9E8D57u} * counter.z;
    counter = {static_cast<uint32_t>(b >> 32) ^ counter.y ^ key0, static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter.w ^ key1, static_cast<uint32_t>(a)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// Where position `block` of the stream of one image of one draw lies.
PYMIM_HOST_DEVICE inline Words random_counter(const Draw& draw, int64_t image, uint32_t block) {
  const uint64_t i = static_cast<uint64_t>(image);  // below 2^40
  const uint32_t high = draw.view << 24 | static_cast<uint32_t>(i >> 32 & 0xff) << 16 |
                        static_cast<uint32_t>(draw.step >> 32 & 0xffff);
  return {block, static_cast<uint32_t>(i), static_cast<uint32_t>(draw.step), high};
}

// The four words there.
PYMIM_HOST_DEVICE inline Words random_words(const Draw& draw, int64_t image, uint32_t block) {
  return philox(random_counter(draw, image, block), draw.seed);
}

// Uniform on [0, n) by multiplication: biased by less than n / 2^32.
PYMIM_HOST_DEVICE inline uint32_t below(uint32_t word, uint32_t n) {
  return static_cast<uint32_t>(uint64_t{word} * n >> 32);
}

// Uniform on [0, 1), a multiple of 2^-24.
PYMIM_HOST_DEVICE inline float unit(uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}

}  // namespace pymim
