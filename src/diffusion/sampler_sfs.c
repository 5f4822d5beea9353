/* sfs: the Schrödinger–Föllmer sampler, which learns nothing: the drift ∇ ln E f(c y + σ√τ Z), f = γ/N(0, σ²I), is
 * averaged over fresh draws of Z at every step and path,
 *
 *   v̂ = c Σ_j f(y_j) ∇ ln f(y_j) / Σ_j f(y_j),   y_j = c y + σ√τ z_j
 *
 * for the Brownian chain (c = 1, τ what is left of its time) or its Ornstein–Uhlenbeck analogue (c the product of what
 * later steps keep, τ = 1 − c²).  It is the constructed network of the expressiveness theorem with fresh in place of
 * frozen points.  A control may be random as long as it does not see the step's noise: E[w] = Z holds for it too. */
#include <math.h>

#include "diffusion/control.h"

typedef struct follmer {
  const tb_sampling *s;
  tb_chain chain;
  bool ou;
  size_t dims, inner, rows;               /* rows: paths that move together */
  double *keep, *spread;                  /* c, τ of each step [K] */
  double *y, *f, *points, *value, *slope; /* [rows,d] twice, [rows·inner,d], [rows·inner], [rows·inner,d] */
} follmer;

static tb_status open(follmer *w, const tb_sampling *s) {
  const tb_config *config = s->config;
  *w = (follmer){ .s = s,
                  .ou = tb_config_is(config, "reference", "ou"),
                  .dims = s->density->dims,
                  .inner = (size_t)tb_config_integer(config, "inner") };
  tb_status status = tb_control_chain(s->context, s->arena, config, w->ou ? TB_CHAIN_DDS : TB_CHAIN_PIS, &w->chain);
  const size_t k = w->chain.steps, d = w->dims, most = 262144 / (w->inner * d) + 1;
  w->rows = s->draws < most ? s->draws : most;
  if (status)
    return status;
  w->keep = tb_arena_allocate(s->arena, 2 * k, sizeof(double));
  w->y = tb_arena_allocate(s->arena, w->rows * d * (2 + 2 * w->inner) + w->rows * w->inner, sizeof(double));
  if (!w->keep || !w->y)
    return TB_NO_MEMORY;
  w->spread = w->keep + k;
  w->f = w->y + w->rows * d;
  w->points = w->f + w->rows * d;
  w->slope = w->points + w->rows * w->inner * d;
  w->value = w->slope + w->rows * w->inner * d;
  const double horizon = w->chain.times[k - 1] + w->chain.apart[k - 1];
  for (size_t i = k; i-- > 0;)
    if (w->ou) {
      w->keep[i] = w->chain.keep[i] * (i + 1 < k ? w->keep[i + 1] : 1);
      w->spread[i] = 1 - w->keep[i] * w->keep[i];
    } else {
      w->keep[i] = 1;
      w->spread[i] = 1 - w->chain.times[i] / horizon;
    }
  return TB_OK;
}

static void draw(const follmer *w, const char *purpose, uint32_t step, size_t first, size_t count, double *out) {
  tb_random_normal((tb_key){ w->s->seed, step, tb_use(purpose) }, first, count, out);
}

/* f[n,d] of the chain's form from v̂ at y[n,d]; `first` numbers the paths. */
static tb_status control(follmer *w, const char *purpose, size_t k, size_t first, size_t n) {
  const size_t d = w->dims, m = w->inner;
  const double sigma = w->chain.sigma, reach = sigma * sqrt(w->spread[k]);
  /* push·f is 2σ²(1 − keep) v̂ (OU) or σ² Δ/T v̂ (Brownian) */
  const double push = w->ou ? 2 * sigma * sigma * (1 - w->chain.keep[k]) : w->chain.shake[k] * w->chain.shake[k];
  const double factor = w->chain.push[k] > 0 ? push / w->chain.push[k] : 0;
  draw(w, purpose, (uint32_t)k, first * m * d, n * m * d, w->points);
  for (size_t i = 0; i < n * m; i++)
    for (size_t j = 0; j < d; j++)
      w->points[i * d + j] = w->keep[k] * w->y[i / m * d + j] + reach * w->points[i * d + j];
  tb_status status = tb_density_values(w->s->density, n * m, w->points, w->value, w->slope);
  for (size_t i = 0; i < n && !status; i++) {
    double largest = -INFINITY, sum = 0, *f = w->f + i * d;
    for (size_t l = i * m; l < (i + 1) * m; l++) {
      for (size_t j = 0; j < d; j++)
        w->value[l] += 0.5 * w->points[l * d + j] * w->points[l * d + j] / (sigma * sigma);
      largest = fmax(largest, w->value[l]);
    }
    for (size_t j = 0; j < d; j++)
      f[j] = 0;
    for (size_t l = i * m; l < (i + 1) * m && largest > -INFINITY; l++) {
      const double weight = exp(w->value[l] - largest);
      sum += weight;
      for (size_t j = 0; j < d; j++)
        f[j] += weight * (w->slope[l * d + j] + w->points[l * d + j] / (sigma * sigma));
    }
    for (size_t j = 0; j < d; j++)
      f[j] *= sum > 0 ? factor * w->keep[k] / sum : 0;
  }
  return status;
}

