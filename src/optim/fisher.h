/* The Fisher matrix as weights and targets: −F⁺∇L solves the weighted least squares problem
 *
 *     min Σ_i w_i (J_i·θ' − b_i)²,   F = (1/n) Σ w_i J_iᵀJ_i,   w_i b_i = −n ∂L/∂f_i
 *
 * so that b_i is the velocity that row i's output would have alone, and no b_i vanishes. */
#ifndef TB_OPTIM_FISHER_H
#define TB_OPTIM_FISHER_H

#include "optim/method.h"

/* log_weight[n] = log w_i (−inf: no weight), target[n] = b_i e^{−η}; returns η, which is 0 unless some b_i would
 * overflow.  f[n]: outputs.
 *   logistic   w = σ(m)σ(−m)    b = y(1 + e^{−m})    empirical   w = σ(−m)²   b = y(1 + e^m)
 *   square     w = 1            b = r                empirical   w = r²       b = 1/r        */
double tb_fisher_weights(const tb_objective *, bool empirical, const double *f, double *log_weight, double *target);

#endif
