// Entropic optimal transport by Sinkhorn scaling.
#pragma once

#include "pymim/view.hpp"

namespace pymim {}  // namespace pymim
