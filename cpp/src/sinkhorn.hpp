#pragma once

#include "kernels.hpp"
#include "pymim/sinkhorn.hpp"
