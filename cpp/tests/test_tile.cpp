// Tiles of a product, of every type, against the product: ragged rows and ends, rows that stay in
// shared memory and rows too wide to.
#include "cuda/tile.cuh"

#include <cmath>
#include <vector>

#include "expect.hpp"
#include "pymim/sinkhorn.hpp"

namespace {

using namespace pymim;
using namespace pymim::cuda;

// Numbers that every type holds, so that products and their sums are exact.
template <class T>
T number(int64_t i) {
  const auto value = static_cast<float>((i * 37 + 11) % 17 - 8);
  if constexpr (std::is_floating_point_v<T>)
    return value;
  else if constexpr (std::is_same_v<T, bfloat16>)
    return {__bfloat16_as_ushort(__float2bfloat16(value))};
  else
    return {__half_as_ushort(__float2half(value))};
}

double widened(double x) { return x; }
double widened(bfloat16 x) { return to_float(x); }
double widened(float16 x) { return to_float(x); }

// One block goes through all columns of two tiles of rows; a number of each column is added.
template <class Tile, class T, class R>
__global__ void multiply(Rows<T> left, Rows<T> right, R* out) {
  Tile tile(dynamic_shared<unsigned char>(), left.width);
  for (int64_t row = 0; row < left.count; row += kTileRows)
    for (int64_t column = 0; column < right.count; column += kTileColumns) {
      tile.multiply(left, row, right, column, column == 0);
      tile.set_addends(R(column + lane_id()), R(column + kWarp + lane_id()));
      const int64_t own = row + threadIdx.x;
      tile.each([&](int c, R score, R addend) {
        EXPECT(score == tile.at(lane_id(), c) && addend == tile.addend(c));
        if (own < left.count && column + c < right.count)
          out[own * right.count + column + c] = score + addend;
        else
          EXPECT(score == 0);
      });
    }
}

template <class Tile, class T>
void test_product(int64_t rows, int64_t columns, int64_t width) {
  using R = Computed<T>;
  std::vector<T> left, right;
  for (int64_t i = 0; i < rows * width; ++i) left.push_back(number<T>(i));
  for (int64_t i = 0; i < columns * width; ++i) right.push_back(number<T>(i * 3 + 1));
  std::vector<R> out(static_cast<size_t>(rows * columns), R(-1));
  emulation::run(dim3(1), dim3(kTileThreads), Tile::bytes(width), [&] {
    multiply<Tile, T, R>({left.data(), rows, width}, {right.data(), columns, width}, out.data());
  });
  const auto value = [](T x) { return widened(x); };
  bool equal = true;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      double sum = static_cast<double>(j);
      for (int64_t d = 0; d < width; ++d)
        sum += value(left[size_t(i * width + d)]) * value(right[size_t(j * width + d)]);
      equal = equal && static_cast<double>(out[size_t(i * columns + j)]) == sum;
    }
  EXPECT(equal);
}

template <class Tile, class T>
void test_products() {
  for (int64_t width : {1, 8, 33, 64, 72, 256, 264, 300}) test_product<Tile, T>(5, 70, width);
  test_product<Tile, T>(130, 129, 40);
  test_product<Tile, T>(129, 130, 264);
}

}  // namespace

int main() {
  test_products<FloatTile<float>, float>();
  test_products<FloatTile<double>, double>();
  test_products<TensorTile<bfloat16>, bfloat16>();
  test_products<TensorTile<float16>, float16>();
  return failures;
}
