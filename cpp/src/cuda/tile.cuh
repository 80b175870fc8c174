// A tile of scores, of 128 rows on the left with 64 on the right, which a block makes in shared
// memory and nowhere else: tensor cores multiply bfloat16 and float16, registers what is read as
// float or double. A thread a row: each warp makes the scores of its own 32 rows, so that between
// tiles only its own lanes wait for each other.
#pragma once

#include <cuda_bf16.h>
#include <mma.h>

#include "element.cuh"
#include "reduce.cuh"

namespace pymim::cuda {
namespace {

constexpr int kTileRows = 128, kTileColumns = 64, kTileThreads = kTileRows;

// The rows of a matrix; past the last one, and past their ends, zeros.
template <class T>
struct Rows {
  const T* data;
  int64_t count, width;

  __device__ T operator()(int64_t row, int64_t i) const {
    return row < count && i < width ? data[row * width + i] : T{};
  }
};

// The 16 bytes that are read or written at once.
template <class T>
struct alignas(16) Chunk {
  static constexpr int kSize = 16 / sizeof(T);
  T values[kSize];
};

template <class T>
__device__ Chunk<T> load_chunk(const T* from) {
  return *reinterpret_cast<const Chunk<T>*>(from);
}

template <class T>
__device__ void store_chunk(T* to, const Chunk<T>& chunk) {
  *reinterpret_cast<Chunk<T>*>(to) = chunk;
}

// The scores, and for each column a number to add to them.
template <class R>
class ScoreTile {
 public:
  // Lanes that read their rows a chunk at a time read from different banks.
  static constexpr int kStride = kTileColumns + Chunk<R>::kSize;
  static constexpr size_t kScoreBytes =
      (kTileRows * kStride + kTileThreads / kWarp * kTileColumns) * sizeof(R);

  __device__ explicit ScoreTile(unsigned char* shared)
      : scores_(reinterpret_cast<R*>(shared)),
        addends_(scores_ + kTileRows * kStride + threadIdx.x / kWarp * kTileColumns) {}

  // For this warp; `low` of the column of this lane, `high` of that 32 further on.
  __device__ void set_addends(R low, R high) {
    addends_[lane_id()] = low;
    addends_[kWarp + lane_id()] = high;
    __syncwarp();
  }

  // visit(column, score, addend) along this thread's row.
  template <class Visit>
  __device__ void each(Visit visit) const {
#pragma unroll
    for (int first = 0; first < kTileColumns; first += Chunk<R>::kSize) {
      const Chunk<R> scores = load_chunk(scores_ + threadIdx.x * kStride + first),
                     addends = load_chunk(addends_ + first);
#pragma unroll
      for (int i = 0; i < Chunk<R>::kSize; ++i)
        visit(first + i, scores.values[i], addends.values[i]);
    }
  }

  // Of any row of this warp.
  __device__ R at(int lane, int column) const {
    return scores_[(threadIdx.x / kWarp * kWarp + lane) * kStride + column];
  }

  __device__ R addend(int column) const { return addends_[column]; }

 protected:
  R *scores_, *addends_;
};

// A thread sums 8 rows by 8 columns: those of its warp's rows that begin at 8 (lane / 8), and four
// columns in either half of the tile.
template <class R>
class FloatTile : public ScoreTile<R> {
 public:
  static size_t bytes(int64_t) {
    return ScoreTile<R>::kScoreBytes + kDepth * (kLeft + kRight) * sizeof(R);
  }

  __device__ FloatTile(unsigned char* shared, int64_t)
      : ScoreTile<R>(shared),
        left_(reinterpret_cast<R*>(shared + ScoreTile<R>::kScoreBytes)),
        right_(left_ + kDepth * kLeft) {}

