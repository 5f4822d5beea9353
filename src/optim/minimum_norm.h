/* Minimum-norm solutions of systems with fewer rows than columns whose rows and columns may differ in size by any
 * factor, with or without a ridge.
 *
 *     min ‖x‖² + ‖z‖²   subject to   a_i·x + δ_i z_i = b_i,   i = 1 … n
 *
 * Without a ridge (δ = 0) this is x = a⁺b for a of full row rank; with δ_i² = nλ/w_i it is the damped weighted least
 * squares solution (aᵀWa/n + λI)⁻¹ aᵀWb/n.  The Jacobian of a deep net is a = X·D with columns of D that differ like
 * the powers of its weights, so plain factorisations see a condition number that isn't there. */
#ifndef TB_OPTIM_MINIMUM_NORM_H
#define TB_OPTIM_MINIMUM_NORM_H

#include <tiebreak/base.h>

typedef struct tb_minimum_norm tb_minimum_norm; /* work space and factors for one size */

tb_status tb_minimum_norm_new(tb_context *, size_t n, size_t p, tb_minimum_norm **);
void tb_minimum_norm_free(tb_minimum_norm *);

/* Factors a[n×p] with log_delta[n] = log δ_i (NULL: no ridge); a must stay as it is until the last solve.  epsilon:
 * relative error of the entries of a (that of their type).  *rank: n, or fewer, then the system can't be solved;
 * *condition (may be NULL): of the equilibrated system, infinite when rank < n. Rows of disjoint support are their own
 * factors.  Else Cholesky of the equilibrated aaᵀ + δ² with one step of refinement where that is well conditioned, else
 * Householder QR of the transpose, its rows by size and columns pivoted (row-wise stable: Cox and Higham 1998).  Cost:
 * 2n²p, then n³/3 or 4n²p. */
tb_status tb_minimum_norm_factor(tb_minimum_norm *, const double *a, const double *log_delta, double epsilon,
                                 size_t *rank, double *condition);
/* exp(*log_scale)·x[p] is the solution for b[n]; *log_scale is 0 without a ridge.  log_b[n]: log |b_i|, where b itself,
 * of which only the signs count then, may be beyond the range of double; for systems with a ridge, else NULL.  Cost:
 * np + n². */
void tb_minimum_norm_solve(tb_minimum_norm *, const double *b, const double *log_b, double *x, double *log_scale);

#endif
