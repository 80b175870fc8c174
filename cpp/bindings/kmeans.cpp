#include "pymim/kmeans.hpp"

#include "array.hpp"

void bind_kmeans(pybind11::module_ module) { (void)module; }
