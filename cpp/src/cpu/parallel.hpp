// Threads over independent ranges, on the pool the process already has.
#pragma once

#include <cstdint>

namespace pymim::cpu {

// How many threads a parallel_for may use: torch's number inside a torch process, else the cores.
int thread_count();

// Calls body(context, task) for task = 0..tasks-1 on at most `threads` threads, and returns when all are done.
void run_tasks(int threads, int tasks, void (*body)(void*, int), void* context);

// Splits [0, n) into contiguous ranges of at least `grain` and calls range(begin, end) on each. An op must not
// let its answer depend on where the splits fall. With several ranges a thread, one that comes late (threads
// take microseconds to wake, as long as a small op) leaves the rest to the others.
template <class Range>
void parallel_for(int64_t n, int64_t grain, Range range, int64_t ranges_per_thread = 1) {
  if (n <= 0) return;
  const int64_t most = (n + grain - 1) / grain;
  const int64_t threads = most > 1 ? thread_count() : 1;
  if (threads <= 1) {
    range(int64_t{0}, n);
    return;
  }
  const int64_t wanted = threads * ranges_per_thread;
  struct Context {
    Range& range;
    int64_t n, tasks;
  } context{range, n, wanted < most ? wanted : most};
  run_tasks(
      static_cast<int>(threads < most ? threads : most), static_cast<int>(context.tasks),
      [](void* opaque, int task) {
        auto& c = *static_cast<Context*>(opaque);
        c.range(c.n * task / c.tasks, c.n * (task + 1) / c.tasks);
      },
      &context);
}

}  // namespace pymim::cpu
