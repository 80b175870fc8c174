// pymim._core: a table of contents. Raw ops on caller-owned arrays; people call pymim.ops.
#include <pybind11/pybind11.h>

namespace py = pybind11;

void bind_mask(py::module_ module);
void bind_block(py::module_ module);
void bind_sinkhorn(py::module_ module);
void bind_kmeans(py::module_ module);
void bind_rank(py::module_ module);

PYBIND11_MODULE(_core, module, py::mod_gil_not_used()) {
  module.doc() = "pymim's native core: see pymim.ops";
  module.attr("has_cuda") = bool(PYMIM_HAS_CUDA);
  module.attr("emulated") = bool(PYMIM_EMULATE);  // every call runs the CUDA kernels, on the CPU
  bind_mask(module.def_submodule("mask"));
  bind_block(module.def_submodule("block"));
  bind_sinkhorn(module.def_submodule("sinkhorn"));
  bind_kmeans(module.def_submodule("kmeans"));
  bind_rank(module.def_submodule("rank"));
}
