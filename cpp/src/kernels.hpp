// Where a kernel can run. Each op's src/<op>.hpp declares its kernels once, with PYMIM_EACH_PLACE,
// and they exist in every namespace below: src/cpu/<op>.cpp is compiled once per instruction set,
// src/cuda/<op>.cu once.
#pragma once

#include "pymim/view.hpp"

#if PYMIM_X86
#define PYMIM_EACH_PLACE(...)      \
  namespace pymim::cpu::baseline { \
  __VA_ARGS__                      \
  }                                \
  namespace pymim::cpu::avx2 {     \
  __VA_ARGS__                      \
  }                                \
  namespace pymim::cpu::avx512 {   \
  __VA_ARGS__                      \
  }                                \
  namespace pymim::cuda {          \
  __VA_ARGS__                      \
  }
#else
#define PYMIM_EACH_PLACE(...)      \
  namespace pymim::cpu::baseline { \
  __VA_ARGS__                      \
  }                                \
  namespace pymim::cuda {          \
  __VA_ARGS__                      \
  }
#endif
