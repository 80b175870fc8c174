// Every argument of the mask policies is checked here, once; then cpu or cuda.
#include "mask.hpp"

#include "dispatch.hpp"

namespace pymim {
namespace {

void check_mask(const char* function, const View<const int64_t, 1>& index, const Draw& draw, const Mask& out) {
  const int64_t b = index[0], v = out.visible[1], m = out.hidden[1];
  check_shape(function, "out.visible", out.visible, {b, v}, "[B V]");
  check_shape(function, "out.hidden", out.hidden, {b, m}, "[B M]");
  check_shape(function, "out.boolean", out.boolean, {b, v + m}, "[B V+M]");
  check_device(function, index, out.visible, out.hidden, out.boolean);
  check(v + m < int64_t{1} << 31, function, ": N: expected fewer than 2^31 patches, got ", v + m,
        "; use a coarser grid");
  check(draw.step < uint64_t{1} << 48, function, ": step: expected below 2^48, got ", draw.step);
  check(draw.view < 256, function, ": view: expected below 256, got ", draw.view);
}

}  // namespace

void uniform_mask(View<const int64_t, 1> index, Draw draw, View<uint32_t, 2> keys, Mask out, Stream stream) {
  check_mask("uniform_mask", index, draw, out);
  check_shape("uniform_mask", "keys", keys, out.boolean.shape, "[B N]");
  PYMIM_RUN(uniform_mask, index, index, draw, keys, out, stream);
}

}  // namespace pymim
