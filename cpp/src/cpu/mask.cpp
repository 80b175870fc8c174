// The mask policies on the CPU: threads over images, SIMD over patches.
#include "../mask.hpp"

#include "../budget.hpp"
#include "choose.hpp"
#include "parallel.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

constexpr double kPatch = 1.8;   // nanoseconds that a patch takes, or one of its ids
constexpr int64_t kRoom = 2048;  // keys that a thread has on its stack

// Calls fill(row, image) for every image, to set its booleans, and writes their ids.
template <class Fill>
void fill_rows(const Mask& out, Fill fill) {
  parallel_for(out.boolean[0], kPatch * static_cast<double>(out.boolean[1]),
               [&](int64_t begin, int64_t end, int) {
                 alignas(64) Word room[kRoom + kPadding];
                 for (int64_t image = begin; image < end; ++image) {
                   MaskRow row(out, image);
                   if (row.n <= kRoom) row.room = room;
                   fill(row, image);
                   write_ids(row);
                 }
               });
}

// keys[i] = key(score i of the image, keys[i]).
template <class Key>
void score_keys(const PatchScores& scores, int64_t image, Word* keys, Key key) {
  const int64_t n = scores.shape[1];
  const auto from = [&](const auto* values) {
    values += image * n;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) keys[i] = key(to_float(values[i]), keys[i]);
  };
  if (scores.type == PatchScores::f32) from(static_cast<const float*>(scores.data));
  if (scores.type == PatchScores::bf16) from(static_cast<const bfloat16*>(scores.data));
  if (scores.type == PatchScores::f16) from(static_cast<const float16*>(scores.data));
}

// `infinity` is the pattern of its format.
template <class Bits>
bool any_bad(const void* numbers, int64_t n, Bits infinity, bool refuse_negative) {
  constexpr Bits sign = static_cast<Bits>(Bits{1} << (sizeof(Bits) * 8 - 1));
  const auto* bits = static_cast<const Bits*>(numbers);
  Bits most = 0, magnitude = 0;
#pragma omp simd reduction(max : most, magnitude)
  for (int64_t i = 0; i < n; ++i) {
    const auto positive = static_cast<Bits>(bits[i] & static_cast<Bits>(~sign));
    most = bits[i] > most ? bits[i] : most;
    magnitude = positive > magnitude ? positive : magnitude;
  }
  return magnitude >= infinity || (refuse_negative && most > sign);
}

// The scale of keys made by `descending`: the numbers they stand for.
struct Numbers {
  static double number(uint32_t key) { return from_word(key >> 31 ? key : ~key ^ 0x80000000u); }
  static uint32_t key(double number) { return descending(static_cast<float>(number)); }
};

// Shows the V smallest keys, or hides the M smallest.
template <class Scale = Even>
void choose(const MaskRow& row, Drawn side, const Bracket& known) {
  const Smallest chosen =
      smallest<Scale>(row.keys(), row.n, side == Drawn::visible ? row.v : row.m, known);
  if (side == Drawn::visible)
    put_smallest<Put::clear>(row.keys(), row.n, chosen, row.boolean);
  else
    put_smallest<Put::set>(row.keys(), row.n, chosen, row.boolean);
}

}  // namespace

void uniform_mask(Index index, Draw draw, Extent grid, Extent unit, Mask out, Stream) {
  const int64_t size = unit[0] * unit[1] * unit[2], units = out.boolean[1] / size;
  fill_rows(out, [&](const MaskRow& row, int64_t image) {
    const Word* keys = row.draw_keys(draw, index.data[image], Role::uniform, units);
    // Of units larger than a patch there are at most N / 2: their flags fit behind their keys.
    bool* flags = size == 1 ? row.boolean : reinterpret_cast<bool*>(row.keys() + units);
    put_smallest<Put::clear>(keys, units, smallest(keys, units, row.v / size, anywhere(units)),
                             flags);
    if (size > 1) enlarge(flags, grid, unit, row.boolean);
  });
}

void filtered_mask(Index index, Draw draw, View<const float, 3> bank, int64_t rows, int64_t columns,
                   Mask out, Stream) {
  fill_rows(out, [&](const MaskRow& row, int64_t image) {
    const Crop crop(random_words(draw, index.data[image], first_block(Role::filtered)), bank, rows,
                    columns);
    Word* key = row.keys();
    for (int64_t y = 0; y < rows; ++y)
      for (int64_t x = 0; x < columns; ++x) *key++ = descending(crop.at(bank, rows, columns, y, x));
    choose<Numbers>(row, Drawn::visible, spanned(row.keys(), row.n));
  });
}

void weighted_mask(Index index, Draw draw, PatchScores weights, Drawn drawn, Mask out, Stream) {
  fill_rows(out, [&](const MaskRow& row, int64_t image) {
    row.draw_keys(draw, index.data[image], Role::weighted, row.n);
    score_keys(weights, image, row.keys(),
               [](float weight, uint32_t word) { return weighted_key(weight, word); });
    choose(row, drawn, spanned(row.keys(), row.n));
  });
}

