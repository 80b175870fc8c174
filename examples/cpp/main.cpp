// Draws the uniform masks of two images of a dataset, 14 x 14 patches of which 49 stay visible.
#include <array>
#include <cstdio>
#include <memory>
#include <vector>

#include <pymim/mask.hpp>

int main() {
  constexpr int64_t rows = 14, columns = 14, patches = rows * columns, visible = 49;
  const std::array<int64_t, 2> index = {0, 41};  // the images' places in the dataset
  const int64_t images = index.size();

  // The caller owns all memory; a view is a pointer and its sizes.
  std::vector<int64_t> seen(images * visible), hidden(images * (patches - visible));
  const auto boolean = std::make_unique<bool[]>(images * patches);
  const pymim::Mask mask{{seen.data(), {images, visible}},
                         {hidden.data(), {images, patches - visible}},
                         {boolean.get(), {images, patches}}};
  const pymim::Draw draw{/*seed=*/1, /*step=*/0, /*view=*/0};
  pymim::uniform_mask({index.data(), {images}}, draw, {1, rows, columns}, {1, 1, 1}, mask);

  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t image = 0; image < images; ++image) {
      for (int64_t column = 0; column < columns; ++column)
        std::putchar(boolean[image * patches + row * columns + column] ? '.' : '#');
      std::fputs("  ", stdout);
    }
    std::putchar('\n');
  }
}
