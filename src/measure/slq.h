/* Stochastic Lanczos quadrature: the whole spectrum of an operator, as seen by random vectors.
 *
 * The spectral measure Σ_j (zᵀu_j)² δ(λ − λ_j) of a unit vector z has as its Gauss quadrature the eigenvalues θ and
 * squared first components of eigenvectors of the tridiagonal matrix of Lanczos started at z.  Averaged over z it is
 * the spectral density (1/p) Σ_j δ(λ − λ_j); p times its integral of f is tr f(A).
 *
 * Sources: Golub and Meurant 2010, chapter 6; Ubaru, Chen and Saad 2017 (traces); Ghorbani, Krishnan and Xiao 2019
 * (Hessian densities). */
#ifndef TB_MEASURE_SLQ_H
#define TB_MEASURE_SLQ_H

#include "measure/hutchinson.h"

typedef struct tb_spectrum {
  tb_context *context;
  size_t dimension, probes, steps; /* p; quadratures; nodes of each at most */
  double *nodes, *weights; /* [probes×steps]: of a probe ascending, its weights add up to 1, unused ones are 0 */
  size_t products;
} tb_spectrum;

/* Quadratures of `steps` nodes (at most p; exact for polynomials of degree 2 steps − 1, and altogether where the probe
 * meets no more eigenvalues than that) from each of `probes` ≥ 1 probes.  Lanczos with full reorthogonalisation, as
 * many probes side by side as the operator takes at once.  Errors: TB_USAGE for no probes or steps, those of the
 * operator. Cost probes · steps products and 4 p steps² multiply-adds a probe; memory p block (steps + 2) numbers. */
tb_status tb_slq(const tb_operator *, tb_probe, size_t probes, size_t steps, tb_key, tb_spectrum *);
void tb_spectrum_free(tb_spectrum *);

/* tr f(A) = p · mean over probes of Σ weight f(node), with its standard error over probes.  f of an exact zero may see
 * rounding of it: functions that jump at an eigenvalue are no good. */
tb_status tb_spectrum_trace(const tb_spectrum *, double (*f)(void *user, double lambda), void *user,
                            tb_trace_estimate *trace);

/* density[count] at grid[count]: every node blurred to a normal of standard deviation width > 0, so that it integrates
 * to 1.  se[count] (may be NULL): standard errors over probes.  Cost count · probes · steps. */
void tb_spectrum_density(const tb_spectrum *, double width, size_t count, const double *grid, double *density,
                         double *se);

/* The least and largest node. */
void tb_spectrum_range(const tb_spectrum *, double *least, double *largest);

#endif
