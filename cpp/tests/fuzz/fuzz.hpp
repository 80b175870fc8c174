// Random calls of public ops, valid and invalid, from several threads at once. Each call must
// either answer consistently or throw std::invalid_argument; the sanitizers watch the rest. What a
// view claims to point at is really there, byte for byte, so whatever touches more is caught.
#pragma once

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "../expect.hpp"
#include "pymim/check.hpp"
#include "pymim/random.hpp"

namespace pymim::fuzz {

// A stream of random choices: a pure function of its seed.
class Random {
 public:
  explicit Random(uint64_t seed) : seed_(seed) {}

  uint32_t word() { return random_words({seed_, 0, 0}, 0, next_++).x; }
  bool chance(double share) { return unit(word()) < static_cast<float>(share); }
  // Uniform on [low, high].
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(below(word(), static_cast<uint32_t>(high - low + 1)));
  }
  double real(double low, double high) {
    return low + (high - low) * static_cast<double>(unit(word()));
  }
  template <class T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[between(0, static_cast<int64_t>(values.size()) - 1)];
  }
  // Mostly `likely`; sometimes a number that no op should take for granted.
  int64_t count(int64_t likely) {
    return chance(0.97) ? likely : pick<int64_t>({-1, 0, likely - 1, likely + 1});
  }
  // Mostly `likely`; sometimes a number that no parameter should be.
  double parameter(double likely) {
    const double infinity = std::numeric_limits<double>::infinity();
    return chance(0.97) ? likely
                        : pick({0., -1., -likely, 1e30, infinity, -infinity, infinity - infinity});
  }

 private:
  uint64_t seed_;
  uint32_t next_ = 0;
};

// Owns what the views of one call point at, each array in an allocation of exactly its size.
class Arrays {
 public:
  explicit Arrays(Random& random) : random_(random) {}

  // A view of about this shape: now and then an axis is off by one, or the device is another. Its
  // memory is filled with `fill(i)`.
  template <class T, size_t Rank, class Fill>
  View<T, Rank> view(std::array<int64_t, Rank> shape, Fill fill) {
    if (random_.chance(0.02))
      shape[static_cast<size_t>(random_.between(0, Rank - 1))] += random_.pick({-1, 1});
    for (int64_t& extent : shape) extent = extent < 0 ? 0 : extent;
    View<T, Rank> result(nullptr, shape, {random_.chance(0.005) ? Device::cuda : Device::cpu, 0});
    using Plain = std::remove_const_t<T>;
    const auto size = static_cast<size_t>(result.size());
    // Not null where empty: present.
    auto* data = static_cast<Plain*>(std::malloc(size * sizeof(T)));
    for (size_t i = 0; i < size; ++i) data[i] = fill(static_cast<int64_t>(i));
    kept_.emplace_back(data);
    result.data = data;
    return result;
  }

  // For outputs and scratch: any bytes.
  template <class T, size_t Rank>
  View<T, Rank> out(std::array<int64_t, Rank> shape) {
    T garbage;
    std::memset(&garbage, std::is_same_v<T, bool> ? 1 : 0xa5, sizeof garbage);
    return view<T, Rank>(shape, [garbage](int64_t) { return garbage; });
  }

  // Floats, now and then one that is not finite.
  template <class T, size_t Rank>
  View<const T, Rank> numbers(std::array<int64_t, Rank> shape, double low, double high) {
    const bool poisoned = random_.chance(0.03);
    return view<T, Rank>(shape, [this, low, high, poisoned](int64_t) {
      const T infinity = std::numeric_limits<T>::infinity();
      if (poisoned && random_.chance(0.1))
        return random_.pick({infinity, -infinity, infinity - infinity});
      return static_cast<T>(random_.real(low, high));
    });
  }

 private:
  struct Free {
    void operator()(void* data) const { std::free(data); }
  };
  Random& random_;
  std::vector<std::unique_ptr<void, Free>> kept_;
};

// Ascending ids below n.
inline bool ascending(const int64_t* ids, int64_t count, int64_t n) {
  for (int64_t i = 0; i < count; ++i)
    if (ids[i] < 0 || ids[i] >= n || (i && ids[i] <= ids[i - 1])) return false;
  return true;
}

struct Trial {
  const char* name;
  void (*call)(Random&);
};

struct Tally {
  std::atomic<int> answered{0}, refused{0};
};

inline void attempt(const Trial& trial, uint64_t seed, Tally& tally) {
  Random random(seed);
  try {
    trial.call(random);
    ++tally.answered;
  } catch (const std::invalid_argument& error) {
    EXPECT(std::strchr(error.what(), ':'));  // function: argument: ...
    ++tally.refused;
  } catch (const std::exception& error) {
    std::printf("%s, seed %llu: %s\n", trial.name, static_cast<unsigned long long>(seed),
                error.what());
    ++failures;
  }
}

// Usage: fuzz_<stem> [calls an op [seed of the one call to repeat]]
inline int run(int count, char** arguments, std::initializer_list<Trial> trials) {
  const uint64_t calls = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 10000;
  constexpr uint64_t kThreads = 3;
  for (const Trial& trial : trials) {
    Tally tally;
    if (count > 2) {
      attempt(trial, std::strtoull(arguments[2], nullptr, 10), tally);
      continue;
    }
    std::vector<std::thread> threads;
    for (uint64_t thread = 0; thread < kThreads; ++thread)
      threads.emplace_back([&, thread] {
        for (uint64_t seed = thread; seed < calls; seed += kThreads) attempt(trial, seed, tally);
      });
    for (std::thread& thread : threads) thread.join();
    std::printf("%s: %d answered, %d refused\n", trial.name, tally.answered.load(),
                tally.refused.load());
    EXPECT(tally.answered * 4 > static_cast<int>(calls) && tally.refused > 0);
  }
  return failures;
}

}  // namespace pymim::fuzz
