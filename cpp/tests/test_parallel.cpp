// Every index is visited once, whatever the split, and calls from several threads do not mix.
#include <thread>
#include <vector>

#include "cpu/parallel.hpp"
#include "expect.hpp"

namespace {

bool visits_each_once(int64_t n, int64_t grain) {
  std::vector<int> visits(static_cast<size_t>(n), 0);
  pymim::cpu::parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
  });
  for (int count : visits)
    if (count != 1) return false;
  return true;
}

}  // namespace

int main() {
  for (int64_t n : {0, 1, 2, 7, 1000})
    for (int64_t grain : {1, 3, 2000}) EXPECT(visits_each_once(n, grain));
  std::vector<std::thread> callers;
  std::vector<char> right(4, 1);
  for (size_t caller = 0; caller < right.size(); ++caller)
    callers.emplace_back([&right, caller] {
      for (int repeat = 0; repeat < 200; ++repeat)
        if (!visits_each_once(97, 1)) right[caller] = 0;
    });
  for (std::thread& caller : callers) caller.join();
  for (char ok : right) EXPECT(ok);
  return failures;
}
