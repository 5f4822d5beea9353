/* What a sampler left, in the words of the study: moments, errors, warnings, draws.npz. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/convergence.h"
#include "io/npz.h"
#include "study/sample.h"

const tb_metric sample_metrics[SAMPLE_METRICS] = {
  { "log_z", "nats", "estimate of the log normaliser; nan: the sampler has none", "ln ∫ γ(x) dx", NULL },
  { "log_z.se", "nats", "its standard error (1 sd)", NULL, NULL },
  { "elbo", "nats", "evidence lower bound: expected log weight under the sampler, at most ln Z", "E_Q ln w", NULL },
  { "elbo.se", "nats", "its standard error", NULL, NULL },
  { "eubo", "nats", "evidence upper bound: expected log weight under exact draws, at least ln Z; nan: none exist",
    "E_P ln w", NULL },
  { "eubo.se", "nats", "its standard error", NULL, NULL },
  { "ess", "draws", "effective draws: of the weights, or of chains the smallest bulk value of all coordinates",
    "(Σw)²/Σw²", "Vehtari et al. 2021" },
  { "ess.tail", "draws", "chains: smallest effective draws of the 5 % and 95 % quantiles", NULL,
    "Vehtari et al. 2021" },
  { "khat", "", "shape of the tail of the importance weights; above 0.7 they cannot be trusted", NULL,
    "Vehtari et al. 2024" },
  { "rhat", "", "chains: largest rank-normalised split R-hat of all coordinates", NULL, "Vehtari et al. 2021" },
  { "names", "", "the natural coordinates", NULL, NULL },
  { "mean", "", "weighted means of the natural coordinates", NULL, NULL },
  { "mean.se", "", "their standard errors", NULL, NULL },
  { "sd", "", "weighted standard deviations of the natural coordinates", NULL, NULL },
  { "quantile.5", "", "weighted 5 % quantiles", NULL, NULL },
  { "quantile.95", "", "weighted 95 % quantiles", NULL, NULL },
  { "n_grad", "", "gradients of ln γ taken, of single points, training included", NULL, NULL },
  { "warnings", "", "words: improper, low_ess, khat, rhat, divergences, max_depth, e_bfmi, islands_disagree, …", NULL,
    NULL },
  { "divergences", "", "chains: transitions whose energy error passed 1000", NULL, NULL },
  { "acceptance", "", "chains: mean acceptance after warm-up", NULL, NULL },
  { "step_size", "", "chains: leapfrog step after warm-up, mean over chains", NULL, NULL },
  { "tree_depth", "", "nuts: mean depth of the trees", NULL, NULL },
  { "leapfrogs", "", "chains: leapfrog steps after warm-up", NULL, NULL },
  { "e_bfmi", "", "chains: smallest energy fraction of missing information", NULL, "Betancourt 2016" },
  { "temperatures", "", "smc: temperatures that the pilot run chose", NULL, NULL },
  { "log_z.islands", "nats", "smc: log normaliser of each island", NULL, NULL },
  { "schedule.step", "", "diffusions: lengths of the steps", "Σ = T", NULL },
  { "schedule.beta", "", "diffusions: noise of the steps", NULL, NULL },
};

typedef struct report {
  tb_run *run;
  const tb_sampling *s;
  const tb_sampler *sampler;
  const tb_draws *draws;
  size_t n, k;                         /* draws, natural coordinates */
  double *natural;                     /* [n,k] */
  double *weight;                      /* [n], sum 1 */
  double *mean, *se, *sd, *low, *high; /* [k] */
  double ess, tail, rhat, khat;
} report;

/* ---- moments ---- */

static tb_status weigh(report *r) {
  const tb_draws *d = r->draws;
  double most = -INFINITY, sum = 0;
  for (size_t i = 0; i < r->n && d->log_weight; i++)
    most = d->log_weight[i] > most ? d->log_weight[i] : most;
  for (size_t i = 0; i < r->n; i++) {
    r->weight[i] = d->log_weight && most > -INFINITY ? exp(d->log_weight[i] - most) : 1;
    sum += r->weight[i];
  }
  for (size_t i = 0; i < r->n; i++)
    r->weight[i] /= sum;
  return TB_OK;
}

/* √ Σ over independent groups of (Σ_{i in group} w_i (x_i − mean))², a draw being a group of its own where there are
 * none. */
static double standard_error(const report *r, size_t column) {
  const size_t groups = r->draws->groups ? r->draws->groups : r->n, each = r->n / groups;
  double total = 0;
  for (size_t g = 0; g < groups; g++) {
    double sum = 0;
    for (size_t i = g * each; i < (g + 1) * each; i++)
      sum += r->weight[i] * (r->natural[i * r->k + column] - r->mean[column]);
    total += sum * sum;
  }
  return groups > 1 ? sqrt(total * (double)groups / (double)(groups - 1)) : NAN;
}

