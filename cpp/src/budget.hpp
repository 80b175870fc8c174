// How many visible patches each of several grids gets: a Dirichlet draw, rounded to an exact total.
// As in key.hpp, the same bits on every device.
#pragma once

#include "key.hpp"

namespace pymim {
namespace {

constexpr uint32_t kAttempts = 64;  // at acceptance above 3/4, one draw in 10^38 needs more

// ln of a Gamma(alpha, 1) variate (Marsaglia & Tsang 2000, normals by Marsaglia's polar method), of
// which alpha < 1 is drawn as Gamma(alpha + 1) U^(1 / alpha).
PYMIM_HOST_DEVICE inline float log_gamma_variate(const Draw& draw, int64_t image, uint32_t first,
                                                 float alpha) {
  const float d = (alpha < 1.f ? alpha + 1.f : alpha) - 0.33333333f, c = 1.f / std::sqrt(9.f * d);
  for (uint32_t attempt = 0; attempt < kAttempts; ++attempt) {
    const Words words = random_words(draw, image, first + attempt);
    const float a = 2.f * open_unit(words.x) - 1.f, b = 2.f * open_unit(words.y) - 1.f,
                q = a * a + b * b;
    if (q >= 1.f || q < 0x1p-60f) continue;
    const float normal = a * std::sqrt(-2.f * exact_log(q) / q), t = 1.f + c * normal;
    if (t < 0x1p-30f) continue;
    const float v = t * t * t;
    if (exact_log(open_unit(words.z)) >= 0.5f * normal * normal + d - d * v + d * exact_log(v))
      continue;
    return exact_log(d * v) + (alpha < 1.f ? exact_log(open_unit(words.w)) / alpha : 0.f);
  }
  return exact_log(d);
}

// Fills counts[g], which sum to `visible`.
PYMIM_HOST_DEVICE inline void share_budget(const Draw& draw, int64_t image, const Budget& budget,
                                           int64_t visible, int64_t* counts) {
  float share[Budget::kMost], most = -3e38f, sum = 0.f;
  const auto grids = static_cast<uint32_t>(budget.grids);
  for (uint32_t g = 0; g < grids; ++g) {
    share[g] =
        log_gamma_variate(draw, image, first_block(Role::shares) + g * kAttempts, budget.alpha[g]);
    most = share[g] > most ? share[g] : most;
  }
  for (uint32_t g = 0; g < grids; ++g) {
    const float below_most = share[g] - most;
    share[g] = exact_exp(below_most > -87.f ? below_most : -87.f);
    sum = sum + share[g];
  }
  int64_t left = visible;
  for (uint32_t g = 0; g < grids; ++g) {
    share[g] = static_cast<float>(visible) * share[g] / sum;
    const auto whole = static_cast<int64_t>(share[g]);
    // A large share may be rounded up.
    const int64_t room = budget.sizes[g] < left ? budget.sizes[g] : left;
    counts[g] = whole < room ? whole : room;
    left -= counts[g];
  }
  for (; left > 0; --left) {  // to the grid that is furthest below its share and not full
    uint32_t neediest = grids;
    float need = 0.f;
    for (uint32_t g = 0; g < grids; ++g) {
      const float lacks = share[g] - static_cast<float>(counts[g]);
      if (counts[g] == budget.sizes[g] || (neediest < grids && lacks <= need)) continue;
      neediest = g;
      need = lacks;
    }
    ++counts[neediest];
  }
}

}  // namespace
}  // namespace pymim
