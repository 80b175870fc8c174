#include "rank.hpp"

#include "dispatch.hpp"
