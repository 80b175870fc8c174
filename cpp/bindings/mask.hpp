// The arguments that every mask policy takes.
#pragma once

#include "pymim/mask.hpp"

#include "array.hpp"

namespace pymim::bindings {

inline Draw draw(const char* function, int64_t seed, int64_t step, int64_t view) {
  check(seed >= 0 && step >= 0 && view >= 0, function,
        ": seed, step, view: expected 0 or more, got ", seed, ", ", step, ", ", view,
        "; count from 0");
  check(view < 256, function, ": view: expected below 256, got ", view,
        "; number the views from 0");
  return {static_cast<uint64_t>(seed), static_cast<uint64_t>(step), static_cast<uint32_t>(view)};
}

// A Mask, or with Rank 3 Masks.
template <class Out = Mask, size_t Rank = 2>
Out mask(const char* function, py::handle visible, py::handle hidden, py::handle boolean) {
  return {view<int64_t, Rank>(visible, function, "visible"),
          view<int64_t, Rank>(hidden, function, "hidden"),
          view<bool, Rank>(boolean, function, "boolean")};
}

}  // namespace pymim::bindings
