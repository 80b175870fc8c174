#include "dispatch.hpp"

#include <cstdlib>
#include <cstring>

namespace pymim {
namespace {

InstructionSet widest() {
#if PYMIM_X86
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return InstructionSet::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return InstructionSet::avx2;
#endif
  return InstructionSet::baseline;
}

InstructionSet allowed() {
  const char* name = std::getenv("PYMIM_ISA");
  if (!name) return InstructionSet::avx512;
  if (std::strcmp(name, "baseline") == 0) return InstructionSet::baseline;
  return std::strcmp(name, "avx2") == 0 ? InstructionSet::avx2 : InstructionSet::avx512;
}

}  // namespace

InstructionSet instruction_set() {
  static const InstructionSet chosen = widest() < allowed() ? widest() : allowed();
  return chosen;
}

}  // namespace pymim
