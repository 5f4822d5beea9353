/* The cosine family as numbers: its semigroups have closed forms. */
#ifndef TB_DIFFUSION_TARGET_COSINE_H
#define TB_DIFFUSION_TARGET_COSINE_H

#include "diffusion/density.h"

typedef struct tb_cosine {
  size_t terms, dims;
  double *frequencies; /* w [K,d] */
  double *amplitudes;  /* a [K] */
  double constant;     /* 1 − Σ a_k e^{−‖w_k‖²/2} */
  double least, most;  /* bounds of f: constant ∓ Σ |a_k| */
} tb_cosine;

/* f = 1 + Σ_k a_k (cos(w_k·x) − e^{−‖w_k‖²/2}) of an open density π = f N(0, I); NULL: it is none. */
const tb_cosine *tb_density_cosine(const tb_density *);

#endif
