#include "block.hpp"

#include "dispatch.hpp"
