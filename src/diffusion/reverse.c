/* The walk from noise to data, the table of samplers, the exact score, and what is exact on Gaussian data. */
#include <math.h>
#include <string.h>

#include <tiebreak/random.h>

#include "diffusion/reverse_parts.h"

static const tb_reverse_sampler *const samplers[] = {
  &tb_reverse_em,   &tb_reverse_ancestral, &tb_reverse_exponential,
  &tb_reverse_ddim, &tb_reverse_heun,      &tb_reverse_dpmpp2m,
  &tb_reverse_pc,   &tb_reverse_rk45,      NULL,
};

const tb_reverse_sampler *const *tb_reverse_samplers(void) {
  return samplers;
}

const tb_reverse_sampler *tb_reverse_sampler_find(const char *name) {
  for (const tb_reverse_sampler *const *s = samplers; *s; s++)
    if (strcmp((*s)->name, name) == 0)
      return *s;
  return NULL;
}

/* ---- the exact score ---- */

static tb_status exact_noise(void *self, const tb_noising *at, size_t n, const double *x, double *noise) {
  tb_noised_at(self, at, n, x, NULL, NULL, noise, NULL);
  for (size_t i = 0; i < n * tb_noised_dims(self); i++)
    noise[i] *= -at->sigma;
  return TB_OK;
}

static tb_status exact_trace(void *self, const tb_noising *at, size_t n, const double *x, const double *probe,
                             double *noise, double *trace) {
  tb_noised_at(self, at, n, x, probe, NULL, noise, trace);
  for (size_t i = 0; i < n * tb_noised_dims(self); i++)
    noise[i] *= -at->sigma;
  for (size_t i = 0; i < n; i++)
    trace[i] *= -at->sigma;
  return TB_OK;
}

tb_score tb_score_exact(tb_noised *noised) {
  return (tb_score){ tb_noised_dims(noised), noised, exact_noise, exact_trace };
}

/* ---- the walk ---- */

tb_status tb_reverse_new(tb_context *context, const tb_reverse_sampler *sampler, const tb_process *process,
                         const tb_score *score, const tb_reverse_options *options, size_t n, tb_reverse **out) {
  tb_reverse *r = *out = tb_allocate(context, 1, sizeof *r);
  if (!r)
    return TB_NO_MEMORY;
  const size_t size = n * score->dims;
  *r = (tb_reverse){ .context = context,
                     .sampler = sampler,
                     .process = process,
                     .score = score,
                     .options = *options,
                     .rows = n,
                     .size = size,
                     .noise = tb_allocate(context, 4 * size + 1, sizeof *r->noise) };
  if (!r->noise) {
    tb_release(context, r);
    *out = NULL;
    return TB_NO_MEMORY;
  }
  r->drawn = r->noise + size;
  r->other = r->drawn + size;
  r->previous = r->other + size;
  return TB_OK;
}

void tb_reverse_free(tb_reverse *r) {
  if (!r)
    return;
  tb_release(r->context, r->noise);
  tb_release(r->context, r);
}

long tb_reverse_evaluations(const tb_reverse *r) {
  return r->evaluations;
}

tb_status tb_reverse_look(tb_reverse *r, const tb_noising *at, const double *x) {
  r->evaluations++;
  return r->score->noise(r->score->self, at, r->rows, x, r->noise);
}

void tb_reverse_draw(tb_reverse *r, const char *purpose) {
  if (r->options.draw)
    r->options.draw(r->options.user, purpose, r->step, r->size, r->drawn);
  else
    tb_random_normal((tb_key){ r->options.seed, r->step, tb_use(purpose) }, 0, r->size, r->drawn);
}

static bool all_finite(size_t count, const double *x) {
  for (size_t i = 0; i < count; i++)
    if (!isfinite(x[i]))
      return false;
  return true;
}

