/* Warm-up of Hamiltonian chains as Stan does it: dual averaging of the step size (Hoffman & Gelman 2014), a diagonal
 * metric from windows of draws that double in length (Stan reference manual, "Automatic parameter tuning"). */
#ifndef TB_DIFFUSION_ADAPTATION_H
#define TB_DIFFUSION_ADAPTATION_H

#include <stdbool.h>
#include <stddef.h>

/* ---- step size ---- */

typedef struct tb_step_size {
  double target;         /* acceptance aimed at */
  double now;            /* step to take */
  double centre;         /* μ = ln(10 ε₀) */
  double error, average; /* H̄, mean of ln ε */
  double count;
} tb_step_size;

/* Begins around a step. */
void tb_step_size_begin(tb_step_size *, double step);
/* Learns from a transition's acceptance in [0, 1]. */
void tb_step_size_learn(tb_step_size *, double acceptance);
/* The step to keep: exp of the average. */
double tb_step_size_end(const tb_step_size *);

/* ---- windows ---- */

typedef struct tb_windows {
  size_t warmup, first, last; /* iterations: all, before the first window, after the last window */
  size_t length, end;         /* of the current window; the iteration that ends it */
} tb_windows;

/* 75 + windows from 25 + 50 for 150 iterations and more, else 15 %, 75 %, 10 %; none below 20. */
tb_windows tb_windows_begin(size_t warmup);
/* Does iteration i (from 0) add to a window? */
bool tb_windows_inside(const tb_windows *, size_t i);
/* Does it end one?  Moves on to the next. */
bool tb_windows_ends(tb_windows *, size_t i);

/* ---- metric ---- */

/* Welford's running mean and sum of squares of [d] draws. */
typedef struct tb_spread {
  size_t d;
  double count;
  double *mean, *square; /* [d] each */
} tb_spread;

void tb_spread_add(tb_spread *, const double *x);
/* inverse[d] ← variances, drawn towards 1e-3 as by five draws; forgets them. */
void tb_spread_take(tb_spread *, double *inverse);

#endif
