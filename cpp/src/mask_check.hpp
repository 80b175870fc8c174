// What every policy that fills a Mask checks: shared by the stems mask and block.
#pragma once

#include "pymim/check.hpp"
#include "pymim/mask.hpp"

namespace pymim {

inline void check_draw(const char* function, const View<const int64_t, 1>& index,
                       const Draw& draw) {
  check(draw.step < uint64_t{1} << 48, function, ": step: expected below 2^48, got ", draw.step,
        "; count optimiser steps");
  check(draw.view < 256, function, ": view: expected below 256, got ", draw.view,
        "; number the views from 0");
  if (index.device.kind != Device::cpu)
    return;  // reading a GPU's would wait for it; there the low 40 bits count
  for (int64_t image = 0; image < index[0]; ++image)
    check(index.data[image] >> 40 == 0, function, ": index: expected 0 to 2^40 - 1, got ",
          index.data[image], "; pass the position of each image in its dataset");
}

inline void check_patches(const char* function, int64_t patches) {
  check(patches < int64_t{1} << 28, function, ": N: expected fewer than 2^28 patches, got ",
        patches, "; use a coarser grid");
}

inline void check_mask(const char* function, const View<const int64_t, 1>& index, const Draw& draw,
                       const Mask& out) {
  const int64_t b = index[0], v = out.visible[1], m = out.hidden[1];
  check_shape(function, "out.visible", out.visible, {b, v}, "[B V]");
  check_shape(function, "out.hidden", out.hidden, {b, m}, "[B M]");
  check_shape(function, "out.boolean", out.boolean, {b, v + m}, "[B V+M]");
  check_device(function, index, out.visible, out.hidden, out.boolean);
  check_patches(function, v + m);
  check_draw(function, index, draw);
}

// How many patches a grid has; 2^62 where they are more.
inline int64_t patches_of(Extent grid) {
  constexpr int64_t most = int64_t{1} << 62;
  int64_t product = 1;
  for (int64_t extent : grid)
    product = extent > 0 && product > most / extent ? most : product * extent;
  return product;
}

// Units of `unit` patches tile `grid`, which has `patches`; gives how many patches a unit has.
inline int64_t check_units(const char* function, Extent grid, Extent unit, int64_t patches) {
  for (size_t axis = 0; axis < 3; ++axis)
    check(unit[axis] > 0 && grid[axis] >= 0 && grid[axis] % unit[axis] == 0, function,
          ": unit: expected a divisor of ", grid[axis], " (grid, axis ", axis, "), got ",
          unit[axis], "; choose another unit or grid");
  check(patches_of(grid) == patches, function, ": grid: expected ", patches,
        " patches (V + M), got ", grid[0], " x ", grid[1], " x ", grid[2],
        "; pass outputs of that size");
  return unit[0] * unit[1] * unit[2];
}

}  // namespace pymim
