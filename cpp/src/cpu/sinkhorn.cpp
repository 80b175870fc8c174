// Sinkhorn on the CPU: threads over problems, or over parts of the rows of one.
#include "sinkhorn_scaling.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

template <class T, class R = Computed<T>>
void solve_by_potentials(const Problem<T>& p, const Marginals<R>& marginals,
                         const Schedule& schedule, int64_t s, const Solution<R>& out) {
  const R *rows = marginals.log_rows.data + s * p.b,
          *columns = marginals.log_columns.data + s * p.l;
  const R row_power = static_cast<R>(marginals.row_power),
          column_power = static_cast<R>(marginals.column_power);
  R *row = out.potentials.row.data + s * p.b, *column = out.potentials.column.data + s * p.l;
  const Output<R> output{out.plan.present() ? out.plan.data + s * p.b * p.k : nullptr,
                         out.labels.present() ? out.labels.data + s * p.b : nullptr};
  p.set_column(column);
  if (!schedule.rows_first) {
    column_sums(p, row, column);
    column_step(p, columns, column_power, column);
    std::copy_n(column, p.l, p.column);
  }
  const int64_t sweeps = schedule.iterations + (schedule.rows_first && schedule.rows_last);
  bool written = false;
  for (int64_t done = 1; done <= sweeps; ++done) {
    written = done == sweeps && schedule.rows_last;
    sweep(p, rows, row_power, row, column, written ? output : Output<R>{});
    const R error = column_step(p, columns, column_power, column);
    const bool stop = done == sweeps || error <= schedule.tolerance;
    if (!stop || !schedule.rows_last) std::copy_n(column, p.l, p.column);
    if (out.error.present()) out.error.data[s] = error;
    out.iterations.data[s] = std::min(done, schedule.iterations);
    if (stop) break;
  }
  if (!written) write_rows(p, row, output);
  for (int64_t c = 0; c < p.l; ++c) column[c] = p.column[c] * static_cast<R>(kLn2);
}

template <class T, class R = Computed<T>>
void solve(const Problem<T>& p, const Marginals<R>& marginals, const Schedule& schedule, int64_t s,
           const Solution<R>& out) {
  if (schedule.log_domain || !Scaling<T>(p, marginals, s).solve(schedule, out, s))
    solve_by_potentials(p, marginals, schedule, s, out);
}

// run(problem, s) for each problem, of `passes` over the scores: a thread a problem where there are
// enough of them, else all threads on each. A thread keeps to one slot of the scratch.
template <class T, class Run>
void each_problem(const Scores<T>& scores, int64_t l, int64_t passes, View<Computed<T>, 1> scratch,
                  Run run) {
  const int64_t s = scores.values[0], b = scores.values[1];
  parallel_for(
      s, kTerm * static_cast<double>(passes) * static_cast<double>(b * l),
      [&](int64_t first, int64_t last, int worker) {
        Computed<T>* slot = scratch.data + worker * cpu_slot_size(Parts(false, 1, b), b, l);
        for (int64_t i = first; i < last; ++i) run(Problem<T>(scores, i, l, slot), i);
      },
      s >= thread_count() ? kCpuSlots : 1);
}

}  // namespace

template <class T>
void sinkhorn(Scores<T> scores, Marginals<Computed<T>> marginals, Schedule schedule,
              Solution<Computed<T>> out, View<Computed<T>, 1> scratch, Stream) {
  if (out.plan.present()) want_large_pages(out.plan.data, out.plan.size());
  each_problem(scores, out.potentials.column[1], schedule.iterations + 1, scratch,
               [&](const Problem<T>& p, int64_t s) { solve(p, marginals, schedule, s, out); });
}

template <class T>
void sinkhorn_columns(Scores<T> scores, View<const Computed<T>, 2> row,
                      View<Computed<T>, 2> log_sums, View<Computed<T>, 1> scratch, Stream) {
  using R = Computed<T>;
  each_problem(scores, log_sums[1], 1, scratch, [&](const Problem<T>& p, int64_t s) {
    R* out = log_sums.data + s * p.l;
    column_sums(p, row.data + s * p.b, out);
    for (int64_t c = 0; c < p.l; ++c) out[c] *= static_cast<R>(kLn2);
  });
}

template <class T>
void sinkhorn_sweep(Scores<T> scores, Marginals<Computed<T>> marginals,
                    Potentials<Computed<T>> potentials, View<Computed<T>, 2> log_sums,
                    View<Computed<T>, 1> scratch, Stream) {
  using R = Computed<T>;
  each_problem(scores, log_sums[1], 1, scratch, [&](const Problem<T>& p, int64_t s) {
    R* out = log_sums.data + s * p.l;
    p.set_column(potentials.column.data + s * p.l);
    sweep(p, marginals.log_rows.data + s * p.b, static_cast<R>(marginals.row_power),
          potentials.row.data + s * p.b, out);
    for (int64_t c = 0; c < p.l; ++c) out[c] *= static_cast<R>(kLn2);
  });
}

template <class T>
void sinkhorn_plan(Scores<T> scores, Potentials<const Computed<T>> potentials,
                   View<Computed<T>, 3> plan, View<Computed<T>, 1> scratch, Stream) {
  want_large_pages(plan.data, plan.size());
  each_problem(scores, potentials.column[1], 1, scratch, [&](const Problem<T>& p, int64_t s) {
    p.set_column(potentials.column.data + s * p.l);
    write_rows(p, potentials.row.data + s * p.b, {plan.data + s * p.b * p.k, nullptr});
  });
}

template <class T>
void sinkhorn_labels(Scores<T> scores, View<const Computed<T>, 2> column, View<int64_t, 2> labels,
                     View<Computed<T>, 1> scratch, Stream) {
  each_problem(scores, column[1], 1, scratch, [&](const Problem<T>& p, int64_t s) {
    p.set_column(column.data + s * p.l);
    write_rows<T, Computed<T>>(p, nullptr, {nullptr, labels.data + s * p.b});
  });
}

PYMIM_SINKHORN_FOR_ALL

}  // namespace pymim::cpu::PYMIM_ISA