void ranked_mask(Index index, Draw draw, PatchScores scores, int64_t hard, Hide hide, Mask out,
                 Stream) {
  const uint32_t reverse = hide == Hide::lowest ? 0xffffffffu : 0u;
  fill_rows(out, [&](const MaskRow& row, int64_t image) {
    Word* keys = row.keys();
    score_keys(scores, image, keys,
               [=](float score, uint32_t) { return descending(score) ^ reverse; });
    const Smallest hardest = smallest<Numbers>(keys, row.n, hard, spanned(keys, row.n));
    put_smallest<Put::set>(keys, row.n, hardest, row.boolean);
    if (hard == row.m) return;
    const int64_t rest = row.n - hard;
    row.draw_keys(draw, index.data[image], Role::ranked, rest);
    hide_larger(keys, smallest(keys, rest, row.v, anywhere(rest)), row.n, row.boolean);
  });
}

void priority_mask(Index index, Draw draw, PatchScores priority, Mask out, Stream) {
  fill_rows(out, [&](const MaskRow& row, int64_t image) {
    row.draw_keys(draw, index.data[image], Role::priority, row.n);
    score_keys(priority, image, row.keys(),
               [](float value, uint32_t word) { return priority_key(value, word); });
    choose<Numbers>(row, Drawn::hidden, spanned(row.keys(), row.n));
  });
}

void disjoint_masks(Index index, Draw draw, int64_t covered, Masks out, Stream) {
  const double one = kPatch * static_cast<double>(out.boolean[0] * out.boolean[2]);
  parallel_for(out.boolean[1], one, [&](int64_t begin, int64_t end, int) {
    for (int64_t image = begin; image < end; ++image) {
      const MaskRow first(out, 0, image);
      first.draw_keys(draw, index.data[image], Role::disjoint, first.n);
      // The keys lie in the first view's row, so its ids come last.
      for (int64_t view = out.boolean[0]; view-- > 0;) {
        const MaskRow row(out, view, image);
        const Arc arc(view, out.boolean[0], row.m, covered);
        const auto chosen = [&](int64_t count) {
          return smallest(first.keys(), row.n, count, anywhere(row.n));
        };
        put_smallest<Put::set>(first.keys(), row.n, chosen(arc.begin), row.boolean);
        for (int64_t count : {arc.end, arc.wrapped})
          put_smallest<Put::flip>(first.keys(), row.n, chosen(count), row.boolean);
        write_ids(row);
      }
    }
  });
}

void budget_mask(Index index, Draw draw, const Budget& budget, Mask out, Stream) {
  fill_rows(out, [&](const MaskRow& row, int64_t image) {
    int64_t counts[Budget::kMost], first = 0;
    share_budget(draw, index.data[image], budget, row.v, counts);
    row.draw_keys(draw, index.data[image], Role::budget, row.n);
    for (size_t g = 0; g < static_cast<size_t>(budget.grids); first += budget.sizes[g++]) {
      const Word* keys = row.keys() + first;
      const int64_t size = budget.sizes[g];
      put_smallest<Put::clear>(keys, size, smallest(keys, size, counts[g], anywhere(size)),
                               row.boolean + first);
    }
  });
}

void subset_ids(Index index, Draw draw, View<const int64_t, 2> ids, View<int64_t, 2> out, Stream) {
  const int64_t m = ids[1], k = out[1];
  parallel_for(index[0], kPatch * static_cast<double>(m), [&](int64_t begin, int64_t end, int) {
    for (int64_t image = begin; image < end; ++image) {
      const int64_t* from = ids.data + image * m;
      int64_t* to = out.data + image * k;
      uint32_t block = first_block(Role::subset);
      Word words[kWords];
      for (int64_t i = 0, left = k; left > 0; ++i) {
        if (i % kWords == 0)
          store_words(draw, index.data[image], block + static_cast<uint32_t>(i / 4), words);
        if (!keeps(words[i % kWords], left, m - i)) continue;
        *to++ = from[i];
        --left;
      }
    }
  });
}

void expand_mask(View<const bool, 2> coarse, Extent grid, Extent unit, Mask out, Stream) {
  fill_rows(out, [&](const MaskRow& row, int64_t image) {
    enlarge(coarse.data + image * coarse[1], grid, unit, row.boolean);
  });
}

void find_bad(const PatchScores& scores, bool refuse_negative, bool& bad) {
  const int64_t n = scores.shape[0] * scores.shape[1];
  bad = scores.type == PatchScores::f32 ? any_bad(scores.data, n, 0x7f800000u, refuse_negative)
        : scores.type == PatchScores::bf16
            ? any_bad(scores.data, n, uint16_t{0x7f80}, refuse_negative)
            : any_bad(scores.data, n, uint16_t{0x7c00}, refuse_negative);
}

}  // namespace pymim::cpu::PYMIM_ISA
