#include "sinkhorn.hpp"

#include "dispatch.hpp"
