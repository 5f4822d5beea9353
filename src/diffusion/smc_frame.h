/* The coordinates in which particles live: x = m + L z, with m and LLᵀ the mean and covariance of a short nuts run, or
 * x = z.  ln γ gains ln |L|, so that Z stays what it is. */
#ifndef TB_DIFFUSION_SMC_FRAME_H
#define TB_DIFFUSION_SMC_FRAME_H

#include "diffusion/sampler.h"

typedef struct tb_frame {
  size_t d;
  double *numbers; /* NULL: x = z; else mean [d], lower [d,d], ln |L| */
  double *x;       /* [rows,d]: scratch */
} tb_frame;

/* Doubles that `numbers` holds. */
size_t tb_frame_size(size_t d);
/* numbers stay the caller's (they belong into a checkpoint); rows: the most that come at once. */
tb_status tb_frame_new(tb_arena *, size_t d, double *numbers, size_t rows, tb_frame *);
tb_status tb_frame_fit(tb_frame *, const tb_sampling *, uint64_t seed);
void tb_frame_points(const tb_frame *, size_t n, const double *z, double *x);
/* z[n,d] → ln γ(x) + ln |L| [n] and its gradient in z [n,d] */
tb_status tb_frame_values(const tb_frame *, tb_density *, size_t n, const double *z, double *value, double *gradient);

#endif
