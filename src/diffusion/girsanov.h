/* Divergences between the diffusion P that ends on π exactly and the one Q that follows an approximate drift v̂, both
 * started from P's law at the far end (OU: p_1; Brownian: the origin), over a unit of time:
 *
 *   OU        dy = −(y − 2σ² v̂) dt + σ√2 dW      KL(P‖Q) = σ²  ∫ E_P ‖v − v̂‖² dt
 *   Brownian  dy = σ² v̂ dt + σ dW                KL(P‖Q) = σ²/2 ∫ E_P ‖v − v̂‖² dt
 *
 * and KL(Q‖P) with E_Q.  Each has a second estimate that does not know v: the path weights w = dP/dQ (normalised), by
 * Girsanov's theorem: KL(P‖Q) = E_P ln w = EUBO − ln Z, KL(Q‖P) = −E_Q ln w = ln Z − ELBO.  Those run on a grid of
 * steps with exact linear part and on every second point of it; extrapolation removes the error of first order, and
 * E_P w^{−1} = E_Q w = 1 serve as control variates. */
#ifndef TB_DIFFUSION_GIRSANOV_H
#define TB_DIFFUSION_GIRSANOV_H

#include <tiebreak/base.h>

#include "diffusion/semigroup.h"

/* v̂: drift[n,d] at x[n,d] and one time (OU: noising time; Brownian: Föllmer time). */
typedef struct tb_drift_map {
  void *user;
  tb_status (*at)(void *user, double t, size_t n, const double *x, double *drift);
} tb_drift_map;

typedef struct tb_estimated {
  double value, se; /* standard error of the mean over draws */
} tb_estimated;

typedef struct tb_girsanov {
  tb_context *context;
  const tb_family *family;
  tb_diffusion process;
  tb_drift_map drift;
  uint64_t seed;
  size_t draws; /* paths, or points at each time */
  size_t steps; /* of a path; even */
} tb_girsanov;

/* One step of Q: y' = keep·y + push·v̂ + shake·ξ, ξ ~ N(0, I); the reference takes the same step without v̂. */
typedef struct tb_chain_step {
  double keep, push, shake;
} tb_chain_step;
tb_chain_step tb_girsanov_step(const tb_girsanov *);
/* Time (as in `at`) at which step k begins. */
double tb_girsanov_time(const tb_girsanov *, size_t k);

/* KL(P‖Q): Gauss–Legendre in √t (√(1−t) for Brownian), exact draws of P at each node. */
tb_status tb_girsanov_forward(const tb_girsanov *, tb_estimated *kl);
/* KL(P‖Q) again: EUBO − ln Z on paths of P. */
tb_status tb_girsanov_forward_weights(const tb_girsanov *, tb_estimated *kl);
/* KL(Q‖P) on paths of Q: by ‖v − v̂‖², and as ln Z − ELBO. */
tb_status tb_girsanov_reverse(const tb_girsanov *, tb_estimated *kl, tb_estimated *weights);
/* n points of Q's end, [n,d]. */
tb_status tb_girsanov_sample(const tb_girsanov *, size_t n, double *x);

#endif
