/* The quadratures of marginal.h. */
#include "diffusion/marginal.h"

#include <math.h>
#include <string.h>

#include <tiebreak/statistics.h>

static const double two_pi = 6.28318530717958647693;

/* Points −reach, −reach + spacing, … on each axis. */
typedef struct grid {
  size_t dims, side, count; /* count = side^dims */
  double reach, spacing;
} grid;

enum { MOST_SIDE = 1500, DRAWS = 100000 };

/* The smallest standard deviation of the target's terms. */
static double sharpest(const tb_family *f) {
  double least = f->sigma;
  for (size_t k = 0; k < f->count * f->dims; k++)
    least = fmin(least, f->sd[k]);
  return least;
}

static grid grid_over(const tb_family *f, double spacing, double deviations) {
  double reach = deviations * f->sigma;
  for (size_t k = 0; k < f->count * f->dims; k++)
    reach = fmax(reach, fabs(f->mean[k]) + deviations * f->sd[k]);
  const double parts = ceil(2 * reach / spacing);
  if (f->dims > 2 || parts >= MOST_SIDE)
    return (grid){ 0 };
  const size_t side = (size_t)parts + 1;
  return (grid){ f->dims, side, f->dims == 2 ? side * side : side, reach, 2 * reach / parts };
}

static void point(const grid *g, size_t i, double *x) {
  x[0] = -g->reach + g->spacing * (double)(g->dims == 2 ? i / g->side : i);
  x[1] = -g->reach + g->spacing * (double)(i % g->side);
}

/* ln N(x; 0, σ²I) */
static double log_reference(const tb_family *f, const double *x) {
  double sum = -0.5 * (double)f->dims * log(two_pi * f->sigma * f->sigma);
  for (size_t k = 0; k < f->dims; k++)
    sum -= 0.5 * x[k] * x[k] / (f->sigma * f->sigma);
  return sum;
}

static tb_status reference_kl_by_draws(tb_context *context, const tb_family *f, double t, tb_estimated *kl) {
  const double log_z = log(tb_family_normaliser(f));
  double *values = tb_allocate(context, DRAWS + f->dims, sizeof *values), *x = values + DRAWS;
  if (!values)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < DRAWS; i++) {
    tb_family_draw_at(f, TB_DIFFUSION_OU, t, 0, i, x);
    values[i] = tb_semigroup(f, tb_smoothing_at(TB_DIFFUSION_OU, t), x, NULL) - log_z;
  }
  *kl = (tb_estimated){ tb_mean_of(DRAWS, values), tb_sd_of(DRAWS, values) / sqrt(DRAWS) };
  tb_release(context, values);
  return TB_OK;
}

tb_status tb_reference_kl(tb_context *context, const tb_family *f, double t, tb_estimated *kl) {
  const double keep = exp(-t), least = sharpest(f);
  const double narrow = sqrt(keep * keep * least * least - expm1(-2 * t) * f->sigma * f->sigma);
  const grid g = grid_over(f, 0.25 * narrow, 9);
  const double log_z = log(tb_family_normaliser(f)), cell = pow(g.spacing, (double)f->dims);
  double sum = 0;
  if (g.count == 0)
    return reference_kl_by_draws(context, f, t, kl);
  for (size_t i = 0; i < g.count; i++) {
    double x[2];
    point(&g, i, x);
    const double ratio = tb_semigroup(f, tb_smoothing_at(TB_DIFFUSION_OU, t), x, NULL) - log_z;
    if (ratio > -INFINITY)
      sum += cell * exp(ratio + log_reference(f, x)) * ratio;
  }
  *kl = (tb_estimated){ sum, 0 };
  return TB_OK;
}

/* ---- a chain's law, step by step ---- */

/* out += mass · N(·; mean, sd² I) on the grid, where it is above rounding. */
static void spread_out(const grid *g, const double *mean, double sd, double mass, double *out) {
  double bell[2][64];
  size_t first[2], count[2];
  for (size_t k = 0; k < g->dims; k++) {
    const double place = (mean[k] + g->reach) / g->spacing, half = 8.2 * sd / g->spacing;
    const double from = fmax(0, ceil(place - half)), to = fmin((double)g->side - 1, floor(place + half));
    if (!(from <= to))
      return; /* it left the grid */
    first[k] = (size_t)from;
    count[k] = (size_t)(to - from) + 1;
    for (size_t i = 0; i < count[k]; i++) {
      const double away = ((double)(first[k] + i) - place) * g->spacing / sd;
      bell[k][i] = exp(-0.5 * away * away) / (sd * sqrt(two_pi));
    }
  }
  for (size_t i = 0; i < count[0]; i++)
    if (g->dims == 1)
      out[first[0] + i] += mass * bell[0][i];
    else
      for (size_t j = 0; j < count[1]; j++)
        out[(first[0] + i) * g->side + first[1] + j] += mass * bell[0][i] * bell[1][j];
}