  // left(row, i) and right(row, i) give the numbers, zeros past the last row.
  template <class Left, class Right>
  __device__ void multiply(const Left& left, int64_t row, const Right& right, int64_t column,
                           bool) {
    R sums[kSide][kSide] = {};
    for (int64_t depth = 0; depth < left.width; depth += kDepth) {
      __syncthreads();
      stage<kTileRows, kLeft>(left, row, depth, left_);
      stage<kTileColumns, kRight>(right, column, depth, right_);
      __syncthreads();
#pragma unroll 4
      for (int i = 0; i < kDepth; ++i) add(left_ + i * kLeft, right_ + i * kRight, sums);
    }
    store(sums);
    __syncwarp();
  }

 private:
  static constexpr int kDepth = 16, kSide = 8, kHalf = kSide / 2;
  static constexpr int kLeft = kTileRows + 4, kRight = kTileColumns + 4;
  static constexpr int kChunks = kSide / Chunk<R>::kSize;

  R *left_, *right_;  // [kDepth kLeft] and [kDepth kRight]

  __device__ static int first_row() { return static_cast<int>(threadIdx.x) / kSide * kSide; }
  // Where this thread's columns are, a chunk at a time.
  __device__ static int column(int chunk) {
    constexpr int kChunksOfHalf = kChunks / 2;
    return chunk / kChunksOfHalf * (kTileColumns / 2) + lane_id() % kSide * kHalf +
           chunk % kChunksOfHalf * Chunk<R>::kSize;
  }

  // Turned around, so that what the threads of a warp multiply at a time lies side by side.
  template <int kRows, int kStride, class Source>
  __device__ static void stage(const Source& from, int64_t first, int64_t depth, R* to) {
#pragma unroll 4
    for (int e = static_cast<int>(threadIdx.x); e < kRows * kDepth; e += kTileThreads)
      to[e % kDepth * kStride + e / kDepth] = from(first + e / kDepth, depth + e % kDepth);
  }

  __device__ static void add(const R* left, const R* right, R (&sums)[kSide][kSide]) {
    Chunk<R> rows[kChunks], columns[kChunks];
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      rows[chunk] = load_chunk(left + first_row() + chunk * Chunk<R>::kSize);
      columns[chunk] = load_chunk(right + column(chunk));
    }
#pragma unroll
    for (int i = 0; i < kSide; ++i)
#pragma unroll
      for (int j = 0; j < kSide; ++j)
        sums[i][j] += rows[i / Chunk<R>::kSize].values[i % Chunk<R>::kSize] *
                      columns[j / Chunk<R>::kSize].values[j % Chunk<R>::kSize];
  }

  __device__ void store(const R (&sums)[kSide][kSide]) {
#pragma unroll
    for (int i = 0; i < kSide; ++i)
#pragma unroll
      for (int chunk = 0; chunk < kChunks; ++chunk) {
        Chunk<R> out;
#pragma unroll
        for (int j = 0; j < Chunk<R>::kSize; ++j)
          out.values[j] = sums[i][chunk * Chunk<R>::kSize + j];
        store_chunk(this->scores_ + (first_row() + i) * ScoreTile<R>::kStride + column(chunk), out);
      }
  }
};

template <class T>
using TensorElement = std::conditional_t<std::is_same_v<T, bfloat16>, __nv_bfloat16, __half>;

// A warp sums two by four fragments. The rows on the left stay in shared memory for as long as they
// are multiplied, where they fit.
template <class T>
class TensorTile : public ScoreTile<float> {
 public:
  static size_t bytes(int64_t width) {
    return kScoreBytes +
           (kTileRows * (left_width(width) + kSpare) + kTileColumns * kRight) * sizeof(T);
  }

  __device__ TensorTile(unsigned char* shared, int64_t width)
      : ScoreTile<float>(shared),
        left_(reinterpret_cast<T*>(shared + kScoreBytes)),
        left_stride_(left_width(width) + kSpare),
        right_(left_ + kTileRows * left_stride_) {}

