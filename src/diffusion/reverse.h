/* Running a noising process backwards: from noise to data by a score.
 *
 * A score is known as the noise it predicts, ε̂(x, t) = −σ ∇ln p_t(x); what it says of the data is D = (x − σ ε̂)/α.
 * A sampler is a step from time s to an earlier t.  Deterministic ones follow the probability flow, which in x/α is
 * d(x/α) = ε̂ d(σ/α) for every process; random ones the reversed diffusion dx = (f x + g²/σ ε̂) dt + g dW.
 * (Song et al. 2021, ICLR; Karras et al. 2022; Lu et al. 2022.) */
#ifndef TB_DIFFUSION_REVERSE_H
#define TB_DIFFUSION_REVERSE_H

#include "diffusion/noised.h"

typedef struct tb_score {
  size_t dims;
  void *self;
  /* noise[n,d] of x[n,d] at one time */
  tb_status (*noise)(void *self, const tb_noising *, size_t n, const double *x, double *noise);
  /* also trace[n] = tr ∂ε̂/∂x, or uᵀ ∂ε̂/∂x u with u the rows of probe[n,d] where that isn't NULL */
  tb_status (*trace)(void *self, const tb_noising *, size_t n, const double *x, const double *probe, double *noise,
                     double *trace);
} tb_score;

/* The exact score; the target must outlive it. */
tb_score tb_score_exact(tb_noised *);

typedef struct tb_reverse tb_reverse;

typedef struct tb_reverse_sampler {
  const char *name, *summary, *formula, *source;
  bool random;   /* draws noise as it goes */
  bool adaptive; /* chooses its own steps: one stretch from start to end is enough */
  int order;     /* of the error in the number of steps: of end points, or of the law where it is random; 0: none */
  double evaluations; /* of the score, a step; NaN: adaptive */
  tb_status (*step)(tb_reverse *, const tb_noising *from, const tb_noising *to, double *x);
} tb_reverse_sampler;

/* The table, ended by NULL: em, ancestral, exponential, ddim, heun, dpmpp2m, pc, rk45. */
const tb_reverse_sampler *const *tb_reverse_samplers(void);
const tb_reverse_sampler *tb_reverse_sampler_find(const char *name);

typedef struct tb_reverse_options {
  uint64_t seed;
  double snr;       /* of pc's corrector; 0.16 is usual */
  double tolerance; /* of rk45, relative and absolute */
  /* Where noise comes from: out[count] for the given step and purpose; NULL: keyed normals. */
  void (*draw)(void *user, const char *purpose, uint32_t step, size_t count, double *out);
  void *user;
} tb_reverse_options;

/* Work space for n rows; score and process must outlive it. */
tb_status tb_reverse_new(tb_context *, const tb_reverse_sampler *, const tb_process *, const tb_score *,
                         const tb_reverse_options *, size_t n, tb_reverse **);
void tb_reverse_free(tb_reverse *); /* NULL is allowed */
/* Takes x[n,d] through times[0] > … > times[steps] > 0.  go_on (may be NULL) is asked after every step with the
 * fraction done; false ends the walk with TB_STOPPED.  TB_FAILED where x leaves the finite numbers. */
tb_status tb_reverse_walk(tb_reverse *, size_t steps, const double *times, double *x,
                          bool (*go_on)(void *user, double fraction), void *user);
long tb_reverse_evaluations(const tb_reverse *); /* calls of the score so far */

/* ---- what is known exactly on Gaussian data, coordinate by coordinate ---- */

/* The probability flow's map of x from one time to another when the data are N(mean, sd²). */
double tb_reverse_gaussian_map(const tb_noising *from, const tb_noising *to, double mean, double sd, double x);
/* Mean and standard deviation of what a sampler makes of N(start_mean, start_sd²) when the score is that of N(mean,
 * sd²) in one dimension: its chain is linear, so the law of its end is found by following three points.  Not rk45. */
tb_status tb_reverse_law(tb_context *, const tb_reverse_sampler *, const tb_process *, const tb_reverse_options *,
                         size_t steps, const double *times, double mean, double sd, double start_mean, double start_sd,
                         double *end_mean, double *end_sd);

/* ---- likelihood ---- */

/* ln of the density at x[n,d] at times[0] = from of what the probability flow makes of N(0, sd² I) (start NULL) or of
 * the noised target `start` at time `to`: ln p(x) = ln p_to(y) + d ln(α_from/α_to) + ∫ α tr ∂ε̂/∂x d(σ/α).
 * probe: NULL for exact traces, else ±1 [n,d]. */
tb_status tb_reverse_likelihood(tb_context *, const tb_process *, const tb_score *, double from, double to,
                                double tolerance, const double *probe, tb_noised *start, double sd, size_t n,
                                const double *x, double *log_density);

#endif
