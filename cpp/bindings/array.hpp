// DLPack -> View: any array library's array becomes a pointer and sizes, checked against the type
// the op wants. The structures are those of the DLPack specification: version 0.8, which every
// library still exports, and the table of functions of 1.2, which some have and which takes a
// fiftieth of the time of a call to __dlpack__.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "pymim/check.hpp"

namespace pymim::bindings {

namespace py = pybind11;

namespace dlpack {

enum DeviceType : int32_t { kCpu = 1, kCuda = 2, kCudaHost = 3 };
enum TypeCode : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kBool = 6 };

struct Tensor {
  void* data;
  struct {
    int32_t type, id;
  } device;
  int32_t ndim;
  struct Type {
    uint8_t code, bits;
    uint16_t lanes;
  } dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};

struct ManagedTensor {
  Tensor tensor;
  void* manager;
  void (*deleter)(ManagedTensor*);
};

struct ExchangeApi {
  struct {
    uint32_t major, minor;
  } version;
  ExchangeApi* previous;
  void *allocate, *managed_from_object, *managed_to_object;
  int (*tensor_from_object)(void* object, Tensor* out);  // null where the library cannot
};

// The table of the library that `object` comes from, or null.
inline const ExchangeApi* exchange_api(py::handle object) {
  const py::object capsule =
      py::getattr(py::type::of(object), "__dlpack_c_exchange_api__", py::none());
  if (capsule.is_none()) return nullptr;
  const void* pointer = PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api");
  if (!pointer) throw py::error_already_set();
  const auto* api = static_cast<const ExchangeApi*>(pointer);
  while (api && api->version.major > 1) api = api->previous;
  return api && api->version.major == 1 && api->tensor_from_object ? api : nullptr;
}

template <class T>
constexpr Tensor::Type type_of() {
  using Plain = std::remove_const_t<T>;
  constexpr uint8_t bits = sizeof(Plain) * 8;
  if constexpr (std::is_same_v<Plain, bool>) return {kBool, bits, 1};
  if constexpr (std::is_same_v<Plain, bfloat16>) return {kBfloat, bits, 1};
  if constexpr (std::is_floating_point_v<Plain> || std::is_same_v<Plain, float16>)
    return {kFloat, bits, 1};
  return {std::is_signed_v<Plain> ? kInt : kUInt, bits, 1};
}

inline std::string name(Tensor::Type type) {
  if (type.code == kBool) return "bool";
  const char* kind = type.code == kInt      ? "int"
                     : type.code == kUInt   ? "uint"
                     : type.code == kFloat  ? "float"
                     : type.code == kBfloat ? "bfloat"
                                            : "type";
  return kind + std::to_string(type.bits);
}

}  // namespace dlpack

// One array argument: keeps the exporter's capsule, where there is one, for as long as its views
// are in use.
class Array {
 public:
  Array(py::handle object, const char* function, const char* argument)
      : function_(function), argument_(argument) {
    if (const dlpack::ExchangeApi* api = dlpack::exchange_api(object)) {
      if (api->tensor_from_object(object.ptr(), &tensor_) != 0) throw py::error_already_set();
    } else {
      tensor_ = exported(object);
    }
  }

  template <class T>
  bool is() const {
    constexpr auto wanted = dlpack::type_of<T>();
    const auto& got = tensor_.dtype;
    return got.code == wanted.code && got.bits == wanted.bits && got.lanes == 1;
  }

  [[noreturn]] void refuse_dtype(const std::string& expected) const {
    throw py::type_error(where() + "expected dtype " + expected + ", got " +
                         dlpack::name(tensor_.dtype) + "; convert it first");
  }

  template <class T, size_t Rank>
  View<T, Rank> view() const {
    if (!is<T>()) refuse_dtype(dlpack::name(dlpack::type_of<T>()));
    check(static_cast<size_t>(tensor_.ndim) == Rank, where(), "expected ", Rank, " axes, got ",
          tensor_.ndim, "; reshape it");
    check(contiguous(), where(),
          "expected a contiguous array, got strides; call .contiguous() on it");
    View<T, Rank> result;
    result.data = reinterpret_cast<T*>(static_cast<char*>(tensor_.data) + tensor_.byte_offset);
    for (size_t axis = 0; axis < Rank; ++axis) result.shape[axis] = tensor_.shape[axis];
    result.device = device();
    return result;
  }

 private:
  dlpack::Tensor exported(py::handle object) {
    if (!py::hasattr(object, "__dlpack__"))
      throw py::type_error(where() + "expected a torch tensor or numpy array, got " +
                           std::string(py::str(py::type::of(object))) + "; convert it first");
    // -1: the stream is passed to the op itself, so nothing has to be synchronised here.
    const bool cuda =
        py::cast<py::tuple>(object.attr("__dlpack_device__")())[0].cast<int>() == dlpack::kCuda;
    capsule_ =
        cuda ? object.attr("__dlpack__")(py::arg("stream") = -1) : object.attr("__dlpack__")();
    const void* managed = PyCapsule_GetPointer(capsule_.ptr(), "dltensor");
    if (!managed) throw py::error_already_set();
    return static_cast<const dlpack::ManagedTensor*>(managed)->tensor;
  }

  std::string where() const { return std::string(function_) + ": " + argument_ + ": "; }

  bool contiguous() const {
    if (!tensor_.strides) return true;
    int64_t expected = 1;
    for (int axis = tensor_.ndim - 1; axis >= 0; --axis) {
      if (tensor_.shape[axis] == 0) return true;
      if (tensor_.shape[axis] != 1 && tensor_.strides[axis] != expected) return false;
      expected *= tensor_.shape[axis];
    }
    return true;
  }

  Device device() const {
    const auto& from = tensor_.device;
    check(from.type == dlpack::kCpu || from.type == dlpack::kCuda || from.type == dlpack::kCudaHost,
          where(), "expected a CPU or CUDA array, got DLPack device type ", from.type,
          "; move it first");
    return {from.type == dlpack::kCuda ? Device::cuda : Device::cpu, from.id};
  }

  const char *function_, *argument_;
  py::object capsule_;
  dlpack::Tensor tensor_{};
};

// The array `object`, or an absent view where it is None.
template <class T, size_t Rank>
View<T, Rank> optional_view(py::handle object, const char* function, const char* argument) {
  return object.is_none() ? View<T, Rank>() : Array(object, function, argument).view<T, Rank>();
}

// The exporter's own reference keeps the memory alive for the length of the call.
template <class T, size_t Rank>
View<T, Rank> view(py::handle object, const char* function, const char* argument) {
  return Array(object, function, argument).view<T, Rank>();
}

inline Stream stream(uintptr_t handle) { return {reinterpret_cast<void*>(handle)}; }

}  // namespace pymim::bindings
