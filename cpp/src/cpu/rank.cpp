// Ranking on the CPU. The relative loss: threads over columns, SIMD across a block of them, rows streamed past
// it. A pair costs no exponential and no logarithm: e^(s_j - s_i) is a product of two factors per patch, and
// the terms 1 + e^x of a patch are multiplied up, their exponent bits moved aside before they overflow.
#include "../rank.hpp"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <limits>

#include "math.hpp"
#include "parallel.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

#if defined(__AVX512F__)
constexpr size_t kBytes = 64;
#elif defined(__AVX2__)
constexpr size_t kBytes = 32;
#else
constexpr size_t kBytes = 16;
#endif

template <class T>
struct Number;

template <>
struct Number<float> {
  using Int = int32_t;
  static constexpr int kMantissa = 23;
  static constexpr Int kOne = 0x3f800000;
  static constexpr float kLargest = 86;  // natural logarithms: what a product may reach
  static constexpr float kWidest = 40;   // and what its terms may: beyond, softplus(x) = x
};

template <>
struct Number<double> {
  using Int = int64_t;
  static constexpr int kMantissa = 52;
  static constexpr Int kOne = 0x3ff0000000000000;
  static constexpr double kLargest = 700;
  static constexpr double kWidest = 300;
};

// One register of numbers: arithmetic, comparison and choice act lane by lane.
template <class T>
struct Vector {
  using Int = typename Number<T>::Int;
  static constexpr int64_t kLanes = kBytes / sizeof(T);
  typedef T Lanes __attribute__((vector_size(kBytes)));
  typedef Int Bits __attribute__((vector_size(kBytes)));
};

template <class T>
typename Vector<T>::Lanes reciprocal(typename Vector<T>::Lanes x) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>) {  // 14 bits, and a Newton step to all of them
    const __m512 guess = _mm512_maskz_rcp14_ps(0xffff, x);
    return _mm512_fmadd_ps(guess, _mm512_fnmadd_ps(guess, x, _mm512_set1_ps(1.f)), guess);
  }
#endif
  return T{1} / x;
}

float exponential(float x) { return exp(x); }
double exponential(double x) { return std::exp(x); }
float logarithm(float x) { return log(x); }
double logarithm(double x) { return std::log(x); }

// One image: its patches as rows to be streamed past a block of themselves.
template <class T>
struct Image {
  const T *scores, *losses, *weights;
  T *grown, *shrunk, *spread;  // e^(s - c), e^(c - s), largest s - smallest s
  int64_t m;
  T epsilon;

  Image(const View<const T, 2>& s, const View<const T, 2>& l, const View<const T, 2>& w,
        const View<T, 2>& scratch, double epsilon, int64_t image)
      : scores(s.data + image * s[1]),
        losses(l.data + image * s[1]),
        weights(w.present() ? w.data + image * s[1] : nullptr),
        grown(scratch.data + image * scratch[1]),
        shrunk(grown + s[1]),
        spread(shrunk + s[1]),
        m(s[1]),
        epsilon(static_cast<T>(epsilon)) {}

  bool factored() const { return *spread <= Number<T>::kWidest; }
  int64_t rows_per_product() const {
    const T widest = factored() ? *spread : Number<T>::kWidest;
    return static_cast<int64_t>(Number<T>::kLargest / (widest + T(0.7)));
  }
};

template <class T>
void factor(const Image<T>& image) {
  T low = image.scores[0], high = low;
#pragma omp simd reduction(min : low) reduction(max : high)
  for (int64_t i = 1; i < image.m; ++i) {
    low = image.scores[i] < low ? image.scores[i] : low;
    high = image.scores[i] > high ? image.scores[i] : high;
  }
  *image.spread = high - low;
  if (!image.factored()) return;
  const T centre = low + (high - low) / 2;
#pragma omp simd
  for (int64_t i = 0; i < image.m; ++i) image.grown[i] = exponential(image.scores[i] - centre);
#pragma omp simd
  for (int64_t i = 0; i < image.m; ++i) image.shrunk[i] = 1 / image.grown[i];
}

// The running sums of a block of columns.
template <class T>
struct Block {
  using Lanes = typename Vector<T>::Lanes;
  using Bits = typename Vector<T>::Bits;
  static constexpr int64_t kLanes = Vector<T>::kLanes;

