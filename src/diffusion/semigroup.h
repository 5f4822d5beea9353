/* Exact drifts of diffusions that end on a target π, for the families where they have a closed form.
 *
 *   π(y) = Σ_j a_j N(y; m_j, diag s_j²) cos(w_j·y),   f = π / N(0, σ²I)
 *   S f(x) = E f(c x + σ√τ Z),   Z ~ N(0, I)
 *
 * Ornstein–Uhlenbeck at noising time t: c = e^{−t}, τ = 1 − e^{−2t}; Brownian at Föllmer time t: c = 1, τ = 1 − t.  The
 * drift is ∇ ln S f, the score of the noised law ∇ ln S f − x/σ² (OU).  Gaussians and mixtures have w = 0; the cosine
 * family f = 1 + Σ a_k (cos w_k·x − e^{−‖w_k‖²/2}) has m = 0, s = 1.  Vargas, Reu and Kerekes 2023, §3; Tzen and
 * Raginsky 2019 for the Brownian case.  Knows nothing of networks. */
#ifndef TB_DIFFUSION_SEMIGROUP_H
#define TB_DIFFUSION_SEMIGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum tb_diffusion { TB_DIFFUSION_OU, TB_DIFFUSION_BROWNIAN } tb_diffusion;

typedef struct tb_family {
  size_t dims, count;
  double sigma;            /* of the reference N(0, σ²I) */
  const double *weight;    /* a [count]; sum of the terms' integrals: Z */
  const double *mean, *sd; /* [count,d] */
  const double *frequency; /* [count,d]; NULL: all zero, and then every a > 0 */
} tb_family;

typedef struct tb_smoothing {
  double keep, spread; /* c, τ */
} tb_smoothing;

tb_smoothing tb_smoothing_at(tb_diffusion, double t);

/* ln S f(x), and its gradient [d] where asked for.  −inf where S f is not positive (a family with cosines may be no
 * density), the gradient then NaN. */
double tb_semigroup(const tb_family *, tb_smoothing, const double *x, double *gradient);

/* Z, the integral of π. */
double tb_family_normaliser(const tb_family *);
/* The i-th exact draw of π/Z, keyed by (seed, i).  With cosines: by rejection from their common Gaussian. */
void tb_family_draw(const tb_family *, uint64_t seed, uint64_t i, double *x);
/* The i-th draw of the process at time t: OU p_t, Brownian the Föllmer process x_t = t y + σ√(t(1−t)) Z, y ~ π.  Draws
 * of one i at several t share y and Z. */
void tb_family_draw_at(const tb_family *, tb_diffusion, double t, uint64_t seed, uint64_t i, double *x);

#endif
