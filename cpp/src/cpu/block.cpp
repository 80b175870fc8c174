#include "../block.hpp"

#include "parallel.hpp"
