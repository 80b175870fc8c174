// Tensor-core tiles (nvcuda::wmma). Element e of a tile lives in lane e % 32, a layout unlike any
// GPU's: code that takes the layout for known fails here.
#pragma once

#include "cuda_bf16.h"
#include "cuda_fp16.h"

namespace nvcuda::wmma {

struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major, mem_col_major };

template <class Use, int M, int N, int K, class T, class Layout = void>
struct fragment {
  static constexpr bool is_a = std::is_same_v<Use, matrix_a>, is_b = std::is_same_v<Use, matrix_b>;
  static constexpr int rows = is_b ? K : M, columns = is_a ? K : N;
  static constexpr int num_elements = rows * columns / warpSize;
  T x[num_elements];
};

template <class Fragment, class T>
void fill_fragment(Fragment& tile, T value) {
  for (auto& element : tile.x) element = value;
}

// Calls visit(element, offset in memory) for the elements of this lane.
template <class Fragment, class Visit>
void each_element(Fragment& tile, unsigned stride, bool by_row, Visit visit) {
  for (int slot = 0; slot < Fragment::num_elements; ++slot) {
    const int e = slot * warpSize + pymim::emulation::lane();
    const size_t row = static_cast<size_t>(e / Fragment::columns),
                 column = static_cast<size_t>(e % Fragment::columns);
    visit(tile.x[slot], by_row ? row * stride + column : column * stride + row);
  }
}

template <class Use, int M, int N, int K, class T, class Layout>
void load_matrix_sync(fragment<Use, M, N, K, T, Layout>& tile, const T* from, unsigned stride) {
  __syncwarp();
  each_element(tile, stride, std::is_same_v<Layout, row_major>,
               [&](T& x, size_t at) { x = from[at]; });
}

template <int M, int N, int K, class T>
void load_matrix_sync(fragment<accumulator, M, N, K, T>& tile, const T* from, unsigned stride,
                      layout_t layout) {
  __syncwarp();
  each_element(tile, stride, layout == mem_row_major, [&](T& x, size_t at) { x = from[at]; });
}

template <int M, int N, int K, class T>
void store_matrix_sync(T* to, const fragment<accumulator, M, N, K, T>& tile, unsigned stride,
                       layout_t layout) {
  each_element(tile, stride, layout == mem_row_major, [&](const T& x, size_t at) { to[at] = x; });
  __syncwarp();
}

// d = a b + c, worked out once for the warp, in float.
template <class D, class A, class B, class C>
void mma_sync(D& d, const A& a, const B& b, const C& c) {
  struct Operands {
    D* d;
    const A* a;
    const B* b;
    const C* c;
  } mine{&d, &a, &b, &c};
  pymim::emulation::meet_warp("mma_sync", 0xffffffffu, &mine, [](pymim::emulation::Brought lanes) {
    const auto lane = [&](int e) { return static_cast<const Operands*>(lanes[e % warpSize]); };
    float left[A::rows][A::columns], right[B::rows][B::columns];
    for (int e = 0; e < A::rows * A::columns; ++e)
      (&left[0][0])[e] = float(lane(e)->a->x[e / warpSize]);
    for (int e = 0; e < B::rows * B::columns; ++e)
      (&right[0][0])[e] = float(lane(e)->b->x[e / warpSize]);
    for (int row = 0; row < D::rows; ++row) {
      float sums[D::columns] = {};
      for (int k = 0; k < A::columns; ++k)
        for (int column = 0; column < D::columns; ++column)
          sums[column] += left[row][k] * right[k][column];
      for (int column = 0; column < D::columns; ++column) {
        const int e = row * D::columns + column;
        lane(e)->d->x[e / warpSize] = lane(e)->c->x[e / warpSize] + sums[column];
      }
    }
  });
}

}  // namespace nvcuda::wmma