/* ln w of the ends y[n,d] without the steps' costs. */
static tb_status add_ends(follmer *w, size_t n, const double *y, double *log_weight) {
  const double sigma = w->chain.sigma;
  const tb_status status = tb_density_values(w->s->density, n, y, w->value, NULL);
  for (size_t i = 0; i < n && !status; i++) {
    log_weight[i] += w->value[i];
    for (size_t j = 0; j < w->dims; j++)
      log_weight[i] +=
          0.5 * y[i * w->dims + j] * y[i * w->dims + j] / (sigma * sigma) + 0.9189385332046727 + log(sigma);
  }
  return status;
}

static tb_status forward(follmer *w, size_t first, size_t n, double *x, double *log_weight) {
  const tb_chain *c = &w->chain;
  const size_t d = w->dims;
  tb_status status = TB_OK;
  for (size_t i = 0; i < n; i++)
    log_weight[i] = 0;
  draw(w, "start of a Föllmer path", 0, first * d, n * d, w->y);
  for (size_t i = 0; i < n * d; i++)
    w->y[i] *= c->start;
  for (size_t k = 0; k < c->steps && !status; k++) {
    status = control(w, "inner draws", k, first, n);
    draw(w, "noise of a Föllmer path", (uint32_t)k, first * d, n * d, w->points);
    const double ratio = c->shake[k] > 0 ? c->push[k] / c->shake[k] : 0;
    for (size_t i = 0; i < n * d && !status; i++) {
      log_weight[i / d] -= ratio * w->f[i] * (0.5 * ratio * w->f[i] + w->points[i]);
      w->y[i] = c->keep[k] * w->y[i] + c->push[k] * w->f[i] + c->shake[k] * w->points[i];
    }
  }
  for (size_t i = 0; i < n * d; i++)
    x[i] = w->y[i];
  return status ? status : add_ends(w, n, x, log_weight);
}

/* Paths of the half-bridge backwards from exact draws x[n,d]. */
static tb_status backward(follmer *w, size_t first, size_t n, double *x, double *log_weight) {
  const tb_chain *c = &w->chain;
  const size_t d = w->dims;
  w->s->density->target->draw(w->s->density, (tb_key){ .seed = w->s->seed, .use = tb_use("ends of paths") }, first, n,
                              x);
  for (size_t i = 0; i < n; i++)
    log_weight[i] = 0;
  tb_status status = add_ends(w, n, x, log_weight);
  for (size_t k = c->steps; k-- > 0 && !status;) {
    draw(w, "noise of a Föllmer path backwards", (uint32_t)k, first * d, n * d, w->y);
    for (size_t i = 0; i < n * d; i++)
      w->y[i] = c->back_keep[k] * x[i] + c->back_shake[k] * w->y[i];
    status = control(w, "inner draws backwards", k, first, n);
    for (size_t i = 0; i < n * d && !status; i++) {
      const double u = c->push[k] * w->f[i];
      if (c->shake[k] > 0)
        log_weight[i / d] -= u * (x[i] - c->keep[k] * w->y[i] - 0.5 * u) / (c->shake[k] * c->shake[k]);
      x[i] = w->y[i];
    }
  }
  return status;
}

static tb_status all(follmer *w, bool back, double *x, double *log_weight) {
  const tb_sampling *s = w->s;
  tb_status status = TB_OK;
  for (size_t from = 0; from < s->draws && !status; from += w->rows) {
    const size_t n = s->draws - from < w->rows ? s->draws - from : w->rows;
    s->progress(s->user, (back + (double)from / (double)s->draws) / 2, "simulating");
    if (s->should_stop(s->user))
      return s->stop_status(s->user);
    status = (back ? backward : forward)(w, from, n, x + from * w->dims, log_weight + from);
  }
  return status;
}

static tb_status run(const tb_sampling *s, tb_draws *draws) {
  follmer w;
  const size_t n = s->draws, d = s->density->dims;
  *draws = tb_draws_new();
  s->density->evaluations = 0;
  draws->count = n;
  draws->x = tb_arena_allocate(s->arena, n * d, sizeof(double));
  draws->log_weight = tb_arena_allocate(s->arena, n, sizeof(double));
  double *upper = tb_arena_allocate(s->arena, n * (d + 1), sizeof *upper);
  tb_status status = draws->x && draws->log_weight && upper ? open(&w, s) : TB_NO_MEMORY;
  if (!status)
    status = all(&w, false, draws->x, draws->log_weight);
  if (!status)
    status = tb_control_report(s, &w.chain, draws);
  if (!status && s->density->target->draw) {
    status = all(&w, true, upper, upper + n * d);
    if (!status)
      tb_control_upper(draws, n, upper + n * d);
  }
  draws->n_grad = (double)s->density->evaluations;
  return status;
}

static tb_status check(tb_context *context, const tb_config *config, const tb_density *density) {
  return tb_control_check(context, config);
}

static void cost(const tb_config *config, const tb_density *density, double *gradients, double *flop) {
  const double draws = (double)tb_config_integer(config, "draws") * (density->target->draw ? 2 : 1);
  *gradients = draws * (double)tb_config_integer(config, "steps") * (double)tb_config_integer(config, "inner");
  *flop = 200 * (double)density->dims * *gradients;
}

const tb_sampler tb_sampler_sfs = {
  .name = "sfs",
  .summary = "Schrödinger-Föllmer sampler: no training, the drift is averaged over inner draws at every step",
  .formula = "v̂ = ∇ ln Σ_j f(c y + σ√τ z_j),  f = γ/N(0, σ²I)",
  .source = "Huang et al. 2021; Vargas, Reu and Kerekes 2023 for its Ornstein-Uhlenbeck analogue",
  .options = &tb_control_options,
  .check = check,
  .cost = cost,
  .run = run,
};
