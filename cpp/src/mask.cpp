// Every argument of the mask policies is checked here, once; then cpu or cuda.
#include "mask.hpp"

#include "dispatch.hpp"
#include "mask_check.hpp"

namespace pymim {

void uniform_mask(View<const int64_t, 1> index, Draw draw, Extent grid, Extent unit, Mask out, Stream stream) {
  check_mask("uniform_mask", index, draw, out);
  const int64_t size = check_units("uniform_mask", grid, unit, out.boolean[1]);
  check(out.visible[1] % size == 0, "uniform_mask: visible: expected whole units of ", size, " patches, got ",
        out.visible[1], "; choose a multiple");
  PYMIM_RUN(uniform_mask, index, index, draw, grid, unit, out, stream);
}

}  // namespace pymim
