#include "../sinkhorn.hpp"

#include "reduce.cuh"
