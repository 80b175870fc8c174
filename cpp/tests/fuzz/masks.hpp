// What the mask policies have in common: how to make their arguments, and what must hold of their
// answers.
#pragma once

#include "fuzz.hpp"
#include "pymim/mask.hpp"

namespace pymim::fuzz {

inline Draw any_draw(Random& random) {
  const uint64_t step = random.chance(0.02) ? uint64_t{1} << 48 : random.word();
  return {random.word(), step, random.chance(0.02) ? 256u : below(random.word(), 256)};
}

inline View<const int64_t, 1> any_index(Random& random, Arrays& arrays, int64_t b) {
  const int64_t first = random.pick<int64_t>({0, 12345, int64_t{1} << 33});
  return arrays.view<int64_t, 1>({b}, [first](int64_t i) { return first + 3 * i; });
}

inline Mask any_mask(Arrays& arrays, int64_t b, int64_t visible, int64_t hidden) {
  return {arrays.out<int64_t, 2>({b, visible}), arrays.out<int64_t, 2>({b, hidden}),
          arrays.out<bool, 2>({b, visible + hidden})};
}

inline int64_t patches(const Extent& grid) { return grid[0] * grid[1] * grid[2]; }

inline Extent any_grid(Random& random) {
  return {random.chance(0.7) ? 1 : random.between(1, 4), random.between(1, 16),
          random.between(1, 16)};
}

// Visible and hidden ids ascend, and are what the boolean mask says.
inline void expect_consistent(const Mask& mask) {
  const int64_t v = mask.visible[1], h = mask.hidden[1], n = mask.boolean[1];
  EXPECT(v + h == n);
  for (int64_t image = 0; image < mask.boolean[0]; ++image) {
    const int64_t *visible = mask.visible.data + image * v, *hidden = mask.hidden.data + image * h;
    const bool* boolean = mask.boolean.data + image * n;
    EXPECT(ascending(visible, v, n) && ascending(hidden, h, n));
    for (int64_t i = 0; i < v; ++i) EXPECT(!boolean[visible[i]]);
    for (int64_t i = 0; i < h; ++i) EXPECT(boolean[hidden[i]]);
  }
}

}  // namespace pymim::fuzz
