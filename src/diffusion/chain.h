/* The grids and coefficients of controlled chains, all of one form:
 *
 *   y_{k+1} = keep_k y_k + push_k f(y_k, t_k) + shake_k ξ_k,   ξ_k ~ N(0, I)
 *
 *   dds   y_0 ~ N(0, σ²I);  β_k = min(α√Δ_k, 1), keep √(1 − β²), push β², shake σβ  (Vargas et al. 2023)
 *   pis   y_0 = 0;  dy = (σ/√T)(f dt + dW): keep 1, push (σ/√T) Δ, shake (σ/√T) √Δ  (Zhang and Chen 2022)
 *
 * Without f a chain ends in N(0, σ²I) exactly, whatever its grid, and its reversal is known: from y_{k+1} back to y_k
 * by back_keep, back_shake.  So path weights have mean Z at any number of steps. */
#ifndef TB_DIFFUSION_CHAIN_H
#define TB_DIFFUSION_CHAIN_H

#include <tiebreak/base.h>

typedef enum tb_chain_grid {
  TB_CHAIN_COS4, /* Δ ∝ cos⁴(½π (u + 0.008)/1.008), u = k/K: largest first */
  TB_CHAIN_UNIFORM,
  TB_CHAIN_LINEAR, /* Δ ∝ K − k */
  TB_CHAIN_EXP     /* Δ ∝ e^{−5 k/K} */
} tb_chain_grid;

typedef enum tb_chain_kind { TB_CHAIN_DDS, TB_CHAIN_PIS } tb_chain_kind;

typedef struct tb_chain {
  size_t steps;          /* K */
  double sigma;          /* of the end without f */
  double start;          /* standard deviation of y_0 */
  double *times, *apart; /* [K]: when step k begins, and Δ_k */
  double *beta;          /* [K]: shake/σ */
  double *keep, *push, *shake, *back_keep, *back_shake;
} tb_chain;

/* numbers[TB_CHAIN_ARRAYS · steps] hold the arrays.  quirks: as published, cos4 with u = k/(K − 1), whose last step has
 * no length, and uniform with one step less than asked for. */
enum { TB_CHAIN_ARRAYS = 8 };
void tb_chain_fill(tb_chain_kind, tb_chain_grid, bool quirks, size_t steps, double horizon, double sigma, double alpha,
                   double *numbers, tb_chain *);
/* The same in memory of the arena; TB_NO_MEMORY. */
tb_status tb_chain_new(tb_arena *, tb_chain_kind, tb_chain_grid, bool quirks, size_t steps, double horizon,
                       double sigma, double alpha, tb_chain *);

#endif
