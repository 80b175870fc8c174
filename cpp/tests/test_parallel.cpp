// Every index is visited once, whatever the split; calls from several threads do not mix; and
// nobody waits for a thread that has not begun.
#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "cpu/parallel.hpp"
#include "cpu/pool.hpp"
#include "expect.hpp"

namespace {

using pymim::cpu::Pool;

bool visits_each_once(int64_t n, double nanoseconds) {
  std::vector<int> visits(static_cast<size_t>(n), 0);
  pymim::cpu::parallel_for(n, nanoseconds, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
  });
  for (int count : visits)
    if (count != 1) return false;
  return true;
}

void test_every_index_is_visited_once() {
  for (int64_t n : {0, 1, 2, 7, 1000})
    for (double nanoseconds : {0., 1e3, 1e5, 1e12}) EXPECT(visits_each_once(n, nanoseconds));
}

void test_callers_do_not_mix() {
  std::vector<std::thread> callers;
  std::vector<char> right(4, 1);
  for (size_t caller = 0; caller < right.size(); ++caller)
    callers.emplace_back([&right, caller] {
      for (int repeat = 0; repeat < 200; ++repeat)
        if (!visits_each_once(97, 1e5)) right[caller] = 0;
    });
  for (std::thread& caller : callers) caller.join();
  for (char ok : right) EXPECT(ok);
}

void test_little_work_stays_with_the_caller() {
  const auto home = std::this_thread::get_id();
  pymim::cpu::parallel_for(100, 100., [&](int64_t begin, int64_t end, int worker) {
    EXPECT(begin == 0 && end == 100 && worker == 0 && std::this_thread::get_id() == home);
  });
}

// Who did what of one job.
struct Log {
  std::vector<int> visits, workers;
  std::atomic<bool> helped{false};

  explicit Log(int tasks) : visits(static_cast<size_t>(tasks)), workers(visits.size()) {}
  static void note(void* opaque, int task, int worker) {
    auto& log = *static_cast<Log*>(opaque);
    ++log.visits[static_cast<size_t>(task)];
    log.workers[static_cast<size_t>(task)] = worker;
  }
  bool each_once() const { return std::set<int>(visits.begin(), visits.end()) == std::set<int>{1}; }
  std::set<int> who() const { return {workers.begin(), workers.end()}; }
};

// Threads that never run, and threads that are not to be had.
void test_the_caller_finishes_alone() {
  for (bool begun : {true, false}) {
    Pool pool(begun ? [](Pool&) { return true; } : [](Pool&) { return false; });
    for (int repeat = 0; repeat < 3; ++repeat) {
      Log log(50);
      EXPECT(pool.run(4, 50, Log::note, &log));
      EXPECT(log.each_once() && log.who() == std::set<int>{0});
    }
  }
}

// A thread that wakes only after its job is done finds nothing of it, and serves the next one. The
// pool outlives the test, as its thread does.
void test_a_late_thread_misses_its_job_and_serves_another() {
  static std::atomic<bool> awake{false};
  static Pool& pool = *new Pool([](Pool& mine) {
    std::thread([&mine] {
      while (!awake) std::this_thread::yield();
      mine.serve();
    }).detach();
    return true;
  });
  Log missed(50);
  EXPECT(pool.run(2, 50, Log::note, &missed));
  EXPECT(missed.each_once() && missed.who() == std::set<int>{0});
  awake = true;
  // The caller's task of this job lasts until the helper has done one.
  const auto together = [](void* opaque, int task, int worker) {
    auto& log = *static_cast<Log*>(opaque);
    Log::note(opaque, task, worker);
    if (worker > 0) log.helped = true;
    while (!log.helped) std::this_thread::yield();
  };
  Log shared(2);
  EXPECT(pool.run(2, 2, together, &shared));
  EXPECT(shared.each_once() && shared.who().count(1) == 1);
}

// While one caller's threads are stuck, another does its own work.
void test_a_second_caller_does_not_wait_for_the_first() {
  static std::atomic<bool> begun{false}, released{false};
  Pool pool([](Pool&) { return true; });
  std::thread first([&pool] {
    pool.run(
        2, 1,
        [](void*, int, int) {
          begun = true;
          while (!released) std::this_thread::yield();
        },
        nullptr);
  });
  while (!begun) std::this_thread::yield();
  Log log(3);
  EXPECT(!pool.run(2, 3, Log::note, &log));
  released = true;
  first.join();
  EXPECT(pool.run(2, 3, Log::note, &log));
  EXPECT(log.each_once());
}

}  // namespace

int main() {
  test_every_index_is_visited_once();
  test_callers_do_not_mix();
  test_little_work_stays_with_the_caller();
  test_the_caller_finishes_alone();
  test_a_late_thread_misses_its_job_and_serves_another();
  test_a_second_caller_does_not_wait_for_the_first();
  return failures;
}
