#include "../kmeans.hpp"

#include "parallel.hpp"
