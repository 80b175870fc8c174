// View: a pointer and its sizes. The core owns no memory, so every argument of every op is one of
// these.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#if defined(__CUDACC__)
#define PYMIM_HOST_DEVICE __host__ __device__
#else
#define PYMIM_HOST_DEVICE
#endif

namespace pymim {

// Storage formats only: kernels read them as they are and compute in float.
struct bfloat16 {
  uint16_t bits;
};
struct float16 {
  uint16_t bits;
};

struct Device {
  enum Kind : uint8_t { cpu, cuda };
  Kind kind = cpu;
  int index = 0;

  friend bool operator==(Device a, Device b) { return a.kind == b.kind && a.index == b.index; }
  friend bool operator!=(Device a, Device b) { return !(a == b); }
};

// A cudaStream_t, opaque here so that a reader of the core needs no CUDA header. Ignored on the
// CPU.
struct Stream {
  void* handle = nullptr;
};

// A dense row-major array of `Rank` axes.
template <class T, size_t Rank>
struct View {
  T* data = nullptr;
  std::array<int64_t, Rank> shape{};
  Device device{};

  View() = default;
  View(T* data, std::array<int64_t, Rank> shape, Device device = {})
      : data(data), shape(shape), device(device) {}

  // A view that may be written is also one that may be read.
  template <class U, class = std::enable_if_t<std::is_same_v<const U, T> && !std::is_same_v<U, T>>>
  View(const View<U, Rank>& other) : data(other.data), shape(other.shape), device(other.device) {}

  PYMIM_HOST_DEVICE int64_t operator[](size_t axis) const { return shape[axis]; }
  int64_t size() const {
    int64_t product = 1;
    for (int64_t extent : shape) product *= extent;
    return product;
  }
  bool present() const { return data != nullptr; }  // optional arguments are views without data
};

}  // namespace pymim
