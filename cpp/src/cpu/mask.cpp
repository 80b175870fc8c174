// The mask policies on the CPU: threads over images, SIMD over patches.
#include "../mask.hpp"

#include "choose.hpp"
#include "parallel.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

constexpr int64_t kImages = 16;  // the fewest that are worth a thread

// Calls fill(row, image) for every image, to set its booleans, and writes their ids.
template <class Fill>
void fill_rows(const Mask& out, Fill fill) {
  parallel_for(out.boolean[0], kImages, [&](int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; ++image) {
      const Row row(out, image);
      fill(row, image);
      write_ids(row);
    }
  });
}

}  // namespace

void uniform_mask(View<const int64_t, 1> index, Draw draw, Extent grid, Extent unit, Mask out, Stream) {
  const int64_t size = unit[0] * unit[1] * unit[2], units = out.boolean[1] / size;
  fill_rows(out, [&](const Row& row, int64_t image) {
    Word* keys = row.keys();
    // Of units larger than a patch there are at most N / 2: their flags fit behind their keys.
    bool* flags = size == 1 ? row.boolean : reinterpret_cast<bool*>(keys + units);
    fill_words(draw, index.data[image], Role::uniform, units, keys);
    std::memset(flags, 1, static_cast<size_t>(units));
    flip_smallest(keys, units, row.v / size, flags);
    if (size > 1) enlarge(flags, grid, unit, row.boolean);
  });
}

}  // namespace pymim::cpu::PYMIM_ISA
