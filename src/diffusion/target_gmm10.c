/* gmm10: ten Gaussians of unit variance, their means uniform in the ball of radius 6, in any dimension (Vargas, Reu,
 * Kerekes and Bronstein 2023, appendix).  The published draw of the means isn't known; these are one draw, fixed. */
#include <math.h>

#include "diffusion/target_mixture.h"
#include "diffusion/target_parts.h"

enum { COMPONENTS = 10 };
static const double radius = 6;

static tb_status open(tb_density *density, const tb_config *config) {
  const size_t d = tb_config_is_set(config, "d") ? (size_t)tb_config_integer(config, "d") : 2;
  double *means = tb_arena_allocate(density->arena, COMPONENTS * d, sizeof *means);
  if (!means)
    return TB_NO_MEMORY;
  for (size_t k = 0; k < COMPONENTS; k++) {
    double u, length = 0, *mean = means + k * d;
    tb_random_normal((tb_key){ 0, (uint32_t)k, tb_use("gmm10 directions") }, 0, d, mean);
    tb_random_uniform((tb_key){ 0, (uint32_t)k, tb_use("gmm10 radii") }, 0, 1, &u);
    for (size_t i = 0; i < d; i++)
      length += mean[i] * mean[i];
    for (size_t i = 0; i < d; i++)
      mean[i] *= radius * pow(u, 1 / (double)d) / sqrt(length);
  }
  return tb_mixture_alike(density, COMPONENTS, d, means, 1);
}

const tb_target tb_target_gmm10 = {
  .name = "gmm10",
  .summary = "ten Gaussians of unit variance, means uniform in the ball of radius 6 (d=)",
  .formula = "equal weights",
  .source = "Vargas, Reu, Kerekes and Bronstein 2023",
  .open = open,
  .build = tb_mixture_build,
  .draw = tb_mixture_draw,
};
