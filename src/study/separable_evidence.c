/* Reading an outcome of `separable` for its claims. */
#include "study/separable_evidence.h"

#include <math.h>
#include <string.h>

#include "num/linear.h"

const tb_metrics *evidence_point(const evidence *e, size_t i) {
  return i < e->outcome->n_snapshots ? e->outcome->snapshots[i] : e->outcome->metrics;
}

const double *evidence_vector(const tb_metrics *metrics, const char *name, size_t count) {
  tb_metric_value value = tb_metrics_find(metrics, name);
  if (!value.name || value.kind != TB_METRIC_VECTOR || value.cols != count)
    return NULL;
  for (size_t i = 0; i < count; i++)
    if (!isfinite(value.values[i]))
      return NULL;
  return value.values;
}

tb_status evidence_skip(double *value, double *reference) {
  *value = *reference = NAN;
  return TB_OK;
}

double log_error_probability(double margin) {
  return -tb_softplus_scalar(margin);
}

/* The start: a snapshot at t = 0, else what the configuration says where it says it (linear and diagonal). */
static tb_status find_start(evidence *e) {
  const tb_config *config = e->outcome->config;
  for (size_t i = 0; i < e->points; i++)
    if (tb_metrics_get(evidence_point(e, i), "t") == 0) {
      e->beta0 = evidence_vector(evidence_point(e, i), "beta", e->d);
      e->margins0 = evidence_vector(evidence_point(e, i), "margins", e->n);
      return TB_OK;
    }
  if (!tb_config_is(config, "model", "linear") && !tb_config_is(config, "model", "diagonal"))
    return TB_OK;
  const double *start;
  double *beta = tb_arena_allocate(e->arena, e->d, sizeof *beta);
  double *margins = tb_arena_allocate(e->arena, e->n, sizeof *margins);
  if (!beta || !margins)
    return TB_NO_MEMORY;
  if (tb_config_reals(config, "start", &start) == e->d)
    memcpy(beta, start, e->d * sizeof *beta);
  tb_gemv(false, e->n, e->d, 1, e->problem->z, beta, 0, margins);
  e->beta0 = beta;
  e->margins0 = margins;
  return TB_OK;
}

tb_status evidence_open(evidence *e, tb_context *context, const tb_outcome *outcome) {
  *e = (evidence){ .context = context, .outcome = outcome, .arena = tb_arena_new(context) };
  if (!e->arena)
    return TB_NO_MEMORY;
  tb_status status = separable_data(context, outcome->config, &e->problem);
  if (status)
    return status;
  e->n = e->problem->n;
  e->d = e->problem->d;
  e->points = outcome->n_snapshots + 1;
  if ((e->z = tb_arena_allocate(e->arena, e->n * e->d, sizeof *e->z)) == NULL)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < e->n; i++)
    if (e->problem->copy_of[i] == i)
      memcpy(e->z + e->distinct++ * e->d, e->problem->z + i * e->d, e->d * sizeof *e->z);
  if ((status = find_start(e)))
    return status;
  double *zero = tb_arena_allocate(e->arena, e->n + e->d, sizeof *zero);
  if (!zero)
    return TB_NO_MEMORY;
  status = tb_limits_new(context, e->problem, e->beta0 ? e->beta0 : zero, e->margins0 ? e->margins0 : zero, &e->limits);
  if (!status)
    e->rank = tb_limits_rank(e->limits);
  return status;
}

void evidence_close(evidence *e) {
  tb_limits_free(e->limits);
  tb_classification_free(e->context, e->problem);
  tb_arena_free(e->arena);
}

/* ---- arms ---- */

bool config_flow(const tb_config *config, const char *method, const char *fisher, const char *model) {
  return tb_config_is(config, "method", method) && (!fisher || tb_config_is(config, "fisher", fisher)) &&
         (!model || tb_config_is(config, "model", model));
}

bool config_starts_at_zero(const tb_config *config) {
  const double *start;
  size_t count = tb_config_reals(config, "start", &start);
  for (size_t j = 0; j < count; j++)
    if (start[j] != 0)
      return false;
  return tb_config_is(config, "model", "linear") || tb_config_is(config, "model", "diagonal");
}

bool config_undamped(const tb_config *config) {
  return tb_config_real(config, "damping") == 0;
}
