#include "pymim/block.hpp"

#include <pybind11/stl.h>

#include "mask.hpp"

namespace {

using namespace pymim;
using namespace pymim::bindings;

using Range = std::array<double, 2>;
using Size = std::array<int64_t, 2>;

struct Arguments {
  View<const int64_t, 1> index;
  Draw number;
  View<uint64_t, 2> board;

  Arguments(const char* function, py::handle index, int64_t seed, int64_t step, int64_t view_id,
            py::handle board)
      : index(view<const int64_t, 1>(index, function, "index")),
        number(draw(function, seed, step, view_id)),
        board(view<uint64_t, 2>(board, function, "board")) {}
};

void exact(py::handle index, int64_t seed, int64_t step, int64_t view_id, Extent grid, Range area,
           Range aspect, Size duration, int64_t tries, py::handle board, py::handle visible,
           py::handle hidden, py::handle boolean, uintptr_t on) {
  const Arguments of("block", index, seed, step, view_id, board);
  const Mask out = mask("block", visible, hidden, boolean);
  py::gil_scoped_release released;
  block_mask(of.index, of.number, {grid, area, aspect, duration, tries}, of.board, out, stream(on));
}

void ragged(py::handle index, int64_t seed, int64_t step, int64_t view_id, Extent grid, Range area,
            Range aspect, Size duration, int64_t tries, int64_t hidden, py::handle board,
            py::handle boolean, py::handle count, uintptr_t on) {
  const Arguments of("ragged_block", index, seed, step, view_id, board);
  const auto flags = view<bool, 2>(boolean, "ragged_block", "boolean");
  const auto counts = view<int64_t, 1>(count, "ragged_block", "count");
  py::gil_scoped_release released;
  ragged_block_mask(of.index, of.number, {grid, area, aspect, duration, tries}, hidden, of.board,
                    flags, counts, stream(on));
}

void inverse(py::handle index, int64_t seed, int64_t step, int64_t view_id, Extent grid,
             Range aspect, bool roll, py::handle board, py::handle visible, py::handle hidden,
             py::handle boolean, uintptr_t on) {
  const Arguments of("inverse_block", index, seed, step, view_id, board);
  const Mask out = mask("inverse_block", visible, hidden, boolean);
  py::gil_scoped_release released;
  inverse_block_mask(of.index, of.number, {grid, aspect, roll}, of.board, out, stream(on));
}

void multi(py::handle index, int64_t seed, int64_t step, int64_t view_id, Extent grid, Size target,
           Size context, bool edges, bool raster, py::handle board, py::handle visible,
           py::handle hidden, py::handle boolean, py::handle targets, uintptr_t on) {
  const Arguments of("multi_block", index, seed, step, view_id, board);
  const auto ids = view<int64_t, 3>(targets, "multi_block", "targets");
  const Mask out = mask("multi_block", visible, hidden, boolean);
  py::gil_scoped_release released;
  multi_block_mask(of.index, of.number, {grid, target, context, edges, raster}, of.board, ids, out,
                   stream(on));
}

}  // namespace

void bind_block(py::module_ module) {
  module.def("board_words", board_words);
  module.def("exact", exact);
  module.def("ragged", ragged);
  module.def("inverse", inverse);
  module.def("multi", multi);
  module.def("size", [](int64_t seed, int64_t step, int64_t view_id, Extent grid, Range share,
                        Range aspect, uint32_t which, bool together, bool edges) {
    return block_size(draw("block_size", seed, step, view_id), grid, share, aspect, which, together,
                      edges);
  });
}
