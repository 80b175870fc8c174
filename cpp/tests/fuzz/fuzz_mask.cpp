#include <algorithm>

#include "masks.hpp"

namespace {

using namespace pymim;
using namespace pymim::fuzz;

// Sizes of one call: a mask of N patches for a few images.
struct Sizes {
  int64_t b, n, visible;
  explicit Sizes(Random& random)
      : b(random.between(0, 5)),
        n(random.between(1, 300)),
        visible(random.count(random.between(0, n))) {}
};

PatchScores any_scores(Random& random, Arrays& arrays, const Sizes& sizes, double low) {
  const std::array<int64_t, 2> shape = {sizes.b, sizes.n};
  if (random.chance(0.4)) return arrays.numbers<float, 2>(shape, low, 4.);
  const auto bits = [&](int64_t) {
    return static_cast<uint16_t>(random.word() & (low < 0 ? 0xbfff : 0x3fff));
  };
  if (random.chance(0.5))
    return View<const bfloat16, 2>(
        arrays.view<bfloat16, 2>(shape, [&](int64_t i) { return bfloat16{bits(i)}; }));
  return View<const float16, 2>(
      arrays.view<float16, 2>(shape, [&](int64_t i) { return float16{bits(i)}; }));
}

void uniform(Random& random) {
  Arrays arrays(random);
  const Extent unit = {1, random.between(1, 3), random.between(1, 3)};
  const Extent units = any_grid(random);
  const Extent grid = {units[0] * unit[0], units[1] * unit[1], units[2] * unit[2]};
  const int64_t b = random.between(0, 5), size = patches(unit), n = patches(grid);
  const int64_t visible = random.count(size * random.between(0, n / size));
  const auto index = any_index(random, arrays, b);
  const Mask out = any_mask(arrays, b, visible, n - visible);
  uniform_mask(index, any_draw(random), {grid[0], random.count(grid[1]), grid[2]},
               {unit[0], unit[1], random.count(unit[2])}, out);
  expect_consistent(out);
}

void filtered(Random& random) {
  Arrays arrays(random);
  const int64_t b = random.between(0, 4), rows = random.between(1, 12),
                columns = random.between(1, 20);
  const int64_t visible = random.count(random.between(0, rows * columns));
  const auto index = any_index(random, arrays, b);
  const auto bank = arrays.numbers<float, 3>(
      {random.between(1, 3), rows + random.between(0, 5), columns + random.between(0, 5)}, -2., 2.);
  const Mask out = any_mask(arrays, b, visible, rows * columns - visible);
  filtered_mask(index, any_draw(random), bank, random.count(rows), columns, out);
  expect_consistent(out);
}

void weighted(Random& random) {
  Arrays arrays(random);
  const Sizes sizes(random);
  const auto index = any_index(random, arrays, sizes.b);
  const Mask out = any_mask(arrays, sizes.b, sizes.visible, sizes.n - sizes.visible);
  weighted_mask(index, any_draw(random), any_scores(random, arrays, sizes, 0.),
                random.pick({Drawn::visible, Drawn::hidden}), out);
  expect_consistent(out);
}

void ranked(Random& random) {
  Arrays arrays(random);
  const Sizes sizes(random);
  const int64_t hidden = sizes.n - sizes.visible;
  const auto index = any_index(random, arrays, sizes.b);
  const Mask out = any_mask(arrays, sizes.b, sizes.visible, hidden);
  ranked_mask(index, any_draw(random), any_scores(random, arrays, sizes, -4.),
              random.count(random.between(0, std::max<int64_t>(hidden, 0))),
              random.pick({Hide::highest, Hide::lowest}), out);
  expect_consistent(out);
}

void priority(Random& random) {
  Arrays arrays(random);
  const Sizes sizes(random);
  const auto index = any_index(random, arrays, sizes.b);
  const Mask out = any_mask(arrays, sizes.b, sizes.visible, sizes.n - sizes.visible);
  priority_mask(index, any_draw(random), any_scores(random, arrays, sizes, -4.), out);
  expect_consistent(out);
}

void disjoint(Random& random) {
  Arrays arrays(random);
  const Sizes sizes(random);
  const int64_t views = random.between(1, 4), v = std::max<int64_t>(sizes.visible, 0),
                m = sizes.n - v;
  const int64_t covered =
      random.count(random.between(m, std::max(m, std::min(sizes.n, views * m))));
  const auto index = any_index(random, arrays, sizes.b);
  const Masks out = {arrays.out<int64_t, 3>({views, sizes.b, v}),
                     arrays.out<int64_t, 3>({views, sizes.b, m}),
                     arrays.out<bool, 3>({views, sizes.b, sizes.n})};
  disjoint_masks(index, any_draw(random), covered, out);
  for (int64_t view = 0; view < views; ++view)
    expect_consistent({{out.visible.data + view * sizes.b * v, {sizes.b, v}},
                       {out.hidden.data + view * sizes.b * m, {sizes.b, m}},
                       {out.boolean.data + view * sizes.b * sizes.n, {sizes.b, sizes.n}}});
}

void budget(Random& random) {
  Arrays arrays(random);
  Budget shares;
  shares.grids = static_cast<int>(random.count(random.between(1, 5)));
  int64_t n = 0;
  for (size_t g = 0; g < Budget::kMost; ++g) {
    shares.sizes[g] = random.between(0, 60);
    shares.alpha[g] = static_cast<float>(random.real(0.01, 8.));
    n += static_cast<int>(g) < shares.grids ? shares.sizes[g] : 0;
  }
  shares.alpha[0] = static_cast<float>(random.parameter(shares.alpha[0]));
  const int64_t b = random.between(0, 4), visible = random.count(random.between(0, n));
  const auto index = any_index(random, arrays, b);
  const Mask out = any_mask(arrays, b, visible, n - visible);
  budget_mask(index, any_draw(random), shares, out);
  expect_consistent(out);
}

void subset(Random& random) {
  Arrays arrays(random);
  const int64_t b = random.between(0, 5), m = random.between(0, 200);
  const int64_t k = random.count(random.between(0, m));
  const auto index = any_index(random, arrays, b);
  const View<const int64_t, 2> ids =
      arrays.view<int64_t, 2>({b, m}, [](int64_t i) { return 2 * i; });
  const auto out = arrays.out<int64_t, 2>({b, k});
  subset_ids(index, any_draw(random), ids, out);
  for (int64_t row = 0; row < out[0]; ++row)
    EXPECT(ascending(out.data + row * out[1], out[1], 2 * ids.size()));
}

void expand(Random& random) {
  Arrays arrays(random);
  const Extent unit = {1, random.between(1, 3), random.between(1, 3)}, units = any_grid(random);
  const Extent grid = {units[0] * unit[0], units[1] * unit[1], units[2] * unit[2]};
  const int64_t b = random.between(0, 4), cells = patches(units), size = patches(unit);
  const int64_t hides = random.between(0, cells), first = random.chance(0.05) ? hides + 1 : hides;
  const View<const bool, 2> coarse = arrays.view<bool, 2>(
      {b, cells}, [=](int64_t i) { return i % cells < (i < cells ? first : hides); });
  const Mask out = any_mask(arrays, b, (cells - hides) * size, hides * size);
  expand_mask(coarse, grid, {1, unit[1], random.count(unit[2])}, out);
  expect_consistent(out);
}

}  // namespace

int main(int count, char** arguments) {
  return run(count, arguments,
             {{"uniform_mask", uniform},
              {"filtered_mask", filtered},
              {"weighted_mask", weighted},
              {"ranked_mask", ranked},
              {"priority_mask", priority},
              {"disjoint_masks", disjoint},
              {"budget_mask", budget},
              {"subset_ids", subset},
              {"expand_mask", expand}});
}
