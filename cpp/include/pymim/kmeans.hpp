// Streaming k-means: assign, accumulate, update.
#pragma once

#include "pymim/view.hpp"

namespace pymim {}  // namespace pymim
