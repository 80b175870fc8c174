// One way to refuse bad input: `function: argument: expected ..., got ...; remedy`.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

#include "pymim/view.hpp"

namespace pymim {

// Throws std::invalid_argument (ValueError in Python) made of `parts` unless `ok`.
template <class... Parts>
void check(bool ok, const Parts&... parts) {
  if (ok) return;
  std::ostringstream message;
  (message << ... << parts);
  throw std::invalid_argument(message.str());
}

template <class T, size_t Rank>
std::string shape_text(const View<T, Rank>& view) {
  std::ostringstream text;
  text << '[';
  for (size_t axis = 0; axis < Rank; ++axis) text << (axis ? " " : "") << view[axis];
  text << ']';
  return text.str();
}

// `expected` has -1 where any extent will do.
template <class T, size_t Rank>
void check_shape(const char* function, const char* name, const View<T, Rank>& view,
                 std::array<int64_t, Rank> expected, const char* meaning) {
  bool ok = true;
  for (size_t axis = 0; axis < Rank; ++axis)
    ok = ok && (expected[axis] < 0 || view.shape[axis] == expected[axis]);
  if (ok) return;
  const View<T, Rank> wanted(nullptr, expected);
  check(false, function, ": ", name, ": expected ", meaning, " = ", shape_text(wanted), ", got ",
        shape_text(view), "; pass an array of that shape");
}

// All views of one call live on one device.
template <class First, class... Rest>
void check_device(const char* function, const First& first, const Rest&... rest) {
  check(
      ((!rest.present() || rest.device == first.device) && ...), function,
      ": arguments: expected all on one device, got several; move them to the device of the first");
}

}  // namespace pymim
