#include "pymim/sinkhorn.hpp"

#include "array.hpp"

namespace {

using namespace pymim;
using namespace pymim::bindings;

// use(scores) with the scores, or features and prototypes, in the type they have.
template <class Use>
void with_scores(py::handle object, py::handle prototypes, double epsilon, const char* function,
                 Use use) {
  const Array array(object, function, "scores");
  const auto typed = [&](auto zero) {
    using T = decltype(zero);
    use(Scores<T>{array.view<const T, 3>(), epsilon,
                  optional_view<const T, 3>(prototypes, function, "prototypes")});
  };
  if (array.is<double>())
    typed(double{});
  else if (array.is<bfloat16>())
    typed(bfloat16{});
  else if (array.is<float16>())
    typed(float16{});
  else
    typed(float{});
}

template <class T>
Computed<T> computed(const Scores<T>&);

void solve(py::handle scores, py::handle prototypes, double epsilon, py::handle log_rows,
           py::handle log_columns, double row_power, double column_power, int64_t iterations,
           bool rows_first, bool rows_last, double tolerance, bool log_domain, py::handle row,
           py::handle column, py::handle plan, py::handle labels, py::handle error,
           py::handle count, py::handle scratch, uintptr_t on) {
  const char* f = "sinkhorn";
  with_scores(scores, prototypes, epsilon, f, [&](auto typed) {
    using R = decltype(computed(typed));
    const Marginals<R> marginals{view<const R, 2>(log_rows, f, "log_rows"),
                                 view<const R, 2>(log_columns, f, "log_columns"), row_power,
                                 column_power};
    const Schedule schedule{iterations, rows_first, rows_last, tolerance, log_domain};
    const Solution<R> out{{view<R, 2>(row, f, "row"), view<R, 2>(column, f, "column")},
                          optional_view<R, 3>(plan, f, "plan"),
                          optional_view<int64_t, 2>(labels, f, "labels"),
                          optional_view<R, 1>(error, f, "error"),
                          view<int64_t, 1>(count, f, "iterations")};
    const auto scratch_view = view<R, 1>(scratch, f, "scratch");
    py::gil_scoped_release released;
    sinkhorn(typed, marginals, schedule, out, scratch_view, stream(on));
  });
}

void columns(py::handle scores, py::handle prototypes, double epsilon, py::handle row,
             py::handle log_sums, py::handle scratch, uintptr_t on) {
  const char* f = "sinkhorn_columns";
  with_scores(scores, prototypes, epsilon, f, [&](auto typed) {
    using R = decltype(computed(typed));
    const auto row_view = view<const R, 2>(row, f, "row");
    const auto log_sums_view = view<R, 2>(log_sums, f, "log_sums");
    const auto scratch_view = view<R, 1>(scratch, f, "scratch");
    py::gil_scoped_release released;
    sinkhorn_columns(typed, row_view, log_sums_view, scratch_view, stream(on));
  });
}

void sweep(py::handle scores, py::handle prototypes, double epsilon, py::handle log_rows,
           double row_power, py::handle row, py::handle column, py::handle log_sums,
           py::handle scratch, uintptr_t on) {
  const char* f = "sinkhorn_sweep";
  with_scores(scores, prototypes, epsilon, f, [&](auto typed) {
    using R = decltype(computed(typed));
    const Marginals<R> marginals{view<const R, 2>(log_rows, f, "log_rows"), {}, row_power, 1};
    const Potentials<R> potentials{view<R, 2>(row, f, "row"), view<R, 2>(column, f, "column")};
    const auto log_sums_view = view<R, 2>(log_sums, f, "log_sums");
    const auto scratch_view = view<R, 1>(scratch, f, "scratch");
    py::gil_scoped_release released;
    sinkhorn_sweep(typed, marginals, potentials, log_sums_view, scratch_view, stream(on));
  });
}

void plan(py::handle scores, py::handle prototypes, double epsilon, py::handle row,
          py::handle column, py::handle out, py::handle scratch, uintptr_t on) {
  const char* f = "sinkhorn_plan";
  with_scores(scores, prototypes, epsilon, f, [&](auto typed) {
    using R = decltype(computed(typed));
    const Potentials<const R> potentials{view<const R, 2>(row, f, "row"),
                                         view<const R, 2>(column, f, "column")};
    const auto out_view = view<R, 3>(out, f, "plan");
    const auto scratch_view = view<R, 1>(scratch, f, "scratch");
    py::gil_scoped_release released;
    sinkhorn_plan(typed, potentials, out_view, scratch_view, stream(on));
  });
}

void labels(py::handle scores, py::handle prototypes, double epsilon, py::handle column,
            py::handle out, py::handle scratch, uintptr_t on) {
  const char* f = "sinkhorn_labels";
  with_scores(scores, prototypes, epsilon, f, [&](auto typed) {
    using R = decltype(computed(typed));
    const auto column_view = view<const R, 2>(column, f, "column");
    const auto out_view = view<int64_t, 2>(out, f, "labels");
    const auto scratch_view = view<R, 1>(scratch, f, "scratch");
    py::gil_scoped_release released;
    sinkhorn_labels(typed, column_view, out_view, scratch_view, stream(on));
  });
}

}  // namespace

void bind_sinkhorn(py::module_ module) {
  module.def("scratch", [](int64_t s, int64_t b, int64_t l, bool product, bool cuda) {
    return sinkhorn_scratch({cuda ? Device::cuda : Device::cpu, 0}, s, b, l, product);
  });
  module.def("solve", solve);
  module.def("columns", columns);
  module.def("sweep", sweep);
  module.def("plan", plan);
  module.def("labels", labels);
}
