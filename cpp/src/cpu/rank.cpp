#include "../rank.hpp"

#include "parallel.hpp"
