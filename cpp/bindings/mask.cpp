#include "mask.hpp"

#include <pybind11/stl.h>

using namespace pymim;
using namespace pymim::bindings;

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
