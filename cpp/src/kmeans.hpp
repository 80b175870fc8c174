#pragma once

#include "kernels.hpp"
#include "pymim/kmeans.hpp"
