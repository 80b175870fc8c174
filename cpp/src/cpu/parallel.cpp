// The pool of this process, and how many threads it may have.
#include "parallel.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <system_error>
#include <thread>

#include "pool.hpp"

namespace pymim::cpu {
namespace {

bool begin_thread(Pool& pool) {
  try {
    std::thread([&pool] { pool.serve(); }).detach();
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

// Never destroyed: its threads sleep until the process ends.
Pool& pool() {
  static Pool& only = *new Pool(begin_thread);
  return only;
}

// The number of threads of the OpenMP that libtorch_cpu links, found by name: nothing is linked.
// Null without torch.
int (*torch_threads())() {
  void* torch = dlopen("libtorch_cpu.so", RTLD_NOLOAD | RTLD_LAZY);
  return torch ? reinterpret_cast<int (*)()>(dlsym(torch, "omp_get_max_threads")) : nullptr;
}

// Threads do not survive a fork, so a forked child works alone.
bool forked() {
  static const pid_t home = getpid();
  return getpid() != home;
}

}  // namespace

int thread_count() {
  if (Pool::inside_task() || forked()) return 1;
  static int (*const of_torch)() = torch_threads();
  if (of_torch) return of_torch();
  static const int cores = static_cast<int>(std::thread::hardware_concurrency());
  return cores > 0 ? cores : 1;
}

void run_tasks(int threads, int tasks, Pool::Body body, void* context) {
  if (threads > 1 && pool().run(threads, tasks, body, context)) return;
  for (int task = 0; task < tasks; ++task) body(context, task, 0);
}

}  // namespace pymim::cpu
