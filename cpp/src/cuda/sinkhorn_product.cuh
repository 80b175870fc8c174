// Sinkhorn of scores that are products of features and prototypes and are never stored: a half-step
// is an attention that only asks for its normaliser, a running sum of exponentials for each row on
// the left over tiles of scores with everything on the right. For the rows' half-step the features
// are on the left, for the columns' the prototypes: one kernel makes both. A virtual column is a
// vector of zeros after the last prototype.
#pragma once

#include "sinkhorn.cuh"
#include "tile.cuh"

namespace pymim::cuda {
namespace {

static_assert(Split::kRows == kTileRows && Split::kColumns == kTileColumns);

template <class T>
using Tile = std::conditional_t<std::is_floating_point_v<T>, FloatTile<Computed<T>>, TensorTile<T>>;

// The vectors of one side.
template <class T>
struct Side {
  const T* vectors;
  int64_t count, width, step;  // step: from one problem's to the next's
  int64_t extent;              // of its potentials: one more where there is a virtual column

  __device__ Rows<T> of_problem() const { return {vectors + blockIdx.x * step, count, width}; }
};

// The potentials of one side, in the units of the scores.
template <class R>
struct Shifts {
  const R* data;
  int64_t step, extent;
  R unit;

  __device__ R operator()(int64_t i) const {
    return i < extent ? data[blockIdx.x * step + i] * unit : lowest<R>();
  }
};

// A pass over the scores that gives two numbers for each row on the left, from each part of the
// right.
template <class T>
struct Pass {
  using R = Computed<T>;

  Side<T> left, right;
  Shifts<R> shifts;  // of the right
  Split split;

  __device__ R* first(const Problems<T>& p, int64_t part) const {
    return p.column() + p.l + part * left.extent;
  }
  __device__ R* second(const Problems<T>& p, int64_t part) const {
    return first(p, split.parts + part);
  }

