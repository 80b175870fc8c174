// A pool whose threads claim tasks one by one from a counter. One that wakes late, or never, leaves
// them to the others: the caller waits only for tasks that somebody is at. Threads that must all
// arrive, as OpenMP's, cost a scheduler's quantum where the cores are busy, and threads that spin
// for work take from torch's what they gain: these sleep.
//
// Where no core is idle a thread often wakes on the core of the caller who woke it. To work there
// would only push the caller off it, behind whoever else waits for that core; so it moves to
// another, or goes back to sleep.
#pragma once

#if defined(__linux__)
#include <sched.h>
#endif

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace pymim::cpu {

class Pool {
 public:
  using Body = void (*)(void* context, int task, int worker);

  // `begin` starts a thread that calls pool.serve(), or returns false where no more are to be had.
  explicit Pool(bool (*begin)(Pool&)) : begin_(begin) {}

  // As run_tasks. False where another caller has the pool: nothing was done then.
  bool run(int threads, int tasks, Body body, void* context) {
    const std::unique_lock<std::mutex> mine(entry_, std::try_to_lock);
    if (!mine.owns_lock()) return false;
    while (begun_ < threads - 1 && begin_(*this)) ++begun_;
    const uint32_t job = publish(threads, tasks, body, context);
    for (int helper = 1; helper < threads; ++helper) wake_.notify_one();
    work(job, 0);
    const auto done = [&] { return done_.load(std::memory_order_acquire) == tasks; };
    if (!spin_until(done)) {
      std::unique_lock<std::mutex> lock(mutex_);
      finished_.wait(lock, done);
    }
    return true;
  }

  // What a thread of the pool does for ever.
  void serve() {
    uint32_t seen = 0;
    int worker = 0;
    const Cores cores = allowed_cores();
    const auto is_new = [&] { return job_of(ticket_.load(std::memory_order_acquire)) != seen; };
    for (;;) {
      if (worker > 0) spin_until(is_new);
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, is_new);
        seen = job_of(ticket_.load(std::memory_order_relaxed));
        worker = joined_ < places_ && move_away(cores, callers_core_) ? ++joined_ : 0;
      }
      if (worker > 0) work(seen, worker);
    }
  }

  // Whether this thread is at a task, of any pool.
  static bool inside_task() { return inside_task_; }

 private:
  // How long a thread looks for what will come in a moment, before it sleeps.
  static constexpr std::chrono::microseconds kPatience{20};

  // The number of the present job, and how many of its tasks nobody has begun. What else a job is
  // gets written before its number, and read after a task was claimed: from then on it cannot
  // change.
  static constexpr uint64_t ticket(uint32_t job, int left) {
    return uint64_t{job} << 32 | static_cast<uint32_t>(left);
  }
  static constexpr uint32_t job_of(uint64_t ticket) { return static_cast<uint32_t>(ticket >> 32); }
  static constexpr int left_of(uint64_t ticket) { return static_cast<int>(ticket & 0xffffffffu); }

#if defined(__linux__)
  using Cores = cpu_set_t;
  static int core() { return sched_getcpu(); }
  static Cores allowed_cores() {
    Cores cores;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0) CPU_ZERO(&cores);
    return cores;
  }
  // Whether this thread now runs on one of these cores that is not the caller's.
  static bool move_away(Cores cores, int callers) {
    if (core() != callers) return true;
    CPU_CLR(static_cast<unsigned>(callers), &cores);
    return sched_setaffinity(0, sizeof cores, &cores) == 0;
  }
#else
  struct Cores {};
  static int core() { return 0; }
  static Cores allowed_cores() { return {}; }
  static bool move_away(Cores, int) { return true; }
#endif

  template <class Done>
  static bool spin_until(Done done) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    do {
      for (int i = 0; i < 16; ++i) {
        if (done()) return true;
#if PYMIM_X86
        __builtin_ia32_pause();
#endif
      }
    } while (std::chrono::steady_clock::now() < until);
    return done();
  }

  uint32_t publish(int threads, int tasks, Body body, void* context) {
    const std::lock_guard<std::mutex> lock(mutex_);
    body_.store(body, std::memory_order_relaxed);
    context_.store(context, std::memory_order_relaxed);
    tasks_.store(tasks, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    places_ = threads - 1;
    callers_core_ = core();
    joined_ = 0;
    const uint32_t job = job_of(ticket_.load(std::memory_order_relaxed)) + 1;
    ticket_.store(ticket(job, tasks), std::memory_order_release);
    return job;
  }

  // Does tasks of this job as long as there are any that nobody has begun.
  void work(uint32_t job, int worker) {
    inside_task_ = true;
    uint64_t now = ticket_.load(std::memory_order_acquire);
    while (job_of(now) == job && left_of(now) > 0) {
      if (!ticket_.compare_exchange_weak(now, now - 1, std::memory_order_acquire)) continue;
      const int tasks = tasks_.load(std::memory_order_relaxed);
      const Body body = body_.load(std::memory_order_relaxed);
      body(context_.load(std::memory_order_relaxed), tasks - left_of(now), worker);
      const bool last = done_.fetch_add(1, std::memory_order_acq_rel) + 1 == tasks;
      if (last && worker > 0) finish();
      now = ticket_.load(std::memory_order_acquire);
    }
    inside_task_ = false;
  }

  void finish() {
    {
      const std::lock_guard<std::mutex> once_it_sleeps(mutex_);
    }
    finished_.notify_one();
  }

  static inline thread_local bool inside_task_ = false;

  bool (*begin_)(Pool&);
  std::mutex entry_, mutex_;
  std::condition_variable wake_, finished_;
  std::atomic<uint64_t> ticket_{0};
  std::atomic<Body> body_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<int> tasks_{0}, done_{0};
  int begun_ = 0;                                   // threads; the caller's
  int places_ = 0, joined_ = 0, callers_core_ = 0;  // under the mutex
};

}  // namespace pymim::cpu
