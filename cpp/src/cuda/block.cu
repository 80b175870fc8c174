#include "../block.hpp"

#include "reduce.cuh"
