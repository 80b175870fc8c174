// Cuts a caller's scratch into aligned arrays; starting from nothing it only counts the bytes.
#pragma once

#include <cstdint>

namespace pymim {
namespace {  // so that each instruction set keeps its own copy

class Arena {
 public:
  explicit Arena(uint8_t* base) : base_(base) {}

  template <class T>
  T* take(int64_t count) {
    const auto here = reinterpret_cast<uintptr_t>(base_) + static_cast<uintptr_t>(used_);
    const auto start = (here + kAlign - 1) / kAlign * kAlign;
    used_ = static_cast<int64_t>(start - reinterpret_cast<uintptr_t>(base_)) +
            count * int64_t{sizeof(T)};
    return reinterpret_cast<T*>(start);
  }

  int64_t bytes() const { return used_ + int64_t{kAlign}; }  // wherever the scratch starts

 private:
  static constexpr uintptr_t kAlign = 64;
  uint8_t* base_;
  int64_t used_ = 0;
};

}  // namespace
}  // namespace pymim