  // `fresh` where the rows on the left are others than before.
  __device__ void multiply(const Rows<T>& left, int64_t row, const Rows<T>& right, int64_t column,
                           bool fresh) {
    using namespace nvcuda::wmma;
    fragment<accumulator, kFragment, kFragment, kFragment, float> sums[kDown][kAcross];
#pragma unroll
    for (int i = 0; i < kDown; ++i)
      for (int j = 0; j < kAcross; ++j) fill_fragment(sums[i][j], 0.f);
    const bool resident = left_stride_ >= left.width + kSpare;
    for (int64_t depth = 0; depth < left.width; depth += kDepth) {
      __syncthreads();
      T* from = left_ + (resident ? depth : 0);
      if (fresh || !resident) stage(left, row, depth, kTileRows, from, left_stride_);
      stage(right, column, depth, kTileColumns, right_, kRight);
      __syncthreads();
      add(from, left.width - depth, sums);
    }
#pragma unroll
    for (int i = 0; i < kDown; ++i)
      for (int j = 0; j < kAcross; ++j)
        store_matrix_sync(scores_ + (first_row() + i * kFragment) * kStride + j * kFragment,
                          sums[i][j], kStride, mem_row_major);
    __syncwarp();
  }

 private:
  static constexpr int kFragment = 16, kDown = kWarp / kFragment,
                       kAcross = kTileColumns / kFragment;
  static constexpr int kDepth = 64, kSpare = 8, kRight = kDepth + kSpare;
  static constexpr int64_t kResident = 256;  // the widest rows that stay

  T* left_;  // [kTileRows left_stride]
  int64_t left_stride_;
  T* right_;  // [kTileColumns kRight]

  PYMIM_HOST_DEVICE static int64_t left_width(int64_t width) {
    return width <= kResident ? divide_up(width, kDepth) * kDepth : kDepth;
  }
  __device__ static int first_row() { return static_cast<int>(threadIdx.x) / kWarp * kWarp; }

  __device__ static void stage(const Rows<T>& from, int64_t first, int64_t depth, int rows, T* to,
                               int64_t stride) {
    constexpr int kEight = Chunk<T>::kSize, kChunks = kDepth / kEight;
    const bool aligned =
        from.width % kEight == 0 && reinterpret_cast<uintptr_t>(from.data) % 16 == 0;
    for (int e = static_cast<int>(threadIdx.x); e < rows * kChunks; e += kTileThreads) {
      const int64_t row = first + e / kChunks, i = depth + e % kChunks * kEight;
      T* at = to + e / kChunks * stride + e % kChunks * kEight;
      if (aligned && row < from.count && i < from.width)
        store_chunk(at, load_chunk(from.data + row * from.width + i));
      else
        for (int j = 0; j < kEight; ++j) at[j] = from(row, i + j);
    }
  }

  template <class Sums>
  __device__ void add(const T* from, int64_t width, Sums& sums) {
    using namespace nvcuda::wmma;
    using E = TensorElement<T>;
    fragment<matrix_a, kFragment, kFragment, kFragment, E, row_major> left[kDown];
    fragment<matrix_b, kFragment, kFragment, kFragment, E, col_major> right;
    for (int depth = 0; depth < kDepth && depth < width; depth += kFragment) {
#pragma unroll
      for (int i = 0; i < kDown; ++i)
        load_matrix_sync(
            left[i],
            reinterpret_cast<const E*>(from + (first_row() + i * kFragment) * left_stride_ + depth),
            static_cast<unsigned>(left_stride_));
#pragma unroll
      for (int j = 0; j < kAcross; ++j) {
        load_matrix_sync(right, reinterpret_cast<const E*>(right_ + j * kFragment * kRight + depth),
                         kRight);
#pragma unroll
        for (int i = 0; i < kDown; ++i) mma_sync(sums[i][j], left[i], right, sums[i][j]);
      }
    }
  }
};

}  // namespace
}  // namespace pymim::cuda
