#include <algorithm>

#include "masks.hpp"
#include "pymim/block.hpp"

namespace {

using namespace pymim;
using namespace pymim::fuzz;

std::array<double, 2> any_aspect(Random& random) {
  const double low = random.real(0.2, 1.5);
  return {random.parameter(low), random.parameter(low + random.real(0., 2.))};
}

Blocks any_blocks(Random& random, const Extent& grid) {
  const auto frame = static_cast<double>(grid[1] * grid[2]);
  const double smallest = random.real(1., std::max(1., frame / 3));
  const double largest = random.chance(0.3) ? 0. : random.real(smallest, frame);
  const int64_t shortest = random.between(1, grid[0]);
  return {grid,
          {random.parameter(smallest), random.parameter(largest)},
          any_aspect(random),
          {random.count(shortest), random.count(random.between(shortest, grid[0]))},
          random.count(random.between(1, 12))};
}

void block(Random& random) {
  Arrays arrays(random);
  const Extent grid = any_grid(random);
  const int64_t b = random.between(0, 4), visible = random.count(random.between(0, patches(grid)));
  const auto index = any_index(random, arrays, b);
  const auto board = arrays.out<uint64_t, 2>({b, board_words(grid)});
  const Mask out = any_mask(arrays, b, visible, patches(grid) - visible);
  block_mask(index, any_draw(random), any_blocks(random, grid), board, out);
  expect_consistent(out);
}

void ragged(Random& random) {
  Arrays arrays(random);
  const Extent grid = any_grid(random);
  const int64_t b = random.between(0, 4), n = patches(grid),
                hidden = random.count(random.between(0, n));
  const auto index = any_index(random, arrays, b);
  const auto board = arrays.out<uint64_t, 2>({b, board_words(grid)});
  const auto boolean = arrays.out<bool, 2>({b, n});
  const auto counts = arrays.out<int64_t, 1>({b});
  ragged_block_mask(index, any_draw(random), any_blocks(random, grid), hidden, board, boolean,
                    counts);
  for (int64_t image = 0; image < b; ++image) {
    EXPECT(counts.data[image] ==
           std::count(boolean.data + image * n, boolean.data + (image + 1) * n, true));
    EXPECT(counts.data[image] <= hidden);
  }
}

void inverse(Random& random) {
  Arrays arrays(random);
  const Extent grid = any_grid(random);
  const int64_t b = random.between(0, 4), frame = grid[1] * grid[2];
  const int64_t visible = random.count(grid[0] * random.between(0, frame));
  const auto index = any_index(random, arrays, b);
  const auto board = arrays.out<uint64_t, 2>({b, board_words({1, grid[1], grid[2]})});
  const Mask out = any_mask(arrays, b, visible, patches(grid) - visible);
  inverse_block_mask(index, any_draw(random), {grid, any_aspect(random), random.chance(0.5)}, board,
                     out);
  expect_consistent(out);
}

void multi(Random& random) {
  Arrays arrays(random);
  const Extent grid = {random.between(1, 2), random.between(3, 16), random.between(3, 16)};
  const int64_t b = random.between(0, 4), targets = random.count(random.between(1, 5));
  const std::array<int64_t, 2> target = {random.between(1, grid[1] / 2),
                                         random.between(1, grid[2] / 2)};
  const std::array<int64_t, 2> context = {random.between(grid[1] / 2 + 1, grid[1]),
                                          random.count(random.between(grid[2] / 2 + 1, grid[2]))};
  const int64_t k = target[0] * target[1] * grid[0],
                most = context[0] * context[1] - target[0] * target[1];
  const int64_t visible = random.count(grid[0] * random.between(0, std::max<int64_t>(most, 0)));
  const auto index = any_index(random, arrays, b);
  const auto board = arrays.out<uint64_t, 2>({b, board_words({1, grid[1], grid[2]})});
  const auto ids = arrays.out<int64_t, 3>({b, targets, k});
  const Mask out = any_mask(arrays, b, visible, patches(grid) - visible);
  multi_block_mask(index, any_draw(random),
                   {grid, target, context, random.chance(0.8), random.chance(0.5)}, board, ids,
                   out);
  expect_consistent(out);
  for (int64_t row = 0; row < ids[0] * ids[1]; ++row)
    EXPECT(ascending(ids.data + row * ids[2], ids[2], out.boolean[1]));
}

void size(Random& random) {
  const Extent grid = any_grid(random);
  const double low = random.real(0.05, 0.5);
  const auto [height, width] = block_size(
      any_draw(random), grid, {random.parameter(low), random.parameter(random.real(low, 1.))},
      any_aspect(random), 0, random.chance(0.5), random.chance(0.7));
  EXPECT(height >= 1 && height <= grid[1] && width >= 1 && width <= grid[2]);
}

}  // namespace

int main(int count, char** arguments) {
  return run(count, arguments,
             {{"block_mask", block},
              {"ragged_block_mask", ragged},
              {"inverse_block_mask", inverse},
              {"multi_block_mask", multi},
              {"block_size", size}});
}
