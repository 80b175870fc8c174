#include "../sinkhorn.hpp"

#include "parallel.hpp"