tb_status tb_reverse_walk(tb_reverse *r, size_t steps, const double *times, double *x,
                          bool (*go_on)(void *user, double fraction), void *user) {
  r->last = NAN;
  for (size_t k = 0; k < steps; k++) {
    const tb_noising from = tb_process_at(r->process, times[k]), to = tb_process_at(r->process, times[k + 1]);
    r->step = (uint32_t)k;
    const tb_status status = r->sampler->step(r, &from, &to, x);
    if (status)
      return status;
    if (!all_finite(r->size, x))
      return tb_fail(r->context, TB_FAILED, "sampler", "raise sampler_steps=, or train longer",
                     "sampler %s left the finite numbers at step %zu of %zu", r->sampler->name, k + 1, steps);
    if (go_on && !go_on(user, (double)(k + 1) / (double)steps))
      return TB_STOPPED;
  }
  return TB_OK;
}

/* ---- Gaussian data ---- */

/* x_t − α_t m keeps its place in units of its standard deviation. */
double tb_reverse_gaussian_map(const tb_noising *from, const tb_noising *to, double mean, double sd, double x) {
  const double before = hypot(from->alpha * sd, from->sigma), after = hypot(to->alpha * sd, to->sigma);
  return to->alpha * mean + after / before * (x - from->alpha * mean);
}

/* Three points share the walk: 0, 1 and, with unit noise in one draw at a time, 0 again. */
typedef struct pulse {
  const char *purpose; /* NULL: no noise at all */
  uint32_t step;
} pulse;

static void draw_pulse(void *user, const char *purpose, uint32_t step, size_t count, double *out) {
  const pulse *p = user;
  const bool now = p->purpose && strcmp(p->purpose, purpose) == 0 && p->step == step;
  for (size_t i = 0; i < count; i++)
    out[i] = now;
}

typedef struct line_score {
  double mean, sd;
} line_score;

static tb_status line_noise(void *self, const tb_noising *at, size_t n, const double *x, double *noise) {
  const line_score *s = self;
  for (size_t i = 0; i < n; i++)
    noise[i] =
        at->sigma * (x[i] - at->alpha * s->mean) / (at->alpha * at->alpha * s->sd * s->sd + at->sigma * at->sigma);
  return TB_OK;
}

/* The chain is x ← A x + b + Σ c ξ over its draws: A, b from the points 0 and 1 without noise.  A pulse at step k is
 * followed from there only. */
tb_status tb_reverse_law(tb_context *context, const tb_reverse_sampler *sampler, const tb_process *process,
                         const tb_reverse_options *options, size_t steps, const double *times, double mean, double sd,
                         double start_mean, double start_sd, double *end_mean, double *end_sd) {
  static const char *const purposes[] = { TB_REVERSE_NOISE, TB_REVERSE_CORRECTOR };
  line_score line = { mean, sd };
  const tb_score score = { .dims = 1, .self = &line, .noise = line_noise };
  pulse p = { 0 };
  tb_reverse_options own = *options;
  own.draw = draw_pulse;
  own.user = &p;
  tb_reverse *r;
  tb_status status = tb_reverse_new(context, sampler, process, &score, &own, 2, &r);
  if (status)
    return status;
  double x[2] = { 0, 1 };
  status = tb_reverse_walk(r, steps, times, x, NULL, NULL);
  const double shift = x[0], slope = x[1] - x[0];
  double variance = slope * slope * start_sd * start_sd, place = 0;
  /* Along the noiseless path of the point 0: one walk a draw, from its step on. */
  for (size_t k = 0; !status && sampler->random && k < steps; k++) {
    double base = place;
    for (size_t q = 0; !status && q < 2; q++) {
      const tb_noising from = tb_process_at(process, times[k]), to = tb_process_at(process, times[k + 1]);
      double pulsed[2] = { place, place };
      r->step = (uint32_t)k;
      p = (pulse){ purposes[q], (uint32_t)k };
      status = sampler->step(r, &from, &to, pulsed);
      if (q == 0) {
        double still[2] = { place, place };
        p.purpose = NULL;
        if (!status)
          status = sampler->step(r, &from, &to, still);
        base = still[0];
      }
      p.purpose = NULL;
      double rest[2] = { pulsed[0], base };
      if (!status && k + 1 < steps)
        status = tb_reverse_walk(r, steps - k - 1, times + k + 1, rest, NULL, NULL);
      variance += (rest[0] - rest[1]) * (rest[0] - rest[1]);
    }
    place = base;
  }
  *end_mean = shift + slope * start_mean;
  *end_sd = sqrt(variance);
  tb_reverse_free(r);
  return status;
}
