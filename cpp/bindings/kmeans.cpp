#include "pymim/kmeans.hpp"

#include "array.hpp"

namespace {

using namespace pymim;
using namespace pymim::bindings;

Device device(bool cuda, int index) { return {cuda ? Device::cuda : Device::cpu, index}; }

Metric metric(bool cosine) { return cosine ? Metric::cosine : Metric::l2; }

Statistics statistics(const char* function, py::handle sums, py::handle counts, py::handle errors) {
  return {view<double, 2>(sums, function, "sums"), view<double, 1>(counts, function, "counts"),
          view<double, 1>(errors, function, "errors")};
}

// Calls run(view) with `points` as what it holds: float32, bfloat16 or float16.
template <class Run>
void with_points(py::handle points, const char* function, Run run) {
  const Array array(points, function, "points");
  if (array.is<const bfloat16>()) return run(array.view<const bfloat16, 2>());
  if (array.is<const float16>()) return run(array.view<const float16, 2>());
  run(array.view<const float, 2>());
}

}  // namespace

void bind_kmeans(py::module_ module) {
  module.def("assign_workspace", [](bool cuda, int index, int64_t b, int64_t k, int64_t d) {
    return assign_workspace(device(cuda, index), b, k, d);
  });
  module.def("assign",
             [](py::handle points, py::handle centroids, bool cosine, py::handle workspace,
                py::handle labels, py::handle distances, uintptr_t on) {
               const auto centroids_view = view<const float, 2>(centroids, "assign", "centroids");
               const auto workspace_view = view<uint8_t, 1>(workspace, "assign", "workspace");
               const auto labels_view = view<int64_t, 1>(labels, "assign", "labels");
               const auto distances_view = view<float, 1>(distances, "assign", "distances");
               with_points(points, "assign", [&](auto points_view) {
                 py::gil_scoped_release released;
                 assign(points_view, centroids_view, metric(cosine), workspace_view, labels_view,
                        distances_view, stream(on));
               });
             });
  module.def("accumulate_workspace", [](bool cuda, int index, int64_t b, int64_t k) {
    return accumulate_workspace(device(cuda, index), b, k);
  });
  module.def("accumulate", [](py::handle points, py::handle labels, py::handle weights,
                              py::handle distances, bool cosine, py::handle workspace,
                              py::handle sums, py::handle counts, py::handle errors, uintptr_t on) {
    const auto labels_view = view<const int64_t, 1>(labels, "accumulate", "labels");
    const auto weights_view = optional_view<const float, 1>(weights, "accumulate", "weights");
    const auto distances_view = view<const float, 1>(distances, "accumulate", "distances");
    const auto workspace_view = view<uint8_t, 1>(workspace, "accumulate", "workspace");
    const Statistics out = statistics("accumulate", sums, counts, errors);
    with_points(points, "accumulate", [&](auto points_view) {
      py::gil_scoped_release released;
      accumulate(points_view, labels_view, weights_view, distances_view, metric(cosine),
                 workspace_view, out, stream(on));
    });
  });
  module.def("update", [](py::handle sums, py::handle counts, py::handle errors, bool cosine,
                          bool split, py::handle centroids, uintptr_t on) {
    const Statistics from = statistics("update", sums, counts, errors);
    const auto centroids_view = view<float, 2>(centroids, "update", "centroids");
    py::gil_scoped_release released;
    update(from, metric(cosine), split ? Empty::split : Empty::keep, centroids_view, stream(on));
  });
}
