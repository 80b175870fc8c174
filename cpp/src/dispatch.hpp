// From a public function to the kernel for its device and for the instructions this machine has.
#pragma once

#include "kernels.hpp"
#include "pymim/check.hpp"

namespace pymim {

enum class InstructionSet { baseline, avx2, avx512 };

// The widest set this machine has, read once; PYMIM_ISA=baseline|avx2|avx512 in the environment
// narrows it.
InstructionSet instruction_set();

// Whether the CUDA kernels run there. Emulated ones run on host memory, so they take every call.
inline bool on_cuda(Device device) { return PYMIM_EMULATE || device.kind == Device::cuda; }

}  // namespace pymim

#if PYMIM_HAS_CUDA
#include "cuda/device.hpp"
#define PYMIM_RUN_CUDA(function, where, ...)         \
  do {                                               \
    ::pymim::cuda::DeviceGuard guard((where).index); \
    ::pymim::cuda::function(__VA_ARGS__);            \
  } while (false)
#else
#define PYMIM_RUN_CUDA(function, where, ...)                                       \
  ::pymim::check(false, #function,                                                 \
                 ": device: expected cpu, got cuda, and this build has no CUDA; ", \
                 "rebuild with PYMIM_CUDA=ON or pass CPU arrays")
#endif

#if PYMIM_X86
#define PYMIM_RUN_CPU(function, ...)                                                          \
  switch (::pymim::instruction_set()) {                                                       \
    case ::pymim::InstructionSet::avx512: ::pymim::cpu::avx512::function(__VA_ARGS__); break; \
    case ::pymim::InstructionSet::avx2: ::pymim::cpu::avx2::function(__VA_ARGS__); break;     \
    default: ::pymim::cpu::baseline::function(__VA_ARGS__);                                   \
  }
#else
#define PYMIM_RUN_CPU(function, ...) ::pymim::cpu::baseline::function(__VA_ARGS__)
#endif

// Calls kernel `function` on the device of view `where`.
#define PYMIM_RUN(function, where, ...)                      \
  do {                                                       \
    if (::pymim::on_cuda((where).device)) {                  \
      PYMIM_RUN_CUDA(function, (where).device, __VA_ARGS__); \
    } else {                                                 \
      PYMIM_RUN_CPU(function, __VA_ARGS__);                  \
    }                                                        \
  } while (false)
