// The block policies on the CPU: threads over images, a row of patches a word.
#include "../block.hpp"

#include "../rectangles.hpp"
#include "choose.hpp"
#include "parallel.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

// Nanoseconds that a patch takes, its ids written too, and that blocks, or one window, take
// besides.
constexpr double kPatch = 0.7, kBlocksTake = 450, kWindowTakes = 90;

// Calls body(image) for every image, on some thread.
template <class Body>
void each_image(int64_t images, double nanoseconds, Body body) {
  parallel_for(images, nanoseconds, [&](int64_t begin, int64_t end, int) {
    for (int64_t image = begin; image < end; ++image) body(image);
  });
}

double patches_take(int64_t patches) { return kPatch * static_cast<double>(patches); }

// Candidates made by the vector, and made again when another number is left. Their words are those
// of every other block, as those between are only for frames.
struct CandidateVectors : Candidates {
  static constexpr uint32_t kMost = 2 * kBlocks;
  Word words[4 * kMost];
  float stretch[kMost];
  int row[kMost], column[kMost], rows[kMost], columns[kMost];
  uint32_t first = 0, end = 0;
  int laid_for = 0;

  CandidateVectors(const BlockLaw& law, const Draw& draw, int64_t image)
      : Candidates{law, draw, image} {}

  Box operator()(uint32_t k, int left) {
    if (k >= end) draw_from(k);
    if (left != laid_for) lay_for(left);
    const uint32_t i = k - first;
    return in_frames({0, row[i], column[i], 1, rows[i], columns[i]}, k);
  }

 private:
  void draw_from(uint32_t k) {
    first = k;
    end = k + kMost;
    laid_for = 0;
    store_words<2, 2>(draw, image, first_block(Role::rectangles) + kBlockWords + 2 * k, words);
    const Stretch same = law.stretch;  // a copy, which what is stored cannot change
#pragma omp simd
    for (uint32_t i = 0; i < kMost; ++i) stretch[i] = draw_stretch(same, words[4 * i + 1]);
  }
  void lay_for(int left) {
    laid_for = left;
    const BlockLaw same = law;
    const float largest = largest_area(law, left);
#pragma omp simd
    for (uint32_t i = 0; i < kMost; ++i) {
      const Word* at = words + 4 * i;
      const Box box = lay_block(same, {at[0], at[1], at[2], at[3]}, stretch[i], largest);
      row[i] = box.row;
      column[i] = box.column;
      rows[i] = box.rows;
      columns[i] = box.columns;
    }
  }
};

void unpack_word(uint64_t word, int count, bool* flags) {
  for (int i = 0; i < count; ++i) flags[i] = word >> i & 1;
}

// Bits to flags, over and over until all n patches have one.
void unpack(const Board& board, uint64_t flip, int64_t n, bool* flags) {
  const int row_bits = board.row_bits, columns = board.columns;
  for (const bool* end = flags + n; flags < end;)
    for (int frame = 0; frame < board.frames; ++frame)
      for (int row = 0; row < board.rows; ++row)
        for (int column = 0; column < columns; column += 64) {
          const int bit = row * row_bits + column,
                    count = columns - column < 64 ? columns - column : 64;
          unpack_word((board.words[frame * board.frame_words + bit / 64] ^ flip) >> bit % 64, count,
                      flags);
          flags += count;
        }
}

// The ids of one box of a frame, in every frame.
void write_box(const Box& box, const TargetLaw& law, int64_t frames, int64_t* ids) {
  for (int64_t f = 0; f < frames; ++f)
    for (int r = box.row; r < box.row + box.rows; ++r)
      for (int c = box.column; c < box.column + box.columns; ++c)
        *ids++ = (f * law.rows + r) * law.columns + c;
}

}  // namespace

void block_mask(View<const int64_t, 1> index, Draw draw, BlockLaw law, View<uint64_t, 2> board,
                Mask out, Stream) {
  each_image(index[0], kBlocksTake + patches_take(out.boolean[1]), [&](int64_t image) {
    const MaskRow row(out, image);
    const Board bits(board.data + image * board[1], law.frames, law.rows, law.columns);
    hide_blocks(CandidateVectors(law, draw, index.data[image]), static_cast<int>(row.m), true,
                bits);
    unpack(bits, 0, row.n, row.boolean);
    write_ids(row);
  });
}

void ragged_block_mask(View<const int64_t, 1> index, Draw draw, BlockLaw law, int64_t hidden,
                       View<uint64_t, 2> board, View<bool, 2> boolean, View<int64_t, 1> count,
                       Stream) {
  each_image(index[0], kBlocksTake + patches_take(boolean[1]), [&](int64_t image) {
    const Board bits(board.data + image * board[1], law.frames, law.rows, law.columns);
    count.data[image] = hide_blocks(CandidateVectors(law, draw, index.data[image]),
                                    static_cast<int>(hidden), false, bits);
    unpack(bits, 0, boolean[1], boolean.data + image * boolean[1]);
  });
}

void inverse_block_mask(View<const int64_t, 1> index, Draw draw, WindowLaw law,
                        View<uint64_t, 2> board, Mask out, Stream) {
  const int64_t frames = out.boolean[1] / (law.rows * law.columns);
  each_image(index[0], kWindowTakes + patches_take(out.boolean[1]), [&](int64_t image) {
    const MaskRow row(out, image);
    const Board bits(board.data + image * board[1], 1, law.rows, law.columns);
    show_window(law, draw, index.data[image], static_cast<int>(row.v / frames), bits);
    unpack(bits, ~uint64_t{0}, row.n, row.boolean);
    write_ids(row);
  });
}

void multi_block_mask(View<const int64_t, 1> index, Draw draw, TargetLaw law,
                      View<uint64_t, 2> board, View<int64_t, 3> ids, Mask out, Stream) {
  const int64_t frames = out.boolean[1] / (law.rows * law.columns);
  each_image(index[0], kBlocksTake + patches_take(out.boolean[1]), [&](int64_t image) {
    const MaskRow row(out, image);
    const Board bits(board.data + image * board[1], 1, law.rows, law.columns);
    const int visible = static_cast<int>(row.v / frames);
    const Placement placement = show_context(law, draw, index.data[image], visible, bits);
    for (int t = 0; t < law.targets; ++t)
      write_box(placement.target(law, draw, index.data[image], t), law, frames,
                ids.data + (image * law.targets + t) * ids[2]);
    unpack(bits, ~uint64_t{0}, row.n, row.boolean);
    write_ids(row);
  });
}

}  // namespace pymim::cpu::PYMIM_ISA
