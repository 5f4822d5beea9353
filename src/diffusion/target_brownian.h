/* The Brownian target's data, from which its normaliser follows by quadrature over the two scales. */
#ifndef TB_DIFFUSION_TARGET_BROWNIAN_H
#define TB_DIFFUSION_TARGET_BROWNIAN_H

#include "diffusion/density.h"

enum { TB_BROWNIAN_PUBLISHED = 20 };

typedef struct tb_brownian {
  size_t steps;    /* T of the path */
  size_t observed; /* observations */
  double *at;      /* [observed]: their places on the path, from 0 */
  double *y;       /* [observed] */
} tb_brownian;

/* NULL: another target. */
const tb_brownian *tb_density_brownian(const tb_density *);

#endif
