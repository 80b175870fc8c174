#include "pymim/sinkhorn.hpp"

#include "array.hpp"

void bind_sinkhorn(pybind11::module_ module) { (void)module; }
