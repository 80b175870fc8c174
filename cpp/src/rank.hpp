#pragma once

#include "kernels.hpp"
#include "pymim/rank.hpp"
