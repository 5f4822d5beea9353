/* gmm40: forty Gaussians of unit variance whose means are JAX's uniform(PRNGKey(0), (40, d), −40, 40).
 *
 * JAX's old, non-partitionable generator: Threefry-2x32 with 20 rounds (Salmon et al. 2011) of key (0, 0) over the
 * counters 0 … 40d−1, the first half of them paired with the second; the upper 23 bits make a float in [0, 1). */
#include <math.h>

#include "diffusion/target_mixture.h"
#include "diffusion/target_parts.h"

enum { COMPONENTS = 40, MOST = 50 };

static uint32_t rotate(uint32_t x, int by) {
  return x << by | x >> (32 - by);
}

static void threefry2x32(const uint32_t key[2], uint32_t x[2]) {
  static const int turns[2][4] = { { 13, 15, 26, 6 }, { 17, 29, 16, 24 } };
  const uint32_t keys[3] = { key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA };
  x[0] += keys[0];
  x[1] += keys[1];
  for (uint32_t round = 0; round < 5; round++) {
    for (int i = 0; i < 4; i++) {
      x[0] += x[1];
      x[1] = rotate(x[1], turns[round % 2][i]) ^ x[0];
    }
    x[0] += keys[(round + 1) % 3];
    x[1] += keys[(round + 2) % 3] + round + 1;
  }
}

static double mean_of(uint32_t bits) {
  const float unit = (float)(bits >> 9) * 0x1p-23f;
  return (double)fmaf(unit, 80.0f, -40.0f);
}

static tb_status open(tb_density *density, const tb_config *config) {
  const uint32_t d = tb_config_is_set(config, "d") ? (uint32_t)tb_config_integer(config, "d") : 2, key[2] = { 0, 0 };
  double means[COMPONENTS * MOST];
  if (d != 2 && d != MOST)
    return tb_fail(density->context, TB_USAGE, "option d", "give d=2 or d=50", "gmm40 has no %u dimensions", d);
  const uint32_t half = COMPONENTS * d / 2;
  for (uint32_t i = 0; i < half; i++) {
    uint32_t pair[2] = { i, half + i };
    threefry2x32(key, pair);
    means[i] = mean_of(pair[0]);
    means[half + i] = mean_of(pair[1]);
  }
  return tb_mixture_alike(density, COMPONENTS, d, means, 1);
}

const tb_target tb_target_gmm40 = {
  .name = "gmm40",
  .summary = "forty Gaussians of unit variance, means uniform in [−40, 40]^d by JAX's PRNGKey(0) (d=2 or 50)",
  .formula = "Σ_k N(x; m_k, I)/40",
  .source = "Midgley et al. 2023; Blessing et al. 2024",
  .open = open,
  .build = tb_mixture_build,
  .draw = tb_mixture_draw,
};
