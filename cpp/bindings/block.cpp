#include "pymim/block.hpp"

#include "array.hpp"

void bind_block(pybind11::module_ module) { (void)module; }
