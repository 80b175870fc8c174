// Masks made of rectangles.
#pragma once

#include "pymim/mask.hpp"

namespace pymim {}  // namespace pymim