typedef struct ranked {
  double value, weight;
} ranked;

static int by_value(const void *a, const void *b) {
  const double x = ((const ranked *)a)->value, y = ((const ranked *)b)->value;
  return (x > y) - (x < y);
}

static double quantile(size_t n, const ranked *sorted, double p) {
  double below = 0;
  size_t i = 0;
  for (; i + 1 < n && below + sorted[i].weight < p; i++)
    below += sorted[i].weight;
  return sorted[i].value;
}

static tb_status measure_column(report *r, size_t j, ranked *sorted) {
  double mean = 0, square = 0, weights = 0;
  for (size_t i = 0; i < r->n; i++) {
    mean += r->weight[i] * r->natural[i * r->k + j];
    weights += r->weight[i] * r->weight[i];
    sorted[i] = (ranked){ r->natural[i * r->k + j], r->weight[i] };
  }
  for (size_t i = 0; i < r->n; i++)
    square += r->weight[i] * (r->natural[i * r->k + j] - mean) * (r->natural[i * r->k + j] - mean);
  r->mean[j] = mean;
  r->sd[j] = sqrt(square / (1 - weights));
  qsort(sorted, r->n, sizeof *sorted, by_value);
  r->low[j] = quantile(r->n, sorted, 0.05);
  r->high[j] = quantile(r->n, sorted, 0.95);
  if (!r->draws->chains) {
    r->se[j] = standard_error(r, j);
    return TB_OK;
  }
  tb_convergence c;
  tb_status status =
      tb_chain_convergence(r->s->context, r->draws->chains, r->n / r->draws->chains, r->natural + j, r->k, &c);
  r->se[j] = r->sd[j] / sqrt(c.mean);
  /* A NaN (a constant coordinate, too few draws) is no reason to trust the others less. */
  r->ess = fmin(r->ess, c.bulk);
  r->tail = fmin(r->tail, c.tail);
  r->rhat = fmax(r->rhat, c.rhat);
  return status;
}

static tb_status measure(report *r) {
  tb_arena *arena = r->s->arena;
  const tb_draws *d = r->draws;
  r->natural = tb_arena_allocate(arena, r->n * r->k, sizeof(double));
  r->weight = tb_arena_allocate(arena, r->n, sizeof(double));
  ranked *sorted = tb_arena_allocate(arena, r->n, sizeof *sorted);
  double **const columns[] = { &r->mean, &r->se, &r->sd, &r->low, &r->high };
  for (size_t i = 0; i < 5; i++)
    if (!(*columns[i] = tb_arena_allocate(arena, r->k, sizeof(double))))
      return TB_NO_MEMORY;
  if (!r->natural || !r->weight || !sorted)
    return TB_NO_MEMORY;
  tb_status status = tb_density_natural(r->s->density, r->n, d->x, r->natural);
  if (!status)
    status = weigh(r);
  for (size_t j = 0; j < r->k && !status; j++)
    status = measure_column(r, j, sorted);
  if (!status && !d->chains && d->log_weight) {
    tb_weighing w;
    status = tb_weigh(r->s->context, r->n, d->log_weight, &w);
    r->ess = isnan(d->ess) ? w.effective : d->ess;
    r->khat = d->groups ? NAN : isnan(d->khat) ? w.khat : d->khat;
  } else if (!d->chains) {
    r->ess = isnan(d->ess) ? (double)r->n : d->ess;
  }
  return status;
}

/* ---- telling ---- */

static tb_status add_metrics(report *r) {
  tb_metrics *m = tb_run_metrics(r->run);
  const tb_draws *d = r->draws;
  const struct {
    const char *name;
    double value;
  } numbers[] = { { "t", (double)r->n },     { "log_z", d->log_z }, { "log_z.se", d->log_z_se }, { "elbo", d->elbo },
                  { "elbo.se", d->elbo_se }, { "eubo", d->eubo },   { "eubo.se", d->eubo_se },   { "ess", r->ess },
                  { "ess.tail", r->tail },   { "khat", r->khat },   { "rhat", r->rhat } };
  const struct {
    const char *name;
    const double *values;
  } vectors[] = {
    { "mean", r->mean }, { "mean.se", r->se }, { "sd", r->sd }, { "quantile.5", r->low }, { "quantile.95", r->high }
  };
  tb_status status = TB_OK;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !status; i++)
    status = tb_metrics_real(m, numbers[i].name, numbers[i].value);
  if (!status)
    status = tb_metrics_word(m, "stopped", "steps");
  if (!status)
    status = tb_metrics_words(m, "names", r->k, r->s->density->names);
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors && !status; i++)
    status = tb_metrics_vector(m, vectors[i].name, r->k, vectors[i].values);
  if (!status)
    status = isnan(d->n_grad) ? tb_metrics_real(m, "n_grad", NAN) : tb_metrics_integer(m, "n_grad", (int64_t)d->n_grad);
  for (size_t i = 0; i < d->n_metrics && !status; i++) {
    const struct tb_draws_metric *own = &d->metrics[i];
    status = own->rows == 1 && own->cols == 1 ? tb_metrics_real(m, own->name, own->values[0])
             : own->rows == 1                 ? tb_metrics_vector(m, own->name, own->cols, own->values)
                                              : tb_metrics_matrix(m, own->name, own->rows, own->cols, own->values);
  }
  return status;
}