  // Calls begin() for each tile of rows of this block, use(tile, row, column) for its scores with
  // each tile of columns of this block's part, and end(row), with the row of this thread. Why so:
  // the three kernels below share the loops, the tile and its addends, and differ in what a thread
  // carries along its row. That is in local variables of theirs, in registers, which the functions
  // set and read.
  template <class Begin, class Use, class End>
  __device__ void each_tile(Begin begin, Use use, End end) const {
    const Rows<T> rows = left.of_problem(), columns = right.of_problem();
    const int64_t from = blockIdx.z * split.length,
                  to = from + split.length < right.extent ? from + split.length : right.extent;
    Tile<T> tile(dynamic_shared<unsigned char>(), left.width);
    for (int64_t i = blockIdx.y; i < split.tiles; i += gridDim.y) {
      begin();
      for (int64_t column = from; column < to; column += kTileColumns) {
        tile.multiply(rows, i * kTileRows, columns, column, column == from);
        tile.set_addends(shifts(column + lane_id()), shifts(column + kWarp + lane_id()));
        use(tile, i * kTileRows, column);
      }
      end(i * kTileRows + threadIdx.x);
    }
  }
};

// With the features on the left, for the rows; `columns` of them count.
template <class T>
Pass<T> by_row(const Problems<T>& p, int64_t columns) {
  return {{p.scores, p.b, p.width, p.b * p.width, p.b},
          {p.prototypes, p.k, p.width, p.own_vectors * p.width, p.l},
          {p.scratch, p.slot, columns, 1},
          Split(std::max<int64_t>(p.s, 1), p.b, p.l)};
}

// With the prototypes on the left, for the columns.
template <class T>
Pass<T> by_column(const Problems<T>& p, const Computed<T>* row) {
  return {{p.prototypes, p.k, p.width, p.own_vectors * p.width, p.l},
          {p.scores, p.b, p.width, p.b * p.width, p.b},
          {row, p.b, p.b, static_cast<Computed<T>>(kLog2e)},
          Split(std::max<int64_t>(p.s, 1), p.l, p.b)};
}

// Running sums of exponentials relative to running maxima.
template <class T, class R>
__global__ void product_fold_kernel(Problems<T> p, Pass<T> pass, bool always) {
  if (!always && p.done() > 0) return;
  R top, sum;
  pass.each_tile(
      [&] {
        top = lowest<R>();
        sum = 0;
      },
      [&](const Tile<T>& tile, int64_t, int64_t) {
        R higher = top, part = 0;
        tile.each([&](int, R score, R shift) {
          const R t = score * p.scale + shift;
          higher = t > higher ? t : higher;
        });
        tile.each(
            [&](int, R score, R shift) { part += power_of_two(score * p.scale + shift - higher); });
        sum = sum * power_of_two(top - higher) + part;
        top = higher;
      },
      [&](int64_t row) {
        if (row >= pass.left.extent) return;
        pass.first(p, blockIdx.z)[row] = top;
        pass.second(p, blockIdx.z)[row] = sum;
      });
}

// The logarithm of a row's sum, over all parts.
template <class T, class R>
__device__ R folded(const Problems<T>& p, const Pass<T>& pass, int64_t row) {
  R top = pass.first(p, 0)[row], sum = pass.second(p, 0)[row];
  for (int64_t part = 1; part < pass.split.parts; ++part) {
    const R other = pass.first(p, part)[row], higher = other > top ? other : top;
    sum =
        sum * power_of_two(top - higher) + pass.second(p, part)[row] * power_of_two(other - higher);
    top = higher;
  }
  return top + log_of_two(sum);
}

template <class T, class R>
__global__ void product_rows_kernel(Problems<T> p, Pass<T> pass, const R* wanted, R power, R* row) {
  if (p.done() > 0) return;
  for (int64_t i = int64_t{blockIdx.y} * blockDim.x + threadIdx.x; i < p.b;
       i += int64_t{gridDim.y} * blockDim.x) {
    const int64_t at = blockIdx.x * p.b + i;
    row[at] = with_fractions(power * (wanted[at] - folded<T, R>(p, pass, i) * static_cast<R>(kLn2)),
                             wanted[at]);
  }
}

template <class T, class R>
__global__ void product_columns_kernel(Problems<T> p, Pass<T> pass, R* log_sums, bool always) {
  if (!always && p.done() > 0) return;
  for (int64_t c = int64_t{blockIdx.y} * blockDim.x + threadIdx.x; c < p.l;
       c += int64_t{gridDim.y} * blockDim.x)
    log_sums[blockIdx.x * p.l + c] = folded<T, R>(p, pass, c);
}

// Writes the ids of the best columns where a half-step writes its sums: so labels need no scratch
// of their own.
template <class T>
__global__ void product_best_kernel(Problems<T> p, Pass<T> pass) {
  using R = Computed<T>;
  R top;
  int32_t label;
  pass.each_tile(
      [&] {
        top = lowest<R>();
        label = 0;
      },
      [&](const Tile<T>& tile, int64_t, int64_t column) {
        tile.each([&](int c, R score, R shift) {
          const R t = score * p.scale + shift;
          if (t > top) label = static_cast<int32_t>(column) + c;
          top = t > top ? t : top;
        });
      },
      [&](int64_t row) {
        if (row >= p.b) return;
        pass.first(p, blockIdx.z)[row] = top;
        reinterpret_cast<int32_t*>(pass.second(p, blockIdx.z))[row] = label;
      });
}

template <class T>
__global__ void product_labels_kernel(Problems<T> p, Pass<T> pass, int64_t* labels) {
  using R = Computed<T>;
  for (int64_t i = int64_t{blockIdx.y} * blockDim.x + threadIdx.x; i < p.b;
       i += int64_t{gridDim.y} * blockDim.x) {
    R top = lowest<R>();
    int64_t label = -1;  // and stays it where all is NaN
    for (int64_t part = 0; part < pass.split.parts; ++part) {
      const R other = pass.first(p, part)[i];
      if (other > top) label = reinterpret_cast<const int32_t*>(pass.second(p, part))[i];
      top = other > top ? other : top;
    }
    labels[blockIdx.x * p.b + i] = label;
  }
}

// The rows of a warp one after the other, so that it writes side by side.
template <class T, class R>
__global__ void product_plan_kernel(Problems<T> p, Pass<T> pass, const R* row, R* plan) {
  pass.each_tile(
      [] {},
      [&](const Tile<T>& tile, int64_t first, int64_t column) {
        const int64_t own = first + threadIdx.x, of_warp = own - lane_id();
        const R shift = own < p.b ? row[blockIdx.x * p.b + own] * static_cast<R>(kLog2e) : R(0);
        for (int i = 0; i < kWarp; ++i) {
          const R row_shift = __shfl_sync(kAllLanes, shift, i);
          R* out = plan + (blockIdx.x * p.b + of_warp + i) * p.k;
          for (int c = lane_id(); c < kTileColumns; c += kWarp)
            if (of_warp + i < p.b && column + c < p.k)
              out[column + c] = power_of_two(tile.at(i, c) * p.scale + tile.addend(c) + row_shift);
        }
      },
      [](int64_t) {});
}

template <class T>
dim3 pass_blocks(const Problems<T>& p, const Pass<T>& pass) {
  return p.by_problem(std::min<int64_t>(pass.split.tiles, kMostHigh), pass.split.parts);
}

template <class T>
dim3 merge_blocks(const Problems<T>& p, const Pass<T>& pass) {
  return p.by_problem(std::min<int64_t>(divide_up(pass.left.extent, p.threads()), kMostHigh));
}

template <class T>
size_t pass_shared(const Problems<T>& p) {
  return Tile<T>::bytes(p.width);
}

template <class T, class R>
void product_columns(const Problems<T>& p, const R* row, R* log_sums, bool always, Stream stream) {
  const Pass<T> pass = by_column(p, row);
  launch(product_fold_kernel<T, R>, pass_blocks(p, pass), dim3(kTileThreads), pass_shared(p),
         stream, p, pass, always);
  launch(product_columns_kernel<T, R>, merge_blocks(p, pass), dim3(p.threads()), 0, stream, p, pass,
         log_sums, always);
}

template <class T, class R>
void product_rows(const Problems<T>& p, const R* wanted, R power, R* row, Stream stream) {
  const Pass<T> pass = by_row(p, p.l);
  launch(product_fold_kernel<T, R>, pass_blocks(p, pass), dim3(kTileThreads), pass_shared(p),
         stream, p, pass, false);
  launch(product_rows_kernel<T, R>, merge_blocks(p, pass), dim3(p.threads()), 0, stream, p, pass,
         wanted, power, row);
}

template <class T>
void product_labels(const Problems<T>& p, int64_t* labels, Stream stream) {
  const Pass<T> pass = by_row(p, p.k);
  launch(product_best_kernel<T>, pass_blocks(p, pass), dim3(kTileThreads), pass_shared(p), stream,
         p, pass);
  launch(product_labels_kernel<T>, merge_blocks(p, pass), dim3(p.threads()), 0, stream, p, pass,
         labels);
}

template <class T, class R>
void product_plan(const Problems<T>& p, const R* row, R* plan, Stream stream) {
  const Pass<T> pass = by_row(p, p.k);
  launch(product_plan_kernel<T, R>, pass_blocks(p, pass), dim3(kTileThreads), pass_shared(p),
         stream, p, pass, row, plan);
}

}  // namespace
}  // namespace pymim::cuda