/* A step of Q from density `law` to `next`; points of no mass are left out. */
static tb_status carry(const tb_girsanov *q, const grid *g, size_t k, double *x, double *drift, size_t *at,
                       const double *law, double *next) {
  const tb_chain_step s = tb_girsanov_step(q);
  const double cell = pow(g->spacing, (double)g->dims);
  size_t kept = 0;
  for (size_t i = 0; i < g->count; i++)
    if (law[i] > 1e-18)
      at[kept++] = i;
  for (size_t i = 0; i < g->count; i++) { /* the map takes whole batches: the rest repeats the centre */
    double both[2];
    point(g, i < kept ? at[i] : g->count / 2, both);
    memcpy(x + i * g->dims, both, g->dims * sizeof *x);
  }
  tb_status status = q->drift.at(q->drift.user, tb_girsanov_time(q, k), g->count, x, drift);
  memset(next, 0, g->count * sizeof *next);
  for (size_t i = 0; i < kept && !status; i++) {
    double mean[2];
    for (size_t j = 0; j < g->dims; j++)
      mean[j] = s.keep * x[i * g->dims + j] + s.push * drift[i * g->dims + j];
    spread_out(g, mean, s.shake, cell * law[at[i]], next);
  }
  return status;
}

/* Cells of less than e^−80 in both laws say nothing. */
static void divergences(const tb_family *f, const grid *g, const double *law, double *forward, double *reverse) {
  const double cell = pow(g->spacing, (double)g->dims), log_z = log(tb_family_normaliser(f));
  *forward = *reverse = 0;
  for (size_t i = 0; i < g->count; i++) {
    double x[2];
    point(g, i, x);
    const double target = tb_semigroup(f, (tb_smoothing){ 1, 0 }, x, NULL) + log_reference(f, x) - log_z;
    const double reached = law[i] > 1e-300 ? log(law[i]) : -700;
    if (target > -80)
      *forward += cell * exp(target) * (target - reached);
    if (reached > -80)
      *reverse += cell * law[i] * (reached - fmax(target, -700));
  }
}

/* The law of the chain's end on the grid, normalised there. */
static tb_status chain_law(const tb_girsanov *q, const grid *g, double *out) {
  const tb_family *f = q->family;
  double *law = tb_allocate(q->context, g->count * (2 + 2 * g->dims), sizeof *law);
  size_t *at = tb_allocate(q->context, g->count, sizeof *at), k = 0;
  tb_status status = law && at ? TB_OK : TB_NO_MEMORY;
  double *now = law, *next = law + g->count, *x = next + g->count, *drift = x + g->count * g->dims;
  if (!status && q->process == TB_DIFFUSION_BROWNIAN) { /* all mass at the origin: one step of it is a Gaussian */
    const tb_chain_step s = tb_girsanov_step(q);
    double mean[2] = { 0 };
    status = q->drift.at(q->drift.user, 0, g->count, x, drift);
    for (size_t j = 0; j < g->dims && !status; j++)
      mean[j] = s.push * drift[j];
    if (!status)
      spread_out(g, mean, s.shake, 1, now);
    k = 1;
  }
  for (size_t i = 0; i < g->count && !status && q->process == TB_DIFFUSION_OU; i++) {
    double y[2];
    point(g, i, y);
    now[i] = exp(tb_semigroup(f, tb_smoothing_at(TB_DIFFUSION_OU, 1), y, NULL) + log_reference(f, y));
  }
  for (; k < q->steps && !status; k++) {
    status = carry(q, g, k, x, drift, at, now, next);
    double *swap = now;
    now = next;
    next = swap;
  }
  double mass = 0;
  for (size_t i = 0; i < g->count && !status; i++)
    mass += now[i] * pow(g->spacing, (double)g->dims);
  for (size_t i = 0; i < g->count && !status; i++)
    out[i] = now[i] / mass;
  tb_release(q->context, law);
  tb_release(q->context, at);
  return status;
}

tb_status tb_marginal_kl(const tb_girsanov *q, double *forward, double *reverse) {
  tb_girsanov half = *q;
  half.steps /= 2;
  const grid g = grid_over(q->family, 0.7 * tb_girsanov_step(q).shake, 9);
  *forward = *reverse = NAN;
  if (g.count == 0 || sharpest(q->family) < g.spacing)
    return TB_OK;
  double *law = tb_allocate(q->context, 2 * g.count, sizeof *law), *rough = law + g.count, mass = 0;
  tb_status status = law ? chain_law(q, &g, law) : TB_NO_MEMORY;
  if (!status)
    status = chain_law(&half, &g, rough);
  for (size_t i = 0; i < g.count && !status; i++) { /* q_K²/q_{K/2}: ln q to second order in the step */
    law[i] = rough[i] > 1e-100 ? law[i] * (law[i] / rough[i]) : law[i];
    mass += law[i] * pow(g.spacing, (double)g.dims);
  }
  for (size_t i = 0; i < g.count && !status; i++)
    law[i] /= mass;
  if (!status)
    divergences(q->family, &g, law, forward, reverse);
  tb_release(q->context, law);
  return status;
}
