// Every argument of the ranking ops is checked here, once; then cpu or cuda.
#include "rank.hpp"

#include <cmath>

#include "dispatch.hpp"

namespace pymim {
namespace {

// On a GPU looking would cost a synchronisation; there a value that is not finite shows in the
// answer.
template <class T>
void check_finite(const char* function, const char* name, const View<const T, 2>& view) {
  if (view.device.kind != Device::cpu) return;
  bool finite = true;
  for (int64_t i = 0; i < view.size(); ++i)
    finite &= std::abs(view.data[i]) <= std::numeric_limits<T>::max();
  check(finite, function, ": ", name,
        ": expected finite numbers, got NaN or infinity; see what made them");
}

template <class T>
void check_optional(const char* function, const char* name, const View<T, 2>& view,
                    std::array<int64_t, 2> shape) {
  if (view.present()) check_shape(function, name, view, shape, "[B M]");
}

}  // namespace

template <class T>
void relative_loss(View<const T, 2> scores, View<const T, 2> losses, View<const T, 2> weights,
                   double epsilon, View<T, 2> scratch, PairSums<T> out, Stream stream) {
  const char* function = "relative_loss";
  const auto shape = scores.shape;
  check_shape(function, "losses", losses, shape, "[B M] of the scores");
  check_optional(function, "weights", weights, shape);
  check_optional(function, "out.sums", out.sums, shape);
  check_optional(function, "out.pairs", out.pairs, shape);
  check_optional(function, "out.gradient", out.gradient, shape);
  check_shape(function, "scratch", scratch, {shape[0], relative_loss_scratch(shape[1])},
              "[B 2M+1]");
  check_device(function, scores, losses, weights, scratch, out.sums, out.pairs, out.gradient);
  check(epsilon == 0 || (epsilon >= 1e-12 && epsilon < 1), function,
        ": epsilon: expected 0 or 1e-12 to below 1, got ", epsilon,
        "; 0 is the stable form, 1e-6 the released one");
  check_finite(function, "scores", scores);
  check_finite(function, "losses", losses);
  PYMIM_RUN(relative_loss, scores, scores, losses, weights, epsilon, scratch, out, stream);
}

template <class T>
void rank(View<const T, 2> scores, bool descending, View<int64_t, 2> scratch, Order out,
          Stream stream) {
  const auto [b, m] = scores.shape;
  if (out.ids.present()) {
    check_shape("rank", "out.ids", out.ids, {b, -1}, "[B K]");
    check(out.ids[1] <= m, "rank", ": k: expected 0 to ", m, " (patches), got ", out.ids[1],
          "; ask for fewer");
  }
  check_optional("rank", "out.ranks", out.ranks, scores.shape);
  check_shape("rank", "scratch", scratch, {b, rank_scratch<T>(m)}, "[B rank_scratch]");
  check_device("rank", scores, scratch, out.ids, out.ranks);
  check(m < int64_t{1} << 31, "rank: M: expected fewer than 2^31 patches, got ", m,
        "; use a coarser grid");
  check_finite("rank", "scores", scores);
  PYMIM_RUN(rank, scores, scores, descending, scratch, out, stream);
}

PYMIM_RANK_FOR_ALL

}  // namespace pymim
