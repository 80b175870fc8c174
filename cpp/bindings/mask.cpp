#include "pymim/mask.hpp"

#include "array.hpp"

namespace {

using namespace pymim;
using namespace pymim::bindings;

Draw draw(uint64_t seed, uint64_t step, uint32_t view) { return {seed, step, view}; }

Mask mask(const char* function, py::handle visible, py::handle hidden, py::handle boolean) {
  return {view<int64_t, 2>(visible, function, "visible"), view<int64_t, 2>(hidden, function, "hidden"),
          view<bool, 2>(boolean, function, "boolean")};
}

}  // namespace

void bind_mask(py::module_ module) {
  module.def("uniform", [](py::handle index, uint64_t seed, uint64_t step, uint32_t view_id, py::handle keys,
                           py::handle visible, py::handle hidden, py::handle boolean, uintptr_t on) {
    const auto index_view = view<const int64_t, 1>(index, "uniform", "index");
    const auto keys_view = view<uint32_t, 2>(keys, "uniform", "keys");
    const Mask out = mask("uniform", visible, hidden, boolean);
    py::gil_scoped_release released;
    uniform_mask(index_view, draw(seed, step, view_id), keys_view, out, stream(on));
  });
}
