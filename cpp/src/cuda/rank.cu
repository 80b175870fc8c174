#include "../rank.hpp"

#include "reduce.cuh"