static tb_status add_warnings(report *r) {
  const tb_draws *d = r->draws;
  const double threshold = tb_khat_threshold(r->n), least = d->chains ? 100 * (double)d->chains : 100;
  tb_status status = TB_OK;
  for (size_t i = 0; i < d->n_warnings && !status; i++)
    status = tb_run_caution(r->run, d->warnings[i].word, "%s", d->warnings[i].sentence);
  if (!status && r->khat > threshold)
    status = tb_run_caution(r->run, "khat",
                            "Pareto k-hat %.2f is above %.2f: a few weights carry the estimate, and ln Z, means and "
                            "their errors may all be far off",
                            r->khat, threshold);
  if (!status && r->rhat > 1.01)
    status = tb_run_caution(r->run, "rhat",
                            "R-hat %.3f is above 1.01: the chains have not mixed; raise warmup= or draws=", r->rhat);
  if (!status && !(r->ess >= fmin(least, 0.5 * (double)r->n)))
    status = tb_run_caution(r->run, "low_ess", "only %.1f effective draws of %zu", r->ess, r->n);
  return status;
}

/* draws [n,k] natural, log_weight [n], chain [n] from 1, the density at the draws and the sampler's own columns. */
static tb_status write_draws(report *r) {
  const tb_draws *d = r->draws;
  const char *path;
  tb_array arrays[4 + sizeof d->columns / sizeof *d->columns];
  size_t count = 0;
  double *zero = tb_arena_allocate(r->s->arena, r->n, sizeof *zero);
  int64_t *chain = tb_arena_allocate(r->s->arena, r->n, sizeof *chain);
  if (!zero || !chain)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < r->n; i++)
    chain[i] = d->chains ? (int64_t)(i / (r->n / d->chains)) + 1 : 1;
  arrays[count++] =
      (tb_array){ .name = "draws", .type = TB_ARRAY_FLOAT64, .rank = 2, .dims = { r->n, r->k }, .data = r->natural };
  arrays[count++] = (tb_array){ .name = "log_weight",
                                .type = TB_ARRAY_FLOAT64,
                                .rank = 1,
                                .dims = { r->n },
                                .data = d->log_weight ? d->log_weight : zero };
  arrays[count++] = (tb_array){ .name = "chain", .type = TB_ARRAY_INT64, .rank = 1, .dims = { r->n }, .data = chain };
  if (!d->n_columns) { /* chains tell it themselves */
    double *values = tb_arena_allocate(r->s->arena, r->n, sizeof *values);
    tb_status status = values ? tb_density_values(r->s->density, r->n, d->x, values, NULL) : TB_NO_MEMORY;
    if (status)
      return status;
    arrays[count++] =
        (tb_array){ .name = "lp__", .type = TB_ARRAY_FLOAT64, .rank = 1, .dims = { r->n }, .data = values };
  }
  for (size_t i = 0; i < d->n_columns; i++)
    arrays[count++] = (tb_array){
      .name = d->columns[i].name, .type = TB_ARRAY_FLOAT64, .rank = 1, .dims = { r->n }, .data = d->columns[i].values
    };
  tb_status status = tb_run_file(r->run, "draws", "draws.npz", &path);
  return status ? status : tb_npz_write(r->s->context, path, count, arrays);
}

tb_status sample_report(tb_run *run, const tb_sampling *s, const tb_sampler *sampler, const tb_draws *draws) {
  report r = { .run = run,
               .s = s,
               .sampler = sampler,
               .draws = draws,
               .n = draws->count,
               .k = s->density->naturals,
               .ess = NAN,
               .tail = NAN,
               .rhat = NAN,
               .khat = NAN };
  tb_status status = measure(&r);
  if (!status)
    status = add_metrics(&r);
  if (!status)
    status = add_warnings(&r);
  return status ? status : write_draws(&r);
}
