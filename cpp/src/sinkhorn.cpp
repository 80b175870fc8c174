// Every argument of the Sinkhorn functions is checked here, once; then cpu or cuda.
#include "sinkhorn.hpp"

#include <cmath>

#include "dispatch.hpp"

namespace pymim {
namespace {

template <class T>
void check_prototypes(const char* function, const Scores<T>& scores) {
  const auto& prototypes = scores.prototypes;
  if (!prototypes.present()) return;
  check(on_cuda(scores.values.device), function,
        ": prototypes: expected none on the CPU, got some; multiply features by them and pass the "
        "scores");
  check_shape(function, "prototypes", prototypes,
              {prototypes[0] == 1 ? 1 : scores.values[0], -1, scores.values[2]},
              "[S K D] or [1 K D]");
  check(prototypes[1] < int64_t{1} << 31, function, ": prototypes: expected fewer than 2^31, got ",
        prototypes[1], "; use fewer");
}

template <class T, class R>
void check_scores(const char* function, const Scores<T>& scores, int64_t l,
                  const View<R, 1>& scratch) {
  const auto& values = scores.values;
  const int64_t s = values[0], b = values[1], k = scores.columns();
  check_prototypes(function, scores);
  check(k > 0 && b > 0, function, ": scores: expected at least one row and one column, got ",
        shape_text(values), "; skip an empty batch");
  check(scores.epsilon > 0 && std::isfinite(scores.epsilon), function,
        ": epsilon: expected a positive number, got ", scores.epsilon,
        "; ask for .05, as SwAV does");
  check(l == k || l == k + 1, function, ": columns: expected ", k,
        " potentials, or one more with a virtual column, got ", l, "; pass an array of that shape");
  const int64_t needed = sinkhorn_scratch(values.device, s, b, l, scores.prototypes.present());
  check(scratch[0] >= needed, function, ": scratch: expected ", needed, " elements, got ",
        scratch[0], "; ask sinkhorn_scratch");
}

template <class T, class Potentials>
void check_potentials(const char* function, const Scores<T>& scores, const Potentials& potentials) {
  check_shape(function, "row", potentials.row, {scores.values[0], scores.values[1]}, "[S B]");
  check_shape(function, "column", potentials.column, {scores.values[0], -1}, "[S L]");
}

void check_power(const char* function, const char* name, double power) {
  check(power > 0 && power <= 1, function, ": ", name, ": expected above 0 and at most 1, got ",
        power, "; pass 1 to meet the sums");
}

}  // namespace

int64_t sinkhorn_scratch(Device device, int64_t s, int64_t b, int64_t l, bool product) {
  const bool on_gpu = on_cuda(device);
  if (product) return s && b > 0 && l > 0 ? product_slot_size(s, b, l) * s : 0;
  if (on_gpu) return s ? slot_size(Parts(true, s, b), l) * s : 0;
  return cpu_slot_size(Parts(false, 1, b), b, l) * std::min(s, kCpuSlots);
}

template <class T>
void sinkhorn(Scores<T> scores, Marginals<Computed<T>> marginals, Schedule schedule,
              Solution<Computed<T>> out, View<Computed<T>, 1> scratch, Stream stream) {
  const char* function = "sinkhorn";
  const int64_t s = scores.values[0], b = scores.values[1], l = out.potentials.column[1];
  check_scores(function, scores, l, scratch);
  check_potentials(function, scores, out.potentials);
  check_shape(function, "log_rows", marginals.log_rows, {s, b}, "[S B]");
  check_shape(function, "log_columns", marginals.log_columns, {s, l}, "[S L]");
  if (out.error.present()) check_shape(function, "error", out.error, {s}, "[S]");
  check_shape(function, "iterations", out.iterations, {s}, "[S]");
  if (out.plan.present())
    check_shape(function, "plan", out.plan, {s, b, scores.columns()}, "[S B K]");
  if (out.labels.present()) check_shape(function, "labels", out.labels, {s, b}, "[S B]");
  check_power(function, "row_power", marginals.row_power);
  check_power(function, "column_power", marginals.column_power);
  check(schedule.iterations > 0, function, ": iterations: expected at least 1, got ",
        schedule.iterations, "; ask for 3, as SwAV does");
  check(schedule.tolerance >= 0, function, ": tolerance: expected 0 or more, got ",
        schedule.tolerance, "; pass 0 for a fixed number of iterations");
  check_device(function, scores.values, scores.prototypes, marginals.log_rows,
               marginals.log_columns, out.potentials.row, out.potentials.column, out.plan,
               out.labels, out.error, out.iterations, scratch);
  PYMIM_RUN(sinkhorn, scores.values, scores, marginals, schedule, out, scratch, stream);
}

template <class T>
void sinkhorn_columns(Scores<T> scores, View<const Computed<T>, 2> row,
                      View<Computed<T>, 2> log_sums, View<Computed<T>, 1> scratch, Stream stream) {
  check_scores("sinkhorn_columns", scores, log_sums[1], scratch);
  check_potentials("sinkhorn_columns", scores, Potentials<const Computed<T>>{row, log_sums});
  check_device("sinkhorn_columns", scores.values, scores.prototypes, row, log_sums, scratch);
  PYMIM_RUN(sinkhorn_columns, scores.values, scores, row, log_sums, scratch, stream);
}

template <class T>
void sinkhorn_sweep(Scores<T> scores, Marginals<Computed<T>> marginals,
                    Potentials<Computed<T>> potentials, View<Computed<T>, 2> log_sums,
                    View<Computed<T>, 1> scratch, Stream stream) {
  const char* function = "sinkhorn_sweep";
  check_scores(function, scores, log_sums[1], scratch);
  check_potentials(function, scores, potentials);
  check_shape(function, "log_rows", marginals.log_rows, potentials.row.shape, "[S B]");
  check_shape(function, "log_sums", log_sums, potentials.column.shape, "[S L]");
  check_power(function, "row_power", marginals.row_power);
  check_device(function, scores.values, scores.prototypes, marginals.log_rows, potentials.row,
               potentials.column, log_sums, scratch);
  PYMIM_RUN(sinkhorn_sweep, scores.values, scores, marginals, potentials, log_sums, scratch,
            stream);
}

template <class T>
void sinkhorn_plan(Scores<T> scores, Potentials<const Computed<T>> potentials,
                   View<Computed<T>, 3> plan, View<Computed<T>, 1> scratch, Stream stream) {
  check_scores("sinkhorn_plan", scores, potentials.column[1], scratch);
  check_potentials("sinkhorn_plan", scores, potentials);
  check_shape("sinkhorn_plan", "plan", plan, {scores.values[0], scores.values[1], scores.columns()},
              "[S B K]");
  check_device("sinkhorn_plan", scores.values, scores.prototypes, potentials.row, potentials.column,
               plan, scratch);
  PYMIM_RUN(sinkhorn_plan, scores.values, scores, potentials, plan, scratch, stream);
}

template <class T>
void sinkhorn_labels(Scores<T> scores, View<const Computed<T>, 2> column, View<int64_t, 2> labels,
                     View<Computed<T>, 1> scratch, Stream stream) {
  check_scores("sinkhorn_labels", scores, column[1], scratch);
  check_shape("sinkhorn_labels", "column", column, {scores.values[0], -1}, "[S L]");
  check_shape("sinkhorn_labels", "labels", labels, {scores.values[0], scores.values[1]}, "[S B]");
  check_device("sinkhorn_labels", scores.values, scores.prototypes, column, labels, scratch);
  PYMIM_RUN(sinkhorn_labels, scores.values, scores, column, labels, scratch, stream);
}

PYMIM_SINKHORN_FOR_ALL

}  // namespace pymim
