// The pairs of an image, for the relative loss: SIMD across a block of columns, rows streamed past
// it. A pair costs no exponential and no logarithm: e^(s_j - s_i) is a product of two factors per
// patch, and the terms 1 + e^x of a patch are multiplied up, their exponent bits moved aside before
// they overflow.
#pragma once

#include <limits>

#include "../rank.hpp"
#include "math.hpp"
#include "register.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

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

float exponential(float x) { return exp(x); }
double exponential(double x) { return std::exp(x); }
float logarithm(float x) { return log(x); }
double logarithm(double x) { return std::log(x); }

// One image: its patches as rows to be streamed past a block of themselves. `grown` times another
// patch's `shrunk` is e^x of the pair.
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

// The running sums of a block of columns, a register of them. Why so: what every pair needs is a
// template parameter, so that the inner loop has no branch, and the rest (`factored`, `damped`,
// `weighted`) costs nothing where it is off. Together with products in the place of exponentials
// and logarithms it buys 16 times torch's speed at 64 x 147 (docs/speed.md).
template <class T>
struct ColumnBlock {
  using Lanes = typename Packed<T>::Lanes;
  using Bits = typename Packed<typename Number<T>::Int>::Lanes;
  static constexpr int64_t kLanes = Packed<T>::kLanes;

  int64_t first, count;
  Lanes score{}, loss{}, weight{}, grown{}, shrunk{};
  Lanes product{}, beyond{}, gradient{};
  Bits exponent{}, pairs{};

  // A lane past the last patch repeats it, and is not written.
  ColumnBlock(const Image<T>& image, int64_t first_column)
      : first(first_column), count(image.m - first < kLanes ? image.m - first : kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const int64_t j = first + (lane < count ? lane : count - 1);
      score[lane] = image.scores[j], loss[lane] = image.losses[j];
      weight[lane] = image.weights ? image.weights[j] : 1;
      if (image.factored()) grown[lane] = image.grown[j], shrunk[lane] = image.shrunk[j];
      product[lane] = 1;
    }
  }

  // +-e^x of the pairs with row i, x = lower score - higher score: positive where this block's
  // score is the lower, zero where the losses are equal.
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

  // Adds the pairs with row i: log(1 + e^x) to the sums, its derivative to the lower score, minus
  // it to the higher.
  template <bool kFactored, bool kDamped, bool kWeighted>
  void add(const Image<T>& image, int64_t i) {
    const T other = image.losses[i];
    const Bits lower = (loss < other);
    const Bits higher = (loss > other);
    Lanes t = signed_odds<kFactored>(image, i, lower, higher);
    const Lanes u = 1 + magnitude(t);
    pairs = lower | higher ? pairs + 1 : pairs;
    if constexpr (kWeighted) t *= weight + image.weights[i];
    if constexpr (kDamped) {
      const Lanes damp = 1 + image.epsilon * u;
      product *= lower | higher ? u / damp : Lanes{} + 1;
      gradient += t / (u * damp);
    } else {
      product *= u;
      gradient += t / u;
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

  // Moves the product's exponent into an integer, before it overflows.
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
    image.weights ? add_all<kFactored, kDamped, true>(image)
                  : add_all<kFactored, kDamped, false>(image);
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
        out.sums.data[j] =
            static_cast<T>(exponent[lane]) * ln2 + logarithm(product[lane]) + beyond[lane];
      if (out.pairs.present()) out.pairs.data[j] = pairs[lane];
      if (out.gradient.present()) out.gradient.data[j] = gradient[lane];
    }
  }
};

}  // namespace
}  // namespace pymim::cpu::PYMIM_ISA
