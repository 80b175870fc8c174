#include "pymim/rank.hpp"

#include "array.hpp"

namespace {

using namespace pymim;
using namespace pymim::bindings;

template <class T>
void run_relative_loss(py::handle scores, py::handle losses, py::handle weights, double epsilon,
                       py::handle scratch, py::handle sums, py::handle pairs, py::handle gradient,
                       uintptr_t on) {
  const char* function = "relative_loss";
  const auto scores_view = view<const T, 2>(scores, function, "scores");
  const auto losses_view = view<const T, 2>(losses, function, "losses");
  const auto weights_view = optional_view<const T, 2>(weights, function, "weights");
  const auto scratch_view = view<T, 2>(scratch, function, "scratch");
  const PairSums<T> out{optional_view<T, 2>(sums, function, "sums"),
                        optional_view<int64_t, 2>(pairs, function, "pairs"),
                        optional_view<T, 2>(gradient, function, "gradient")};
  py::gil_scoped_release released;
  pymim::relative_loss(scores_view, losses_view, weights_view, epsilon, scratch_view, out,
                       stream(on));
}

template <class T>
void run_rank(py::handle scores, bool descending, py::handle scratch, py::handle ids,
              py::handle ranks, uintptr_t on) {
  const auto scores_view = view<const T, 2>(scores, "rank", "scores");
  const auto scratch_view = view<int64_t, 2>(scratch, "rank", "scratch");
  const Order out{optional_view<int64_t, 2>(ids, "rank", "ids"),
                  optional_view<int64_t, 2>(ranks, "rank", "ranks")};
  py::gil_scoped_release released;
  pymim::rank(scores_view, descending, scratch_view, out, stream(on));
}

}  // namespace

void bind_rank(py::module_ module) {
  module.def("relative_loss", [](py::handle scores, py::handle losses, py::handle weights,
                                 double epsilon, py::handle scratch, py::handle sums,
                                 py::handle pairs, py::handle gradient, uintptr_t on) {
    const bool wide = Array(scores, "relative_loss", "scores").is<double>();
    const auto run = wide ? run_relative_loss<double> : run_relative_loss<float>;
    run(scores, losses, weights, epsilon, scratch, sums, pairs, gradient, on);
  });
  module.def("rank", [](py::handle scores, bool descending, py::handle scratch, py::handle ids,
                        py::handle ranks, uintptr_t on) {
    const bool wide = Array(scores, "rank", "scores").is<double>();
    const auto run = wide ? run_rank<double> : run_rank<float>;
    run(scores, descending, scratch, ids, ranks, on);
  });
  module.def("relative_loss_scratch", &relative_loss_scratch);
  module.def("rank_scratch", [](int64_t m, bool wide) {
    return wide ? rank_scratch<double>(m) : rank_scratch<float>(m);
  });
}
