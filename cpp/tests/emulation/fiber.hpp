// A stack of its own for each CUDA thread of a block, and the switch between them. On x86-64 a
// switch saves six registers and takes a few nanoseconds; elsewhere ucontext does it, with a system
// call.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace pymim::emulation {

#if defined(__x86_64__)
using Context = void*;  // the stack pointer, below the saved registers
#else
using Context = ucontext_t;
#endif

class Stack {
 public:
  Stack();
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // A context that calls entry() on this stack when it is first switched to. entry() must not
  // return.
  void prepare(Context& context, void (*entry)());

 private:
  char* base_;  // a guard page, then the stack
};

// Leaves where it is called, stored in `from`, and goes on at `to`.
void switch_context(Context& from, Context& to);

}  // namespace pymim::emulation