  int64_t first, count;
  Lanes score{}, loss{}, weight{}, grown{}, shrunk{};
  Lanes product{}, beyond{}, gradient{};
  Bits exponent{}, pairs{};

  // A lane past the last patch repeats it, and is not written.
  Block(const Image<T>& image, int64_t first_column)
      : first(first_column), count(image.m - first < kLanes ? image.m - first : kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const int64_t j = first + (lane < count ? lane : count - 1);
      score[lane] = image.scores[j], loss[lane] = image.losses[j];
      weight[lane] = image.weights ? image.weights[j] : 1;
      if (image.factored()) grown[lane] = image.grown[j], shrunk[lane] = image.shrunk[j];
      product[lane] = 1;
    }
  }

  // +-e^x of the pairs with row i, x = lower score - higher score: positive where this block's score is the
  // lower, zero where the losses are equal.
  template <bool kFactored>
  Lanes signed_odds(const Image<T>& image, int64_t i, Bits lower, Bits higher) {
    if constexpr (kFactored) {
      const Lanes negative = higher ? -shrunk * image.grown[i] : Lanes{};
      return lower ? grown * image.shrunk[i] : negative;
    }
    const Lanes difference = score - image.scores[i];
    const Lanes x = lower ? difference : -difference;
    const Lanes widest = Lanes{} + Number<T>::kWidest;
    const Lanes within = x < widest ? x : widest;
    if (image.epsilon == 0) beyond += lower | higher ? x - within : Lanes{};
    Lanes odds;
    for (int64_t lane = 0; lane < kLanes; ++lane) odds[lane] = exponential(within[lane]);
    const Lanes negative = higher ? -odds : Lanes{};
    return lower ? odds : negative;
  }

  // Adds the pairs with row i: log(1 + e^x) to the sums, its derivative to the lower score, minus it to the
  // higher.
  template <bool kFactored, bool kDamped, bool kWeighted>
  void add(const Image<T>& image, int64_t i) {
    const Bits lower = loss<image.losses[i], higher = loss> image.losses[i];
    Lanes t = signed_odds<kFactored>(image, i, lower, higher);
    const Lanes u = 1 + magnitude(t);
    pairs = lower | higher ? pairs + 1 : pairs;
    if constexpr (kWeighted) t *= weight + image.weights[i];
    if constexpr (kDamped) {
      const Lanes damp = 1 + image.epsilon * u;
      product *= lower | higher ? u * reciprocal<T>(damp) : Lanes{} + 1;
      gradient += t * reciprocal<T>(u * damp);
    } else {
      product *= u;
      gradient += t * reciprocal<T>(u);
    }
  }

  static Lanes magnitude(const Lanes& x) {
    Bits bits;
    std::memcpy(&bits, &x, sizeof bits);
    bits &= std::numeric_limits<typename Number<T>::Int>::max();
    Lanes result;
    std::memcpy(&result, &bits, sizeof bits);
    return result;
  }

  void set_exponent_aside() {
    Bits bits;
    std::memcpy(&bits, &product, sizeof bits);
    bits -= Number<T>::kOne;
    exponent += bits >> Number<T>::kMantissa;
    bits = (bits & ((typename Number<T>::Int{1} << Number<T>::kMantissa) - 1)) + Number<T>::kOne;
    std::memcpy(&product, &bits, sizeof bits);
  }

  template <bool kFactored, bool kDamped, bool kWeighted>
  void add_all(const Image<T>& image) {
    const int64_t rows = image.rows_per_product();
    for (int64_t begin = 0; begin < image.m; begin += rows) {
      const int64_t end = begin + rows < image.m ? begin + rows : image.m;
      for (int64_t i = begin; i < end; ++i) add<kFactored, kDamped, kWeighted>(image, i);
      set_exponent_aside();
    }
    if (!kWeighted) gradient *= 2;  // every pair counts in both of its patches
  }

  template <bool kFactored, bool kDamped>
  void add_all(const Image<T>& image) {
    image.weights ? add_all<kFactored, kDamped, true>(image) : add_all<kFactored, kDamped, false>(image);
  }

  void add_all(const Image<T>& image) {
    if (image.factored())
      image.epsilon > 0 ? add_all<true, true>(image) : add_all<true, false>(image);
    else
      image.epsilon > 0 ? add_all<false, true>(image) : add_all<false, false>(image);
  }

  void write(const PairSums<T>& out, int64_t offset) const {
    constexpr T ln2 = T(0.693147180559945309417);
    for (int64_t lane = 0; lane < count; ++lane) {
      const int64_t j = offset + first + lane;
      if (out.sums.present())
        out.sums.data[j] = static_cast<T>(exponent[lane]) * ln2 + logarithm(product[lane]) + beyond[lane];
      if (out.pairs.present()) out.pairs.data[j] = pairs[lane];
      if (out.gradient.present()) out.gradient.data[j] = gradient[lane];
    }
  }
};

