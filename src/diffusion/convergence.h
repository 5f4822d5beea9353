/* How much a set of draws is worth: chains by split R-hat and effective sample sizes (Vehtari, Gelman, Simpson,
 * Carpenter & Bürkner 2021), weights by their effective number and the tail of Pareto-smoothed importance sampling
 * (Vehtari, Simpson, Gelman, Yao & Gabry 2024). */
#ifndef TB_DIFFUSION_CONVERGENCE_H
#define TB_DIFFUSION_CONVERGENCE_H

#include <tiebreak/base.h>

typedef struct tb_convergence {
  double rhat; /* larger of the rank-normalised and the folded one; NaN for constant draws */
  double bulk; /* effective draws of the rank-normalised values */
  double tail; /* of the 5 % and 95 % quantiles, the smaller */
  double mean; /* effective draws of the values themselves: MCSE of the mean is sd/√mean */
} tb_convergence;

/* x[chains·length], stride apart, chain by chain; length at least 4 (else all NaN). */
tb_status tb_chain_convergence(tb_context *, size_t chains, size_t length, const double *x, size_t stride,
                               tb_convergence *);

typedef struct tb_weighing {
  double log_mean;    /* ln of the mean weight */
  double log_mean_se; /* its standard error: √((E w²/(E w)² − 1)/n) */
  double effective;   /* (Σ w)²/Σ w² */
  double mean_log;    /* mean of ln w, */
  double mean_log_se; /* and its standard error */
  double khat; /* shape of the generalised Pareto law of the largest weights; NaN for fewer than 25 draws or equal
                * weights */
} tb_weighing;

tb_status tb_weigh(tb_context *, size_t n, const double *log_weight, tb_weighing *);

/* Above it, weights (or a mean) cannot be trusted: min(1 − 1/log10 n, 0.7). */
double tb_khat_threshold(size_t n);

/* The shape k and scale of the generalised Pareto law of x[n] > 0, ascending (Zhang & Stephens 2009), k drawn towards ½
 * as by ten more points. */
void tb_pareto_fit(size_t n, const double *x, double *k, double *scale);

#endif
