#include "masks.hpp"

namespace {

using namespace pymim;
using namespace pymim::fuzz;

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

}  // namespace

int main(int count, char** arguments) { return run(count, arguments, {{"uniform_mask", uniform}}); }
