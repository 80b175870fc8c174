// Every argument of the block policies is checked here, once; then cpu or cuda.
#include "block.hpp"

#include <algorithm>
#include <cmath>

#include "dispatch.hpp"
#include "mask_check.hpp"

namespace pymim {
namespace {

constexpr double kWidest = 65536;  // aspects lie between this and its inverse

void check_grid(const char* function, Extent grid, int64_t patches) {
  check(grid[0] > 0 && grid[1] > 0 && grid[2] > 0, function,
        ": grid: expected at least one patch, got ", grid[0], " x ", grid[1], " x ", grid[2],
        "; give (frames, rows, columns)");
  check(patches_of(grid) < int64_t{1} << 28, function,
        ": grid: expected fewer than 2^28 patches, got ", grid[0], " x ", grid[1], " x ", grid[2],
        "; use a coarser grid");
  check_units(function, grid, {1, 1, 1}, patches);
}

void check_board(const char* function, const View<uint64_t, 2>& board, int64_t images,
                 Extent grid) {
  check_shape(function, "board", board, {images, board_words(grid)}, "[B board_words]");
}

void check_aspect(const char* function, std::array<double, 2> aspect) {
  check(aspect[0] >= 1 / kWidest && aspect[1] <= kWidest && aspect[0] <= aspect[1], function,
        ": aspect: expected 0 < low <= high, got ", aspect[0], " to ", aspect[1],
        "; give height / width from low to high");
}

// Rounding log2 to a float hides the last bits, in which mathematical libraries differ.
Stretch stretch(double low, double high) {
  const auto from = static_cast<float>(std::log2(low) / 2),
             to = static_cast<float>(std::log2(high) / 2);
  return {from, to - from};
}

// The sides whose squares are between these. A side that is whole but for the rounding of a
// double is whole: other sides are further from it, as their squares are fractions of numbers below
// 2^28.
Span span(double least_square, double most_square) {
  const auto side = [](double square) {
    return static_cast<int>(std::ceil(std::sqrt(square) * (1 - 1e-12)));
  };
  return {side(least_square), side(most_square)};
}

BlockLaw checked(const char* function, const Blocks& blocks, int64_t patches) {
  const auto [frames, rows, columns] = blocks.grid;
  const auto [smallest, largest] = blocks.area;
  const auto [shortest, longest] = blocks.duration;
  check_grid(function, blocks.grid, patches);
  check_aspect(function, blocks.aspect);
  const auto frame = static_cast<double>(rows * columns);
  check(smallest >= 1 && smallest <= frame &&
            (largest == 0 || (largest >= smallest && largest <= frame)),
        function, ": area: expected 1 <= low <= high <= ", rows * columns,
        " (patches in a frame), got ", smallest, " to ", largest, "; choose smaller blocks");
  // Lower and narrower than the grid, but along an axis of one.
  const int64_t tallest = std::max<int64_t>(1, rows - 1),
                widest = std::max<int64_t>(1, columns - 1);
  const double below = static_cast<double>(tallest) + 0.5,
               within = static_cast<double>(widest) + 0.5;
  check(blocks.aspect[0] * smallest < below * below &&
            blocks.aspect[1] * within * within > smallest && smallest < below * within,
        function, ": area: expected a smallest block that fits ", tallest, " x ", widest,
        " (the most on ", rows, " x ", columns, ") at some aspect from ", blocks.aspect[0], " to ",
        blocks.aspect[1], ", got ", smallest, "; lower it or widen the aspects");
  check(shortest >= 1 && shortest <= longest && longest <= frames, function,
        ": duration: expected 1 <= low <= high <= ", frames, " (frames), got ", shortest, " to ",
        longest, "; choose fewer frames");
  check(blocks.tries >= 1 && blocks.tries <= 1 << 20, function, ": tries: expected 1 to 2^20, got ",
        blocks.tries, "; 10 is usual");
  return {static_cast<int>(frames),      static_cast<int>(rows),
          static_cast<int>(columns),     static_cast<int>(tallest),
          static_cast<int>(widest),      static_cast<float>(smallest),
          static_cast<float>(largest),   stretch(blocks.aspect[0], blocks.aspect[1]),
          static_cast<int>(shortest),    static_cast<int>(longest),
          static_cast<int>(blocks.tries)};
}

void check_whole_frames(const char* function, const char* name, int64_t patches, int64_t frames) {
  check(patches % frames == 0, function, ": ", name, ": expected as many patches in each of ",
        frames, " frames, got ", patches, "; choose a multiple");
}

void check_size(const char* function, const char* name, std::array<int64_t, 2> size, Extent grid,
                bool edges) {
  const int64_t rows = grid[1] - !edges, columns = grid[2] - !edges;
  check(size[0] > 0 && size[0] <= rows && size[1] > 0 && size[1] <= columns, function, ": ", name,
        ": expected 1 x 1 to ", rows, " x ", columns, edges ? "" : " (edges are off)", ", got ",
        size[0], " x ", size[1], "; choose a smaller block");
}

}  // namespace

void block_mask(View<const int64_t, 1> index, Draw draw, const Blocks& blocks,
                View<uint64_t, 2> board, Mask out, Stream stream) {
  check_mask("block", index, draw, out);
  const BlockLaw law = checked("block", blocks, out.boolean[1]);
  check_board("block", board, index[0], blocks.grid);
  check_device("block", index, board);
  PYMIM_RUN(block_mask, index, index, draw, law, board, out, stream);
}

void ragged_block_mask(View<const int64_t, 1> index, Draw draw, const Blocks& blocks,
                       int64_t hidden, View<uint64_t, 2> board, View<bool, 2> boolean,
                       View<int64_t, 1> count, Stream stream) {
  constexpr const char* function = "ragged_block";
  check_shape(function, "boolean", boolean, {index[0], -1}, "[B N]");
  check_shape(function, "count", count, {index[0]}, "[B]");
  const BlockLaw law = checked(function, blocks, boolean[1]);
  check_board(function, board, index[0], blocks.grid);
  check_device(function, index, board, boolean, count);
  check_draw(function, index, draw);
  check(hidden >= 0 && hidden <= boolean[1], function, ": hidden: expected 0 to ", boolean[1],
        " (patches), got ", hidden, "; ask for fewer");
  PYMIM_RUN(ragged_block_mask, index, index, draw, law, hidden, board, boolean, count, stream);
}

void inverse_block_mask(View<const int64_t, 1> index, Draw draw, const Window& window,
                        View<uint64_t, 2> board, Mask out, Stream stream) {
  constexpr const char* function = "inverse_block";
  check_mask(function, index, draw, out);
  const auto [frames, rows, columns] = window.grid;
  check_grid(function, window.grid, out.boolean[1]);
  check_board(function, board, index[0], {1, rows, columns});
  check_device(function, index, board);
  check_aspect(function, window.aspect);
  check_whole_frames(function, "visible", out.visible[1], frames);
  // The aspects at which V patches fit the grid; there are some, as V <= N.
  const auto v = static_cast<double>(out.visible[1] > 0 ? out.visible[1] / frames : 1);
  const auto flattest = v / static_cast<double>(columns * columns),
             steepest = static_cast<double>(rows * rows) / v;
  const auto fit = [&](double aspect) { return std::fmin(std::fmax(aspect, flattest), steepest); };
  const double low = fit(window.aspect[0]), high = fit(window.aspect[1]);
  const WindowLaw law{static_cast<int>(rows),  static_cast<int>(columns), stretch(low, high),
                      span(v * low, v * high), span(v / high, v / low),   window.roll};
  PYMIM_RUN(inverse_block_mask, index, index, draw, law, board, out, stream);
}

void multi_block_mask(View<const int64_t, 1> index, Draw draw, const Targets& targets,
                      View<uint64_t, 2> board, View<int64_t, 3> ids, Mask out, Stream stream) {
  constexpr const char* function = "multi_block";
  check_mask(function, index, draw, out);
  const auto [frames, rows, columns] = targets.grid;
  check_grid(function, targets.grid, out.boolean[1]);
  check_board(function, board, index[0], {1, rows, columns});
  check_device(function, index, board, ids);
  check_size(function, "target", targets.target, targets.grid, targets.edges);
  check_size(function, "context", targets.context, targets.grid, targets.edges);
  const int64_t k = targets.target[0] * targets.target[1],
                most = targets.context[0] * targets.context[1] - k;
  check_shape(function, "targets", ids, {index[0], -1, k * frames}, "[B S K]");
  check(ids[1] >= 1 && ids[1] <= 64, function, ": targets: expected 1 to 64 blocks, got ", ids[1],
        "; 4 is usual");
  check_whole_frames(function, "visible", out.visible[1], frames);
  check(out.visible[1] <= most * frames, function, ": visible: expected at most ", most * frames,
        " (the context less one target), got ", out.visible[1],
        "; ask for fewer or enlarge the context");
  const auto size = [](int64_t extent) { return static_cast<int>(extent); };
  const TargetLaw law{size(rows),
                      size(columns),
                      size(targets.target[0]),
                      size(targets.target[1]),
                      size(targets.context[0]),
                      size(targets.context[1]),
                      size(ids[1]),
                      targets.edges,
                      targets.raster};
  PYMIM_RUN(multi_block_mask, index, index, draw, law, board, ids, out, stream);
}

std::array<int64_t, 2> block_size(Draw draw, Extent grid, std::array<double, 2> share,
                                  std::array<double, 2> aspect, uint32_t which, bool together,
                                  bool edges) {
  constexpr const char* function = "block_size";
  constexpr int64_t all_images = (int64_t{1} << 40) - 1;
  check_grid(function, grid, patches_of(grid));
  check(share[0] > 0 && share[0] <= share[1] && share[1] <= 1, function,
        ": share: expected 0 < low <= high <= 1, got ", share[0], " to ", share[1],
        "; give parts of the grid's area");
  check_aspect(function, aspect);
  const int64_t rows = grid[1] - !edges, columns = grid[2] - !edges;
  check(rows > 0 && columns > 0, function, ": grid: expected 2 x 2 or more with edges off, got ",
        grid[1], " x ", grid[2], "; allow edges");
  const Words words = random_words(draw, all_images, first_block(Role::rectangles) + which);
  const auto between = [](uint32_t word, std::array<double, 2> range) {
    return std::fma(word * 0x1p-32, range[1] - range[0], range[0]);
  };
  const double area = std::floor(static_cast<double>(grid[1] * grid[2]) * between(words.x, share));
  const double ratio = between(together ? words.x : words.y, aspect);
  const auto side = [](double square, int64_t most) {
    return std::max(int64_t{1},
                    std::min(most, static_cast<int64_t>(std::nearbyint(std::sqrt(square)))));
  };
  return {side(area * ratio, rows), side(area / ratio, columns)};
}

}  // namespace pymim
