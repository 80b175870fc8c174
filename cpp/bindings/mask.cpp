#include "mask.hpp"

#include <pybind11/stl.h>

namespace {

using namespace pymim;
using namespace pymim::bindings;

using Index = View<const int64_t, 1>;

Index indices(py::handle index, const char* function) {
  return view<const int64_t, 1>(index, function, "index");
}

PatchScores scores(py::handle object, const char* function, const char* argument) {
  const Array array(object, function, argument);
  if (array.is<bfloat16>()) return array.view<const bfloat16, 2>();
  if (array.is<float16>()) return array.view<const float16, 2>();
  if (!array.is<float>()) array.refuse_dtype("float32, bfloat16 or float16");
  return array.view<const float, 2>();
}

Budget budget(const std::vector<int64_t>& sizes, const std::vector<float>& alpha) {
  check(!sizes.empty() && sizes.size() <= Budget::kMost && sizes.size() == alpha.size(),
        "budget: sizes, alpha: expected 1 to ", Budget::kMost, " numbers each, got ", sizes.size(),
        " and ", alpha.size(), "; give one of each a grid");
  Budget result;
  result.grids = static_cast<int>(sizes.size());
  std::copy(sizes.begin(), sizes.end(), result.sizes.begin());
  std::copy(alpha.begin(), alpha.end(), result.alpha.begin());
  return result;
}

// Binds run(index, draw, out, stream, arguments...) as name(index, seed, step, view, arguments...,
// out, stream).
template <class Out, size_t Rank, class... Arguments, class Prepare>
void bind(py::module_& module, const char* name, Prepare prepare) {
  module.def(name,
             [=](py::handle index, int64_t seed, int64_t step, int64_t view, Arguments... arguments,
                 py::handle visible, py::handle hidden, py::handle boolean, uintptr_t on) {
               const Index index_view = indices(index, name);
               const Draw number = draw(name, seed, step, view);
               const Out outputs = mask<Out, Rank>(name, visible, hidden, boolean);
               auto run = prepare(arguments...);
               py::gil_scoped_release released;
               run(index_view, number, outputs, stream(on));
             });
}

}  // namespace

void bind_mask(py::module_ module) {
  bind<Mask, 2, Extent, Extent>(module, "uniform", [](Extent grid, Extent unit) {
    return [=](Index index, Draw draw, Mask out, Stream on) {
      uniform_mask(index, draw, grid, unit, out, on);
    };
  });
  bind<Mask, 2, py::handle, int64_t, int64_t>(
      module, "filtered", [](py::handle bank, int64_t rows, int64_t columns) {
        const auto patterns = view<const float, 3>(bank, "filtered", "bank");
        return [=](Index index, Draw draw, Mask out, Stream on) {
          filtered_mask(index, draw, patterns, rows, columns, out, on);
        };
      });
  bind<Mask, 2, py::handle, bool>(module, "weighted", [](py::handle weights, bool draws_hidden) {
    const PatchScores values = scores(weights, "weighted", "weights");
    const Drawn drawn = draws_hidden ? Drawn::hidden : Drawn::visible;
    return [=](Index index, Draw draw, Mask out, Stream on) {
      weighted_mask(index, draw, values, drawn, out, on);
    };
  });
  bind<Mask, 2, py::handle, int64_t, bool>(
      module, "ranked", [](py::handle values, int64_t hard, bool lowest) {
        const PatchScores ranks = scores(values, "ranked", "scores");
        const Hide hide = lowest ? Hide::lowest : Hide::highest;
        return [=](Index index, Draw draw, Mask out, Stream on) {
          ranked_mask(index, draw, ranks, hard, hide, out, on);
        };
      });
  bind<Mask, 2, py::handle>(module, "priority", [](py::handle priority) {
    const PatchScores values = scores(priority, "priority", "priority");
    return [=](Index index, Draw draw, Mask out, Stream on) {
      priority_mask(index, draw, values, out, on);
    };
  });
  bind<Masks, 3, int64_t>(module, "disjoint", [](int64_t covered) {
    return [=](Index index, Draw draw, Masks out, Stream on) {
      disjoint_masks(index, draw, covered, out, on);
    };
  });
  bind<Mask, 2, std::vector<int64_t>, std::vector<float>>(
      module, "budget", [](const std::vector<int64_t>& sizes, const std::vector<float>& alpha) {
        const Budget shared = budget(sizes, alpha);
        return [=](Index index, Draw draw, Mask out, Stream on) {
          budget_mask(index, draw, shared, out, on);
        };
      });
  module.def("subset", [](py::handle index, int64_t seed, int64_t step, int64_t view_id,
                          py::handle ids, py::handle out, uintptr_t on) {
    const Index index_view = indices(index, "subset");
    const Draw number = draw("subset", seed, step, view_id);
    const auto from = view<const int64_t, 2>(ids, "subset", "ids");
    const auto to = view<int64_t, 2>(out, "subset", "out");
    py::gil_scoped_release released;
    subset_ids(index_view, number, from, to, stream(on));
  });
  module.def("expand", [](py::handle coarse, Extent grid, Extent unit, py::handle visible,
                          py::handle hidden, py::handle boolean, uintptr_t on) {
    const auto cells = view<const bool, 2>(coarse, "expand", "coarse");
    const auto fine = mask("expand", visible, hidden, boolean);
    py::gil_scoped_release released;
    expand_mask(cells, grid, unit, fine, stream(on));
  });
}
