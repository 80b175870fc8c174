#include "../kmeans.hpp"

#include "reduce.cuh"
