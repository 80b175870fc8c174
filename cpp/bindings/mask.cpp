#include "pymim/mask.hpp"

#include <pybind11/stl.h>

#include "array.hpp"

namespace {

using namespace pymim;
using namespace pymim::bindings;

Draw draw(const char* function, int64_t seed, int64_t step, int64_t view) {
  check(seed >= 0 && step >= 0 && view >= 0, function, ": seed, step, view: expected 0 or more, got ", seed,
        ", ", step, ", ", view, "; count from 0");
  check(view < 256, function, ": view: expected below 256, got ", view, "; number the views from 0");
  return {static_cast<uint64_t>(seed), static_cast<uint64_t>(step), static_cast<uint32_t>(view)};
}

Mask mask(const char* function, py::handle visible, py::handle hidden, py::handle boolean) {
  return {view<int64_t, 2>(visible, function, "visible"), view<int64_t, 2>(hidden, function, "hidden"),
          view<bool, 2>(boolean, function, "boolean")};
}

}  // namespace

void bind_mask(py::module_ module) {
  module.def("uniform",
             [](py::handle index, int64_t seed, int64_t step, int64_t view_id, Extent grid, Extent unit,
                py::handle visible, py::handle hidden, py::handle boolean, uintptr_t on) {
               const auto index_view = view<const int64_t, 1>(index, "uniform", "index");
               const Mask out = mask("uniform", visible, hidden, boolean);
               const Draw number = draw("uniform", seed, step, view_id);
               py::gil_scoped_release released;
               uniform_mask(index_view, number, grid, unit, out, stream(on));
             });
}
