#include "kmeans.hpp"

#include "dispatch.hpp"
