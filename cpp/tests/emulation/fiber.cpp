#include "fiber.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace pymim::emulation {
namespace {

constexpr size_t kGuard = 4096, kBytes = 512 * 1024;  // only touched pages take memory

}  // namespace

Stack::Stack() {
  void* memory = mmap(nullptr, kGuard + kBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, kGuard, PROT_NONE) != 0) throw std::bad_alloc();
  base_ = static_cast<char*>(memory);
}

Stack::~Stack() { munmap(base_, kGuard + kBytes); }

#if defined(__x86_64__)

// switch_stacks(void** from, void* to): the callee-saved registers of the System V ABI, then the
// stack.
asm(R"(
  .text
  .type pymim_switch_stacks, @function
  .local pymim_switch_stacks
pymim_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");
extern "C" void pymim_switch_stacks(void** from, void* to);

void Stack::prepare(Context& context, void (*entry)()) {
  auto** top = reinterpret_cast<void**>(base_ + kGuard + kBytes);
  *--top = nullptr;  // where entry() would return to; leaves the stack aligned as after a call
  *--top = reinterpret_cast<void*>(entry);
  for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
  context = top;
}

void switch_context(Context& from, Context& to) { pymim_switch_stacks(&from, to); }

#else

void Stack::prepare(Context& context, void (*entry)()) {
  getcontext(&context);
  context.uc_stack.ss_sp = base_ + kGuard;
  context.uc_stack.ss_size = kBytes;
  context.uc_link = nullptr;
  makecontext(&context, entry, 0);
}

void switch_context(Context& from, Context& to) { swapcontext(&from, &to); }

#endif

}  // namespace pymim::emulation
