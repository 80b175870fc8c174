// Two thread pools that spin against each other on the same cores lose all that either won. So inside a torch
// process the core runs its ranges on torch's own OpenMP pool, found by name at run time: nothing is linked,
// and whichever OpenMP torch was built with serves. Elsewhere a small pool of our own sleeps between calls.
#include "parallel.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace pymim::cpu {
namespace {

thread_local bool inside_worker = false;

// Tasks that threads take one by one, by a counter: a pool may give fewer threads than were asked for.
struct Job {
  void (*body)(void*, int);
  void* context;
  int tasks;
  std::atomic<int> next{0};

  void work() {
    inside_worker = true;
    for (int task; (task = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) body(context, task);
    inside_worker = false;
  }
};

// The two entry points of the OpenMP that libtorch_cpu links, or nulls where there is no torch.
struct TorchPool {
  void (*parallel)(void (*)(void*), void*, unsigned, unsigned) = nullptr;
  int (*max_threads)() = nullptr;

  TorchPool() {
    void* torch = dlopen("libtorch_cpu.so", RTLD_NOLOAD | RTLD_LAZY);
    if (!torch) return;
    parallel = reinterpret_cast<decltype(parallel)>(dlsym(torch, "GOMP_parallel"));
    max_threads = reinterpret_cast<decltype(max_threads)>(dlsym(torch, "omp_get_max_threads"));
  }
  bool present() const { return parallel && max_threads; }

  void run(int threads, Job& job) const {
    parallel([](void* opaque) { static_cast<Job*>(opaque)->work(); }, &job, static_cast<unsigned>(threads), 0);
  }
};

class OwnPool {
 public:
  ~OwnPool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void run(int threads, Job& job) {
    std::lock_guard<std::mutex> one_at_a_time(entry_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (static_cast<int>(threads_.size()) < threads - 1)
        threads_.emplace_back([this, id = static_cast<int>(threads_.size()) + 1] { serve(id); });
      job_ = &job;
      wanted_ = threads;
      pending_ = threads - 1;
      ++generation_;
    }
    wake_.notify_all();
    job.work();
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return pending_ == 0; });
  }

 private:
  void serve(int id) {
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return stopping_ || generation_ != seen; });
      if (stopping_) return;
      seen = generation_;
      if (id >= wanted_) continue;
      Job& job = *job_;
      lock.unlock();
      job.work();
      lock.lock();
      if (--pending_ == 0) done_.notify_one();
    }
  }

  std::mutex entry_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> threads_;
  Job* job_ = nullptr;
  uint64_t generation_ = 0;
  int wanted_ = 0, pending_ = 0;
  bool stopping_ = false;
};

const TorchPool& torch_pool() {
  static const TorchPool pool;
  return pool;
}

OwnPool& own_pool() {
  static OwnPool pool;
  return pool;
}

// Threads do not survive a fork, so a forked child works alone.
bool forked() {
  static const pid_t home = getpid();
  return getpid() != home;
}

}  // namespace

int thread_count() {
  if (inside_worker || forked()) return 1;
  if (torch_pool().present()) return torch_pool().max_threads();
  static const int cores = static_cast<int>(std::thread::hardware_concurrency());
  return cores > 0 ? cores : 1;
}

void run_tasks(int threads, int tasks, void (*body)(void*, int), void* context) {
  Job job{body, context, tasks};
  if (torch_pool().present())
    torch_pool().run(threads, job);
  else
    own_pool().run(threads, job);
}

}  // namespace pymim::cpu
