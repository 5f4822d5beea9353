/* Divergences between laws of points, by quadrature in one and two dimensions.
 *
 * All laws here are sums of Gaussians or end in a Gaussian step, so the trapezoid rule converges exponentially once its
 * spacing is below their standard deviations. */
#ifndef TB_DIFFUSION_MARGINAL_H
#define TB_DIFFUSION_MARGINAL_H

#include "diffusion/girsanov.h"

/* KL(p_t ‖ N(0, σ²I)) of the OU process at noising time t (0: the target itself).  Beyond two dimensions, and where the
 * target is too sharp for a grid, from 10⁵ exact draws. */
tb_status tb_reference_kl(tb_context *, const tb_family *, double t, tb_estimated *kl);
/* KL(π ‖ q) and KL(q ‖ π), q the law at the end of Q, carried from step to step of its chain on a grid, and
 * extrapolated from the chain of g->steps (even) and of half as many steps.
 * NaN beyond two dimensions and where the target is too sharp for the grid. */
tb_status tb_marginal_kl(const tb_girsanov *, double *forward, double *reverse);

#endif
