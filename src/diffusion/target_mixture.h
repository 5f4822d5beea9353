/* Gaussian mixtures as numbers, for those who know more of them than their density: noised, they stay mixtures. */
#ifndef TB_DIFFUSION_TARGET_MIXTURE_H
#define TB_DIFFUSION_TARGET_MIXTURE_H

#include "diffusion/density.h"

typedef struct tb_mixture {
  size_t components, dims;
  double *means;            /* [K,d] */
  double *sds, *weights;    /* [K]; weights sum to 1 */
  double *scale, *constant; /* [K]: −1/(2 s²), and the log of what stands before the exponential */
} tb_mixture;

/* The mixture that an open density is; NULL: it is none. */
const tb_mixture *tb_density_mixture(const tb_density *);

/* Opens a density as a mixture of equal weights and spreads; means[K,d] are copied. */
tb_status tb_mixture_alike(tb_density *, size_t components, size_t dims, const double *means, double sd);
tb_value tb_mixture_build(const tb_density *, tb_graph *, tb_value y);
void tb_mixture_draw(const tb_density *, tb_key, uint64_t first, size_t n, double *x);

#endif
