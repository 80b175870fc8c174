// Sinkhorn on a GPU, in the order of src/cpu/sinkhorn.cpp: a block a part of the rows of a problem,
// so one read an iteration; a thread a column where parts are added. Nothing synchronises with the
// host: whether a column has left the format and whether a problem has reached its tolerance are
// flags on the device.
#include "sinkhorn_product.cuh"

namespace pymim::cuda {
namespace {

template <class T, class R>
void column_sums(const Problems<T>& p, const R* row, R* log_sums, bool always, Stream stream) {
  if (p.prototypes) return product_columns<T, R>(p, row, log_sums, always, stream);
  launch(fold_kernel<T, R>, p.by_column(p.parts), dim3(p.threads()), 0, stream, p, row, always);
  launch(merge_folded_kernel<T, R>, p.by_column(), dim3(p.threads()), 0, stream, p, log_sums,
         always);
}

// Scales the rows; with `sums` asked for, log_sums are then those of the columns.
template <class T, class R>
void sweep(const Problems<T>& p, const R* wanted, R power, R* row, R* log_sums, bool sums, R* plan,
           Stream stream) {
  if (p.prototypes) {
    product_rows<T, R>(p, wanted, power, row, stream);
    if (sums) product_columns<T, R>(p, row, log_sums, false, stream);
    return;
  }
  const int64_t bytes = 2 * p.l * static_cast<int64_t>(sizeof(R));
  const bool shared = bytes <= kShared;
  launch(sweep_kernel<T, R>, p.by_part(), dim3(p.threads()),
         shared ? static_cast<size_t>(bytes) : 0, stream, p, wanted, power, row, plan, shared);
  if (!sums) return;
  launch(merge_kernel<T, R>, p.by_column(), dim3(p.threads()), 0, stream, p, log_sums);
  column_sums<T, R>(p, row, log_sums, false, stream);
}

template <class T, class R>
void write_plan(const Problems<T>& p, const R* row, R* plan, Stream stream) {
  if (p.prototypes) return product_plan<T, R>(p, row, plan, stream);
  launch(plan_kernel<T, R>, p.by_part(), dim3(p.threads()), 0, stream, p, row, plan);
}

template <class T>
void write_labels(const Problems<T>& p, int64_t* labels, Stream stream) {
  if (p.prototypes) return product_labels(p, labels, stream);
  launch(labels_kernel<T>, p.by_part(), dim3(p.threads()), 0, stream, p, labels);
}

template <class R>
__global__ void to_natural_kernel(View<R, 2> values) {
  const int64_t i = int64_t{blockIdx.x} * kMostThreads + threadIdx.x;
  if (i < values.shape[0] * values.shape[1]) values.data[i] *= static_cast<R>(kLn2);
}

template <class R>
void to_natural(View<R, 2> values, Stream stream) {
  launch(to_natural_kernel<R>, dim3(static_cast<unsigned>(divide_up(values.size(), kMostThreads))),
         dim3(kMostThreads), 0, stream, values);
}

}  // namespace

template <class T>
void sinkhorn(Scores<T> scores, Marginals<Computed<T>> marginals, Schedule schedule,
              Solution<Computed<T>> out, View<Computed<T>, 1> scratch, Stream stream) {
  using R = Computed<T>;
  const Problems<T> p(scores, out.potentials.column[1], scratch);
  const R row_power = static_cast<R>(marginals.row_power),
          column_power = static_cast<R>(marginals.column_power);
  R *row = out.potentials.row.data, *column = out.potentials.column.data;
  const R *rows = marginals.log_rows.data, *columns = marginals.log_columns.data;
  const auto column_step = [&](const Step& step) {
    launch(step_kernel<T, R>, p.by_problem(), dim3(p.threads()), 0, stream, p, columns,
           column_power, column, step, out.error.data, out.iterations.data);
  };
  launch(start_kernel<T, R>, p.by_problem(), dim3(p.threads()), 0, stream, p, column);
  if (!schedule.rows_first) {
    column_sums<T, R>(p, row, column, true, stream);
    column_step({0, 0, true, false, schedule.rows_last});
  }
  const int64_t sweeps = schedule.iterations + (schedule.rows_first && schedule.rows_last);
  const bool fused = schedule.rows_last && schedule.tolerance == 0 && !p.prototypes;
  for (int64_t done = 1; done <= sweeps; ++done) {
    const bool last = done == sweeps;
    const bool sums = !last || !schedule.rows_last || schedule.tolerance > 0 || out.error.present();
    sweep<T, R>(p, rows, row_power, row, column, sums, last && fused ? out.plan.data : nullptr,
                stream);
    column_step(
        {schedule.tolerance, std::min(done, schedule.iterations), false, last, schedule.rows_last});
  }
  if (out.plan.present() && !fused) write_plan<T, R>(p, row, out.plan.data, stream);
  if (out.labels.present()) write_labels(p, out.labels.data, stream);
  launch(finish_kernel<T, R>, p.by_problem(), dim3(p.threads()), 0, stream, p, column);
}

template <class T>
void sinkhorn_columns(Scores<T> scores, View<const Computed<T>, 2> row,
                      View<Computed<T>, 2> log_sums, View<Computed<T>, 1> scratch, Stream stream) {
  using R = Computed<T>;
  column_sums<T, R>(Problems<T>(scores, log_sums[1], scratch), row.data, log_sums.data, true,
                    stream);
  to_natural(log_sums, stream);
}

template <class T>
void sinkhorn_sweep(Scores<T> scores, Marginals<Computed<T>> marginals,
                    Potentials<Computed<T>> potentials, View<Computed<T>, 2> log_sums,
                    View<Computed<T>, 1> scratch, Stream stream) {
  using R = Computed<T>;
  const Problems<T> p(scores, log_sums[1], scratch);
  const R* column = potentials.column.data;
  launch(start_kernel<T, R>, p.by_problem(), dim3(p.threads()), 0, stream, p, column);
  sweep<T, R>(p, marginals.log_rows.data, static_cast<R>(marginals.row_power), potentials.row.data,
              log_sums.data, true, nullptr, stream);
  to_natural(log_sums, stream);
}

template <class T>
void sinkhorn_plan(Scores<T> scores, Potentials<const Computed<T>> potentials,
                   View<Computed<T>, 3> plan, View<Computed<T>, 1> scratch, Stream stream) {
  using R = Computed<T>;
  const Problems<T> p(scores, potentials.column[1], scratch);
  launch(start_kernel<T, R>, p.by_problem(), dim3(p.threads()), 0, stream, p,
         potentials.column.data);
  write_plan<T, R>(p, potentials.row.data, plan.data, stream);
}

template <class T>
void sinkhorn_labels(Scores<T> scores, View<const Computed<T>, 2> column, View<int64_t, 2> labels,
                     View<Computed<T>, 1> scratch, Stream stream) {
  using R = Computed<T>;
  const Problems<T> p(scores, column[1], scratch);
  launch(start_kernel<T, R>, p.by_problem(), dim3(p.threads()), 0, stream, p, column.data);
  write_labels(p, labels.data, stream);
}

PYMIM_SINKHORN_FOR_ALL

}  // namespace pymim::cuda
