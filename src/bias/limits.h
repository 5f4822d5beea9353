/* Where training may end on a classification problem: each limit is computed once, when first asked for, by convex
 * programming or least squares, never by training.
 *
 *   l2_svm, l1_svm, linf_svm   min ‖b‖ s.t. z_i·b ≥ 1, in that norm (l2: ½‖b‖²)
 *   min_norm                   X⁺y
 *   min_l1                     min ‖b‖₁ s.t. x_i·b = y_i
 *   lp_limit                   min g₀·b s.t. z_i·b ≥ 1, g₀ = Σ σ(−m_i(0)) z_i of the run's own start
 *
 * Repeated rows enter once; where X lacks column rank lp_limit is the optimum in the span of the rows. */
#ifndef TB_BIAS_LIMITS_H
#define TB_BIAS_LIMITS_H

#include "bias/classification.h"

typedef enum tb_limit {
  TB_LIMIT_L2_SVM,
  TB_LIMIT_L1_SVM,
  TB_LIMIT_LINF_SVM,
  TB_LIMIT_MIN_NORM,
  TB_LIMIT_MIN_L1,
  TB_LIMIT_LP,
  TB_LIMITS
} tb_limit;

const char *tb_limit_name(tb_limit); /* "l2_svm" */

typedef struct tb_limits tb_limits;

/* The problem is kept by reference.  start_beta[d] and start_margins[n] are those of the run at time 0. */
tb_status tb_limits_new(tb_context *, const tb_classification *, const double *start_beta, const double *start_margins,
                        tb_limits **);
void tb_limits_free(tb_limits *); /* NULL is allowed */

/* *b: d numbers, all NaN where the problem has no solution (data not separable, labels not interpolated) or the solver
 * gave up; tb_limit_trouble then says why.  Owned by the limits, as all that follows. */
tb_status tb_limits_solution(tb_limits *, tb_limit, const double **b);
/* "" or one line about that limit: not unique, given up with the solver's words. */
const char *tb_limits_trouble(tb_limits *, tb_limit);

/* Multipliers c ≥ 0 of the limit programme, Σ c_i z_i = g₀ (repeated rows share evenly), and the offset b₁ of
 * β(t) = b t + b₁ + o(1) under natural gradient flow: z_i·b₁ = −log c_i on the active rows, and β(0) off their span.
 * NaN where there is no solution; the offset also where the vertex is degenerate. */
tb_status tb_limits_programme(tb_limits *, const double **dual, const double **offset);

/* Is some b with z_i·b ≥ 1?  If not, certificate[n] ≥ 0 sums to 1 and Σ c_i z_i = 0; else it is NULL. */
tb_status tb_limits_separable(tb_limits *, bool *separable, const double **certificate);
/* The certificate in words: "0.25 x line 2 + 0.75 x line 5 = 0", the largest weights first. */
tb_status tb_certificate_text(tb_context *, const tb_classification *, const double *certificate, tb_text *);

/* Rank of X and the condition number of its kept part. */
size_t tb_limits_rank(const tb_limits *);
double tb_limits_condition(const tb_limits *);

/* True when the limit exists and is the only solution (after tb_limits_solution). */
bool tb_limits_unique(const tb_limits *, tb_limit);

#endif
