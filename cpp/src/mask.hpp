#pragma once

#include "kernels.hpp"
#include "pymim/mask.hpp"

PYMIM_EACH_PLACE(void uniform_mask(View<const int64_t, 1> index, Draw draw, Extent grid, Extent unit, Mask out,
                                   Stream stream);)
