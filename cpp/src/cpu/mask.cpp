// The mask policies on the CPU: threads over images, SIMD over patches.
#include "../mask.hpp"

#include "parallel.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

// One random key a patch; the patches with the smallest keys stay visible.
void fill_keys(const Draw& draw, int64_t image, int64_t n, uint32_t* keys) {
  for (int64_t first = 0; first < n; first += 4) {
    const Words words = random_words(draw, image, static_cast<uint32_t>(first / 4));
    const uint32_t four[4] = {words.x, words.y, words.z, words.w};
    for (int64_t i = first; i < n && i < first + 4; ++i) keys[i] = four[i - first];
  }
}

int64_t count_below(const uint32_t* keys, int64_t n, uint64_t bound) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) count += keys[i] < bound;
  return count;
}

// The least threshold with at least `count` keys at or below it, by bisection: 32 passes that vectorise.
uint32_t nth_key(const uint32_t* keys, int64_t n, int64_t count) {
  uint64_t threshold = 0;
  for (uint64_t bit = uint64_t{1} << 31; bit; bit >>= 1)
    if (count_below(keys, n, threshold + bit) < count) threshold += bit;
  return static_cast<uint32_t>(threshold);
}

// Splits one image's patches at the V smallest keys; of equal keys the lower id stays visible.
void split(const uint32_t* keys, int64_t image, const Mask& out) {
  const int64_t v = out.visible[1], m = out.hidden[1];
  int64_t *visible = out.visible.data + image * v, *hidden = out.hidden.data + image * m;
  bool* boolean = out.boolean.data + image * (v + m);
  const uint32_t threshold = v ? nth_key(keys, v + m, v) : 0;
  int64_t ties = v ? v - count_below(keys, v + m, threshold) : 0;
  for (int64_t i = 0; i < v + m; ++i) {
    const bool seen = (v && keys[i] < threshold) || (keys[i] == threshold && ties-- > 0);
    boolean[i] = !seen;
    *(seen ? visible++ : hidden++) = i;
  }
}

}  // namespace

void uniform_mask(View<const int64_t, 1> index, Draw draw, View<uint32_t, 2> keys, Mask out, Stream) {
  const int64_t n = keys[1];
  parallel_for(index[0], 16, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) {
      fill_keys(draw, index.data[image], n, keys.data + image * n);
      split(keys.data + image * n, image, out);
    }
  });
}

}  // namespace pymim::cpu::PYMIM_ISA