// The bits of a number, reordered so that unsigned integers sort as the numbers do; -0 equals 0.
uint32_t sort_key(float value) {
  uint32_t bits;
  value += 0.f;
  std::memcpy(&bits, &value, sizeof bits);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

uint64_t sort_key(double value) {
  uint64_t bits;
  value += 0.;
  std::memcpy(&bits, &value, sizeof bits);
  return bits >> 63 ? ~bits : bits | 0x8000000000000000u;
}

template <class T>
struct Item {
  decltype(sort_key(T{})) key;
  uint32_t id;
};

// Sorts by key, a byte at a time from the lowest; equal keys keep their order. Returns whichever of the two
// arrays holds the answer.
template <class T>
const Item<T>* radix_sort(Item<T>* from, Item<T>* to, int64_t m) {
  constexpr int kPasses = sizeof(T);
  uint32_t starts[kPasses][256] = {};
  for (int64_t i = 0; i < m; ++i)
    for (int pass = 0; pass < kPasses; ++pass) ++starts[pass][from[i].key >> (8 * pass) & 255];
  for (int pass = 0; pass < kPasses; ++pass) {
    uint32_t next = 0;
    for (uint32_t& start : starts[pass]) {
      const uint32_t size = start;
      start = next;
      next += size;
    }
    for (int64_t i = 0; i < m; ++i) to[starts[pass][from[i].key >> (8 * pass) & 255]++] = from[i];
    Item<T>* swapped = from;
    from = to;
    to = swapped;
  }
  return from;
}

}  // namespace

template <class T>
void relative_loss(View<const T, 2> scores, View<const T, 2> losses, View<const T, 2> weights, double epsilon,
                   View<T, 2> scratch, PairSums<T> out, Stream) {
  const int64_t m = scores[1], blocks = (m + Vector<T>::kLanes - 1) / Vector<T>::kLanes;
  if (m == 0) return;
  const auto image = [&](int64_t b) { return Image<T>(scores, losses, weights, scratch, epsilon, b); };
  parallel_for(scores[0], 1 + 4096 / m, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) factor(image(b));
  });
  parallel_for(scores[0] * blocks, 1 + 4096 / m, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const Image<T> rows = image(task / blocks);
      Block<T> block(rows, task % blocks * Vector<T>::kLanes);
      block.add_all(rows);
      block.write(out, task / blocks * m);
    }
  });
}

template <class T>
void rank(View<const T, 2> scores, bool descending, View<int64_t, 2> scratch, Order out, Stream) {
  const int64_t m = scores[1], k = out.ids[1];
  parallel_for(scores[0], 1 + 1024 / (m + 1), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      auto* items = reinterpret_cast<Item<T>*>(scratch.data + b * scratch[1]);
      for (int64_t i = 0; i < m; ++i) {
        const auto key = sort_key(scores.data[b * m + i]);
        items[i] = {descending ? ~key : key, static_cast<uint32_t>(i)};
      }
      const Item<T>* sorted = radix_sort(items, items + m, m);
      if (out.ids.present())
        for (int64_t place = 0; place < k; ++place) out.ids.data[b * k + place] = sorted[place].id;
      if (out.ranks.present())
        for (int64_t place = 0; place < m; ++place) out.ranks.data[b * m + sorted[place].id] = place;
    }
  });
}

#define PYMIM_INSTANTIATE(T)                                                                            \
  template void relative_loss(View<const T, 2>, View<const T, 2>, View<const T, 2>, double, View<T, 2>, \
                              PairSums<T>, Stream);                                                     \
  template void rank(View<const T, 2>, bool, View<int64_t, 2>, Order, Stream)
PYMIM_INSTANTIATE(float);
PYMIM_INSTANTIATE(double);

}  // namespace pymim::cpu::PYMIM_ISA
