// Patch-loss ranking: the pairwise relative loss, ranks and top-k.
#pragma once

#include "pymim/view.hpp"

namespace pymim {}  // namespace pymim
