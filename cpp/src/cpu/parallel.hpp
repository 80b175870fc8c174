// Threads over independent ranges, on the pool the process already has.
#pragma once

#include <cstdint>

namespace pymim::cpu {

// How many threads a parallel_for may use: torch's number inside a torch process, else the cores.
int thread_count();

// Calls body(context, worker) for worker = 0..workers-1 and returns when all are done.
void run_workers(int workers, void (*body)(void*, int), void* context);

// Splits [0, n) into contiguous ranges of at least `grain` and calls range(begin, end) on each. An op must not
// let its answer depend on where the splits fall.
template <class Range>
void parallel_for(int64_t n, int64_t grain, Range range) {
  if (n <= 0) return;
  const int64_t most = (n + grain - 1) / grain;
  const int64_t threads = most > 1 ? thread_count() : 1;
  const int64_t workers = threads < most ? threads : most;
  if (workers <= 1) {
    range(int64_t{0}, n);
    return;
  }
  struct Context {
    Range& range;
    int64_t n, workers;
  } context{range, n, workers};
  run_workers(
      static_cast<int>(workers),
      [](void* opaque, int worker) {
        auto& c = *static_cast<Context*>(opaque);
        c.range(c.n * worker / c.workers, c.n * (worker + 1) / c.workers);
      },
      &context);
}

}  // namespace pymim::cpu
