// Sinkhorn on the CPU: threads over problems, or over parts of the rows of one.
#include "sinkhorn_log.hpp"
#include "sinkhorn_scaling.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

// Scales columns and rows in turn, in a domain that holds their scalings or the logarithms of them.
// Returns false where a number has left the domain's range.
template <class T, class Domain, class R = Computed<T>>
bool iterate(const Problem<T>& p, Domain domain, const Task<R>& task, const Schedule& schedule,
             const Solution<R>& out, int64_t s) {
  if (!schedule.rows_first) domain.first_columns();
  const int64_t sweeps = schedule.iterations + (schedule.rows_first && schedule.rows_last);
  bool stop = false, written = false;
  for (int64_t done = 1; !stop && !domain.lost(); ++done) {
    written = done == sweeps && schedule.rows_last;
    // After the last rows the columns' sums serve the error alone.
    const bool summed = !written || out.error.present();
    domain.sweep_rows(written ? task.output : Output<R>{}, summed);
    const R error = summed ? domain.column_step() : 0;
    stop = done == sweeps || error <= schedule.tolerance;
    if (!stop || !schedule.rows_last) domain.take_columns();
    if (out.error.present()) out.error.data[s] = error;
    out.iterations.data[s] = std::min(done, schedule.iterations);
  }
  if (domain.lost()) return false;
  domain.write_potentials();
  if (!written) write_rows(p, task.row, task.output);
  return true;
}

template <class T, class R = Computed<T>>
void solve(const Problem<T>& p, const Marginals<R>& marginals, const Schedule& schedule, int64_t s,
           const Solution<R>& out) {
  const Task<R> task(p, marginals, out, s);
  if (schedule.log_domain || !iterate(p, Scaling<T>(p, task), task, schedule, out, s))
    iterate(p, LogDomain<T>(p, task), task, schedule, out, s);
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
