#pragma once

#include "kernels.hpp"
#include "pymim/block.hpp"
