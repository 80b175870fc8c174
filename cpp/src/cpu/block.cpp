// The block policies on the CPU: threads over images, a row of patches a word.
#include "../block.hpp"

#include "../rectangles.hpp"
#include "choose.hpp"
#include "parallel.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

constexpr int64_t kImages = 16;  // the fewest that are worth a thread

// Calls body(image) for every image, on some thread.
template <class Body>
void each_image(int64_t images, Body body) {
  parallel_for(
      images, kImages,
      [&](int64_t begin, int64_t end) {
        for (int64_t image = begin; image < end; ++image) body(image);
      },
      8);
}

// Candidates whose words are drawn by the vector: of every other block, as those between are only for frames.
struct CandidateVectors : Candidates {
  Word words[2 * kWords];
  uint32_t first = 0, end = 0;

  CandidateVectors(const Draw& draw, int64_t image) : Candidates{draw, image} {}

  Words operator()(uint32_t k) {
    if (k >= end) {
      first = k;
      end = k + 2 * kBlocks;
      store_words<2, 2>(draw, image, first_block(Role::rectangles) + kBlockWords + 2 * k, words);
    }
    const Word* at = words + 4 * (k - first);
    return {at[0], at[1], at[2], at[3]};
  }
};

#if defined(__AVX512BW__)
void unpack_word(uint64_t word, int count, bool* flags) {
  const __mmask64 inside = ~uint64_t{0} >> (64 - count);
  _mm512_mask_storeu_epi8(flags, inside, _mm512_maskz_set1_epi8(word, 1));
}
#else
void unpack_word(uint64_t word, int count, bool* flags) {
  for (int i = 0; i < count; ++i) flags[i] = word >> i & 1;
}
#endif

// Bits to flags, over and over until all n patches have one.
void unpack(const Board& board, uint64_t flip, int64_t n, bool* flags) {
  for (const bool* end = flags + n; flags < end;) {
    const uint64_t* word = board.words;
    for (int row = 0; row < board.frames * board.rows; ++row)
      for (int left = board.columns; left > 0; left -= 64) {
        const int count = left < 64 ? left : 64;
        unpack_word(*word++ ^ flip, count, flags);
        flags += count;
      }
  }
}

// The ids of one box of a frame, in every frame.
void write_box(const Box& box, const TargetLaw& law, int64_t frames, int64_t* ids) {
  for (int64_t f = 0; f < frames; ++f)
    for (int r = box.row; r < box.row + box.rows; ++r)
      for (int c = box.column; c < box.column + box.columns; ++c) *ids++ = (f * law.rows + r) * law.columns + c;
}

}  // namespace

void block_mask(View<const int64_t, 1> index, Draw draw, BlockLaw law, View<uint64_t, 2> board, Mask out,
                Stream) {
  each_image(index[0], [&](int64_t image) {
    const Row row(out, image);
    const Board bits{board.data + image * board[1], law.frames, law.rows, law.columns};
    hide_blocks(law, CandidateVectors(draw, index.data[image]), static_cast<int>(row.m), true, bits);
    unpack(bits, 0, row.n, row.boolean);
    write_ids(row);
  });
}

void ragged_block_mask(View<const int64_t, 1> index, Draw draw, BlockLaw law, int64_t hidden,
                       View<uint64_t, 2> board, View<bool, 2> boolean, View<int64_t, 1> count, Stream) {
  each_image(index[0], [&](int64_t image) {
    const Board bits{board.data + image * board[1], law.frames, law.rows, law.columns};
    count.data[image] =
        hide_blocks(law, CandidateVectors(draw, index.data[image]), static_cast<int>(hidden), false, bits);
    unpack(bits, 0, boolean[1], boolean.data + image * boolean[1]);
  });
}

void inverse_block_mask(View<const int64_t, 1> index, Draw draw, WindowLaw law, View<uint64_t, 2> board,
                        Mask out, Stream) {
  const int64_t frames = out.boolean[1] / (law.rows * law.columns);
  each_image(index[0], [&](int64_t image) {
    const Row row(out, image);
    const Board bits{board.data + image * board[1], 1, law.rows, law.columns};
    show_window(law, draw, index.data[image], static_cast<int>(row.v / frames), bits);
    unpack(bits, ~uint64_t{0}, row.n, row.boolean);
    write_ids(row);
  });
}

void multi_block_mask(View<const int64_t, 1> index, Draw draw, TargetLaw law, View<uint64_t, 2> board,
                      View<int64_t, 3> ids, Mask out, Stream) {
  const int64_t frames = out.boolean[1] / (law.rows * law.columns);
  each_image(index[0], [&](int64_t image) {
    const Row row(out, image);
    const Board bits{board.data + image * board[1], 1, law.rows, law.columns};
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
