// The smallest test harness: EXPECT counts failures, and main returns the count.
#pragma once

#include <atomic>
#include <cstdio>

inline std::atomic<int> failures{0};

#define EXPECT(condition)                                                  \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::printf("%s:%d: expected %s\n", __FILE__, __LINE__, #condition); \
      ++failures;                                                          \
    }                                                                      \
  } while (false)
