/* The Fisher matrix as weights and targets: −F⁺∇L solves the weighted least squares problem
 *
 *     min Σ_i w_i (J_i·θ' − b_i)²,   F = (1/n) Σ w_i J_iᵀJ_i,   w_i b_i = −n ∂L/∂f_i
 *
 * so that b_i is the velocity that row i's output would have alone, and no b_i vanishes. */
#ifndef TB_OPTIM_FISHER_H
#define TB_OPTIM_FISHER_H

#include "optim/method.h"

/* log_weight[n] = log w_i, log_target[n] = log |b_i| (−inf: 0), sign[n] of b_i.  f[n]: outputs.
 *   logistic   w = σ(m)σ(−m)    b = y(1 + e^{−m})    empirical   w = σ(−m)²   b = y(1 + e^m)
 *   square     w = 1            b = r                empirical   w = r²       b = 1/r        */
void tb_fisher_weights(const tb_objective *, bool empirical, const double *f, double *log_weight, double *log_target,
                       double *sign);

#endif
