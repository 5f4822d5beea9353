/* What the files of reverse samplers share. */
#ifndef TB_DIFFUSION_REVERSE_PARTS_H
#define TB_DIFFUSION_REVERSE_PARTS_H

#include "diffusion/reverse.h"

struct tb_reverse {
  tb_context *context;
  const tb_reverse_sampler *sampler;
  const tb_process *process;
  const tb_score *score;
  tb_reverse_options options;
  size_t rows, size;        /* n, n·d */
  uint32_t step;            /* of the walk, from 0: the key of its noise */
  double *noise;            /* [n,d]: ε̂ */
  double *drawn;            /* [n,d]: ξ */
  double *other, *previous; /* [n,d]: a sampler's own */
  double last;              /* a sampler's own */
  long evaluations;
};

/* The purposes for which a step draws. */
#define TB_REVERSE_NOISE     "reverse noise"
#define TB_REVERSE_CORRECTOR "reverse corrector"

/* r->noise = ε̂(x, t) */
tb_status tb_reverse_look(tb_reverse *, const tb_noising *, const double *x);
/* r->drawn = fresh normals of this step for that purpose */
void tb_reverse_draw(tb_reverse *, const char *purpose);

extern const tb_reverse_sampler tb_reverse_em, tb_reverse_ancestral, tb_reverse_exponential, tb_reverse_pc;
extern const tb_reverse_sampler tb_reverse_ddim, tb_reverse_heun, tb_reverse_dpmpp2m, tb_reverse_rk45;

#endif
