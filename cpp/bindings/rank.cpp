#include "pymim/rank.hpp"

#include "array.hpp"

void bind_rank(pybind11::module_ module) { (void)module; }
