// CUDA's execution model on one CPU thread: the blocks of a grid one after another, the threads of
// a block as fibers that run until they meet others (a barrier, a shuffle, a vote). It is slow and
// exact, and it refuses what a GPU may let pass: threads that leave while others still wait for
// them, shared memory read before it is written (filled with 0xff bytes), lanes that name a mask
// they are not in.
//
// PYMIM_EMULATION=reverse runs the threads in the opposite order: a kernel whose answer changes has
// a race.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

inline uint3 threadIdx{}, blockIdx{};
inline dim3 blockDim{}, gridDim{};
inline constexpr int warpSize = 32;

namespace pymim::emulation {

// Runs body(context) once per thread of the grid. Throws where the kernel cannot go on.
void run(dim3 grid, dim3 block, size_t shared, void (*body)(void*), void* context);

// What each thread brought to a meeting, by lane or by thread of the block; null where there is no
// such thread.
using Brought = void* const*;

// Waits for the lanes of `mask`, or for the whole block. The last to come calls finish(everybody's
// `mine`).
void meet_warp(const char* what, unsigned mask, void* mine, void (*finish)(Brought));
void meet_block(const char* what, void* mine, void (*finish)(Brought, int threads));

int lane();
void* shared_memory();

template <class Kernel>
void run(dim3 grid, dim3 block, size_t shared, Kernel kernel) {
  run(grid, block, shared, [](void* opaque) { (*static_cast<Kernel*>(opaque))(); }, &kernel);
}

}  // namespace pymim::emulation
