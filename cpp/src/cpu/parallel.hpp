// Threads over independent ranges. Whoever calls does all of the work that nobody else has begun:
// it never waits for a thread to wake, which on a busy machine takes as long as a hundred small
// ops.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace pymim::cpu {

// How many threads a parallel_for may use: torch's number inside a torch process, else the cores.
int thread_count();

// Calls body(context, task, worker) for task = 0..tasks-1 on the caller and at most `threads` - 1
// others, and returns when all are done. A worker, 0 for the caller and below `threads`, is at one
// task at a time.
void run_tasks(int threads, int tasks, void (*body)(void*, int, int), void* context);

// Work that pays for one more thread, and the least that a thread takes of it at once, in
// nanoseconds.
inline constexpr double kWorthThread = 25e3, kWorthTask = 8e3;
inline constexpr int64_t kTasksPerThread = 8;

// Splits [0, n) into contiguous ranges and calls range(begin, end, worker) on each. One of the n
// takes about `nanoseconds`: what is too little runs on the caller. An op must not let its answer
// depend on where the splits fall.
template <class Range>
void parallel_for(int64_t n, double nanoseconds, Range range,
                  int64_t most_threads = std::numeric_limits<int>::max()) {
  if (n <= 0) return;
  const double all = static_cast<double>(n) * nanoseconds;
  const auto worth = static_cast<int64_t>(std::min(all / kWorthThread, 1e6));
  const int64_t threads =
      worth > 1 && n > 1 ? std::min<int64_t>({worth, n, thread_count(), most_threads}) : 1;
  if (threads <= 1) {
    range(int64_t{0}, n, 0);
    return;
  }
  const auto tasks =
      std::min<int64_t>({n, threads * kTasksPerThread, static_cast<int64_t>(all / kWorthTask)});
  struct Context {
    Range& range;
    int64_t n, tasks;
  } context{range, n, tasks};
  run_tasks(
      static_cast<int>(threads), static_cast<int>(tasks),
      [](void* opaque, int task, int worker) {
        auto& c = *static_cast<Context*>(opaque);
        c.range(c.n * task / c.tasks, c.n * (task + 1) / c.tasks, worker);
      },
      &context);
}

}  // namespace pymim::cpu
