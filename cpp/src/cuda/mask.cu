// The mask policies on a GPU: a warp an image, one launch each.
#include "../mask.hpp"

#include "choose.cuh"

namespace pymim::cuda {
namespace {

constexpr int kWarpsPerBlock = 4;

// Launches `kernel`(arguments...), with a warp for each of `images`.
template <class... Parameters, class... Arguments>
void launch_warps(void (*kernel)(Parameters...), int64_t images, Stream stream, const Arguments&... arguments) {
  const dim3 grid(static_cast<unsigned>(divide_up(images, kWarpsPerBlock)));
  launch(kernel, grid, dim3(kWarpsPerBlock * kWarp), 0, stream, arguments...);
}

// The image of this warp.
__device__ int64_t this_image() { return int64_t{blockIdx.x} * kWarpsPerBlock + threadIdx.x / kWarp; }

__global__ void uniform_kernel(View<const int64_t, 1> index, Draw draw, Extent grid, Extent unit, Mask out) {
  const int64_t image = this_image();
  if (image >= index.shape[0]) return;
  const int64_t size = unit[0] * unit[1] * unit[2];
  const Row row(out, image);
  const int64_t units = row.n / size;
  Word* keys = row.keys();
  // Of units larger than a patch there are at most N / 2: their flags fit behind their keys.
  bool* flags = size == 1 ? row.boolean : reinterpret_cast<bool*>(keys + units);
  fill_words(draw, index.data[image], Role::uniform, units, keys);
  set_flags(flags, units, true);
  flip_smallest(keys, units, row.v / size, flags);
  if (size > 1) enlarge(flags, grid, unit, row.boolean);
  write_ids(row);
}

}  // namespace

void uniform_mask(View<const int64_t, 1> index, Draw draw, Extent grid, Extent unit, Mask out, Stream stream) {
  launch_warps(uniform_kernel, index[0], stream, index, draw, grid, unit, out);
}

}  // namespace pymim::cuda
