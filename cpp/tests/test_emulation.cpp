// The emulation itself: barriers order, warps exchange, tiles multiply, and what would hang is
// refused.
#include <mma.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "expect.hpp"

namespace {

using pymim::emulation::run;

constexpr unsigned kAll = 0xffffffffu;
#if defined(__SANITIZE_ADDRESS__)
// Static shared memory is watched by the sanitizer instead of being filled.
constexpr bool kGuarded = true;
#else
constexpr bool kGuarded = false;
#endif

// Each thread reads its neighbour's value across a barrier, twice over the same memory.
__global__ void rotate(int* values, int rounds) {
  __shared__ int tile[96];
  const int i = static_cast<int>(threadIdx.x), n = static_cast<int>(blockDim.x);
  int value = values[blockIdx.x * blockDim.x + threadIdx.x];
  for (int round = 0; round < rounds; ++round) {
    tile[i] = value;
    __syncthreads();
    value = tile[(i + 1) % n];
    __syncthreads();
  }
  values[blockIdx.x * blockDim.x + threadIdx.x] = value;
}

void test_barrier() {
  std::vector<int> values(2 * 96);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int>(i);
  run(dim3(2), dim3(96), 0, [&] { rotate(values.data(), 5); });
  for (int i = 0; i < 2 * 96; ++i)
    EXPECT(values[static_cast<size_t>(i)] == i / 96 * 96 + (i + 5) % 96);
}

void test_shuffles() {
  std::vector<int> sum(64), scan(64), group(64);
  run(dim3(1), dim3(64), 0, [&] {
    const int lane = static_cast<int>(threadIdx.x % 32);
    int value = lane + 1, prefix = lane + 1;
    for (int offset = 16; offset; offset /= 2) value += __shfl_xor_sync(kAll, value, offset);
    for (unsigned offset = 1; offset < 32; offset *= 2) {
      const int left = __shfl_up_sync(kAll, prefix, offset);
      if (lane >= static_cast<int>(offset)) prefix += left;
    }
    sum[threadIdx.x] = value;
    scan[threadIdx.x] = prefix;
    group[threadIdx.x] = __shfl_sync(kAll, lane, 2, 8);
  });
  for (size_t i = 0; i < 64; ++i) {
    const int lane = static_cast<int>(i % 32);
    EXPECT(sum[i] == 33 * 16);
    EXPECT(scan[i] == (lane + 1) * (lane + 2) / 2);
    EXPECT(group[i] == lane / 8 * 8 + 2);
  }
}

void test_votes() {
  unsigned odd = 0, high = 0;
  int count = 0;
  run(dim3(1), dim3(40), 0, [&] {
    const unsigned i = threadIdx.x, half = i % 32 < 16 ? 0x0000ffffu : 0xffff0000u;
    const unsigned votes = __ballot_sync(kAll, i % 2 == 1);  // the last warp has 8 lanes only
    if (i == 0) odd = votes;
    if (i < 32) {
      const unsigned mine = __ballot_sync(half, i >= 24);  // two halves of a warp meet apart
      if (i == 31) high = mine;
    }
    const int all = __syncthreads_count(i >= 30);
    if (i == 39) count = all;
  });
  EXPECT(odd == 0xaaaaaaaau && high == 0xff000000u && count == 10);
}

template <class T>
void test_tiles() {
  using namespace nvcuda::wmma;
  std::vector<T> a(16 * 24), b(16 * 24);
  std::vector<float> c(16 * 16), expected(16 * 16, 1.f);
  for (int i = 0; i < 16 * 24; ++i)
    a[size_t(i)] = float(i % 7 - 3), b[size_t(i)] = float(i % 5 - 2);
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 16; ++column)
      for (int k = 0; k < 16; ++k)
        expected[size_t(row * 16 + column)] +=
            float(a[size_t(row * 24 + k)]) * float(b[size_t(column * 24 + k)]);
  run(dim3(1), dim3(32), 0, [&] {
    fragment<matrix_a, 16, 16, 16, T, row_major> left;
    fragment<matrix_b, 16, 16, 16, T, col_major> right;
    fragment<accumulator, 16, 16, 16, float> sum;
    fill_fragment(sum, 1.f);
    load_matrix_sync(left, a.data(), 24);
    load_matrix_sync(right, b.data(), 24);
    mma_sync(sum, left, right, sum);
    store_matrix_sync(c.data(), sum, 16, mem_row_major);
  });
  EXPECT(c == expected);
}

void test_formats() {
  const float wide[] = {0.f, -1.5f, 65504.f, 6e-8f, 1.0009765625f, 1.00048828125f, 1e38f};
  for (float x : wide) {
    EXPECT(std::abs(__half2float(__float2half(x)) - x) <= std::abs(x) * 0x1p-11f + 0x1p-25f ||
           x > 65504.f);
    EXPECT(std::abs(__bfloat162float(__float2bfloat16(x)) - x) <= std::abs(x) * 0x1p-8f);
  }
  EXPECT(__half_as_ushort(1.00048828125f) == 0x3c00 && __half_as_ushort(1e6f) == 0x7c00);
  for (unsigned bits = 0; bits < 0x7c00; ++bits)
    EXPECT(__half_as_ushort(__half2float(__ushort_as_half(static_cast<unsigned short>(bits)))) ==
           bits);
}

// What running `kernel` on 64 threads is refused with.
template <class Kernel>
std::string refusal(Kernel kernel, size_t shared = 0, unsigned threads = 64) {
  try {
    run(dim3(1), dim3(threads), shared, kernel);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

bool mentions(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

void test_refusals() {
  const std::string left = refusal([] {
    if (threadIdx.x == 3) return;
    __syncthreads();
  });
  EXPECT(mentions(left, "deadlock") && mentions(left, "thread (3 0 0) has exited") &&
         mentions(left, "__syncthreads"));
  const std::string apart = refusal([] {
    if (threadIdx.x % 2)
      __shfl_xor_sync(kAll, 1, 1);
    else
      __ballot_sync(kAll, true);
  });
  EXPECT(mentions(apart, "waits at __shfl_xor_sync of lanes ffffffff") &&
         mentions(apart, "__ballot_sync"));
  EXPECT(
      mentions(refusal([] { __syncwarp(1u); }), "deadlock"));  // lanes outside the mask they name
  EXPECT(mentions(refusal([] {}, 0, 1025), "a block of 1025 threads"));
  EXPECT(mentions(refusal([] {}, size_t{1} << 20), "bytes of shared memory"));
}

void test_shared_memory_starts_undefined() {
  bool undefined = true;
  run(dim3(2), dim3(32), 64, [&] {
    __shared__ float kept;
    const float* given = static_cast<const float*>(pymim::emulation::shared_memory());
    undefined = undefined && given[threadIdx.x % 16] != given[threadIdx.x % 16] &&
                (kept != kept || kGuarded);
    __syncthreads();
    kept = 1.f;
  });
  EXPECT(undefined);
}

}  // namespace

int main() {
  test_barrier();
  test_shuffles();
  test_votes();
  test_tiles<__nv_bfloat16>();
  test_tiles<__half>();
  test_formats();
  test_refusals();
  test_shared_memory_starts_undefined();
  return failures;
}
