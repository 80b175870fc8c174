#include "emulation.hpp"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "fiber.hpp"

// The bounds of the section that holds every __shared__ variable; absent where there is none.
extern "C" {
[[gnu::weak, gnu::visibility("hidden")]] extern char __start_pymim_shared[];
[[gnu::weak, gnu::visibility("hidden")]] extern char __stop_pymim_shared[];
}

namespace pymim::emulation {
namespace {

constexpr unsigned kWarp = 32, kMostThreads = 1024;
constexpr size_t kMostShared = 163 * 1024;  // of compute capability 8.0, the oldest we compile for

struct Fiber {
  enum State { ready, in_warp, in_block, done };
  Context context{};
  uint3 index{};
  State state = done;
  const char* what = nullptr;  // the meeting it waits at
  unsigned mask = 0;
  void* mine = nullptr;
};

// The one block that runs.
struct Block {
  std::vector<Fiber> fibers;
  std::vector<std::unique_ptr<Stack>> stacks;
  std::vector<void*> brought;
  std::unique_ptr<char[]> shared;
  Context scheduler{};
  unsigned current = 0;
  void (*body)(void*) = nullptr;
  void* context = nullptr;
} block;

unsigned threads() { return static_cast<unsigned>(block.fibers.size()); }

void resume(unsigned thread) {
  block.current = thread;
  threadIdx = block.fibers[thread].index;
  switch_context(block.scheduler, block.fibers[thread].context);
}

void leave(Fiber::State state) {
  Fiber& self = block.fibers[block.current];
  self.state = state;
  switch_context(self.context, block.scheduler);
}

void enter() {
  block.body(block.context);
  leave(Fiber::done);
}

void wait(Fiber::State state, const char* what, unsigned mask, void* mine) {
  Fiber& self = block.fibers[block.current];
  self.what = what;
  self.mask = mask;
  self.mine = mine;
  self.state = state;
}

std::string describe(const Fiber& fiber) {
  std::ostringstream text;
  text << "thread (" << fiber.index.x << ' ' << fiber.index.y << ' ' << fiber.index.z << ") ";
  if (fiber.state == Fiber::done)
    text << "has exited";
  else
    text << "waits at " << fiber.what;
  if (fiber.state == Fiber::in_warp) text << " of lanes " << std::hex << fiber.mask;
  return text.str();
}

[[noreturn]] void deadlock() {
  std::ostringstream text;
  text << "emulation: deadlock in block (" << blockIdx.x << ' ' << blockIdx.y << ' ' << blockIdx.z
       << "):";
  const Fiber* last = nullptr;
  for (const Fiber& fiber : block.fibers) {
    if (!last || last->state != fiber.state || last->what != fiber.what)
      text << "\n  from " << describe(fiber);
    last = &fiber;
  }
  throw std::runtime_error(text.str());
}

bool reversed() {
  static const char* order = std::getenv("PYMIM_EMULATION");
  return order && std::strcmp(order, "reverse") == 0;
}

// Runs the threads [first, last) until none of them can go on; true if any could.
bool run_warp(unsigned first, unsigned last) {
  bool any = false;
  for (bool progress = true; progress; any = any || progress) {
    progress = false;
    for (unsigned i = first; i < last; ++i) {
      const unsigned thread = reversed() ? last - 1 - (i - first) : i;
      if (block.fibers[thread].state != Fiber::ready) continue;
      resume(thread);
      progress = true;
    }
  }
  return any;
}

void run_block() {
  const unsigned n = threads(), warps = (n + kWarp - 1) / kWarp;
  for (unsigned thread = 0; thread < n; ++thread) {
    block.fibers[thread].state = Fiber::ready;
    block.stacks[thread]->prepare(block.fibers[thread].context, enter);
  }
  for (bool progress = true; progress;) {
    progress = false;
    for (unsigned i = 0; i < warps; ++i) {
      const unsigned first = kWarp * (reversed() ? warps - 1 - i : i);
      progress = run_warp(first, first + kWarp < n ? first + kWarp : n) || progress;
    }
  }
  for (const Fiber& fiber : block.fibers)
    if (fiber.state != Fiber::done) deadlock();
}

void prepare(dim3 size, size_t shared) {
  const unsigned n = size.x * size.y * size.z;
  block.fibers.assign(n, Fiber());
  block.brought.resize(n < kWarp ? kWarp : n);
  while (block.stacks.size() < n) block.stacks.push_back(std::make_unique<Stack>());
  block.shared.reset(new char[shared]);
  for (unsigned i = 0; i < n; ++i)
    block.fibers[i].index = {i % size.x, i / size.x % size.y, i / size.x / size.y};
}

void poison(size_t shared) {
  std::memset(block.shared.get(), 0xff, shared);
  if (__start_pymim_shared)
    std::memset(__start_pymim_shared, 0xff,
                static_cast<size_t>(__stop_pymim_shared - __start_pymim_shared));
}

void check_launch(dim3 grid, dim3 size, size_t shared) {
  const uint64_t n = uint64_t{size.x} * size.y * size.z;
  std::ostringstream text;
  if (n == 0 || n > kMostThreads || size.z > 64) text << "a block of " << n << " threads";
  if (grid.y > 65535 || grid.z > 65535 || grid.x > 0x7fffffff) text << "a grid that is too large";
  if (shared > kMostShared) text << shared << " bytes of shared memory";
  if (!text.str().empty())
    throw std::runtime_error("emulation: kernel launch: invalid: " + text.str());
}

}  // namespace

void run(dim3 grid, dim3 size, size_t shared, void (*body)(void*), void* context) {
  static std::mutex one_at_a_time;
  std::lock_guard<std::mutex> lock(one_at_a_time);
  check_launch(grid, size, shared);
  prepare(size, shared);
  block.body = body;
  block.context = context;
  gridDim = grid;
  blockDim = size;
  for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) {
        poison(shared);
        run_block();
      }
}

void meet_warp(const char* what, unsigned mask, void* mine, void (*finish)(Brought)) {
  const unsigned first = block.current / kWarp * kWarp;
  wait(Fiber::in_warp, what, mask, mine);
  const unsigned count = threads() - first < kWarp ? threads() - first : kWarp;
  // A lane outside its own mask waits for ever.
  bool complete = mask >> (block.current - first) & 1;
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    const bool named = lane < count && mask >> lane & 1;
    const Fiber* fiber = named ? &block.fibers[first + lane] : nullptr;
    complete = complete && (!named || (fiber->state == Fiber::in_warp && fiber->mask == mask &&
                                       std::strcmp(fiber->what, what) == 0));
    block.brought[lane] = named ? fiber->mine : nullptr;
  }
  if (!complete) return leave(Fiber::in_warp);
  finish(block.brought.data());
  for (unsigned lane = 0; lane < count; ++lane)
    if (mask >> lane & 1) block.fibers[first + lane].state = Fiber::ready;
}

void meet_block(const char* what, void* mine, void (*finish)(Brought, int)) {
  wait(Fiber::in_block, what, 0, mine);
  for (const Fiber& fiber : block.fibers)
    if (fiber.state != Fiber::in_block || std::strcmp(fiber.what, what) != 0)
      return leave(Fiber::in_block);
  for (unsigned i = 0; i < threads(); ++i) block.brought[i] = block.fibers[i].mine;
  finish(block.brought.data(), static_cast<int>(threads()));
  for (Fiber& fiber : block.fibers) fiber.state = Fiber::ready;
}

int lane() { return static_cast<int>(block.current % kWarp); }

void* shared_memory() { return block.shared.get(); }

}  // namespace pymim::emulation
