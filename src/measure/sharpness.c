/* Lanczos and Hutchinson on H and on D H D, with D = diag |θ| or the indicator of a layer. */
#include "measure/sharpness.h"

#include <math.h>

/* ---- D H D as an operator ---- */

typedef struct scaled {
  const tb_operator *inner;
  double *d, *v; /* [p], [block×p] */
} scaled;

static tb_status apply_scaled(void *user, size_t count, const double *v, double *product) {
  const scaled *s = user;
  const size_t p = s->inner->dimension, block = s->inner->block;
  for (size_t first = 0; first < count; first += block) {
    const size_t rows = count - first < block ? count - first : block;
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < p; j++)
        s->v[i * p + j] = s->d[j] * v[(first + i) * p + j];
    const tb_status status = tb_operator_apply(s->inner, rows, s->v, product + first * p);
    if (status != TB_OK)
      return status;
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < p; j++)
        product[(first + i) * p + j] *= s->d[j];
  }
  return TB_OK;
}

static tb_status open_scaled(scaled *s, const tb_operator *inner, const double *theta) {
  const size_t p = inner->dimension;
  *s = (scaled){ .inner = inner,
                 .d = tb_allocate(inner->context, p, sizeof *s->d),
                 .v = tb_allocate(inner->context, inner->block * p, sizeof *s->v) };
  if (!s->d || !s->v)
    return TB_NO_MEMORY;
  for (size_t j = 0; j < p; j++)
    s->d[j] = fabs(theta[j]);
  return TB_OK;
}

static void close_scaled(scaled *s) {
  tb_release(s->inner->context, s->d);
  tb_release(s->inner->context, s->v);
}

/* ---- the measures ---- */

static tb_status top_of(const tb_operator *h, const tb_sharpness_options *o, double *top, double *bound,
                        bool *converged) {
  tb_eigenpairs pairs;
  const tb_lanczos_options options = { .top = 1, .most = o->most, .tolerance = o->tolerance, .key = o->key };
  const tb_status status = tb_lanczos(h, &options, &pairs);
  if (status == TB_OK) {
    *top = pairs.values[0];
    *bound = pairs.bounds[0];
    *converged = *converged && pairs.converged;
  }
  tb_eigenpairs_free(&pairs);
  return status;
}

/* g = L (Π t_l)^{1/L} of the layers' own traces t_l, each with signs on its layer alone: products across layers, whose
 * noise depends on the scales, do not enter.  Layers are independent, so (se g / g)² = Σ_l (se t_l / t_l)² / L². */
static tb_status least_trace(scaled *mask, const tb_operator *masked, const tb_sharpness_options *o, size_t probes,
                             tb_estimate *least) {
  const double layers = (double)o->layers;
  double logarithm = 0, variance = 0;
  *least = (tb_estimate){ .value = NAN, .se = NAN };
  for (size_t l = 0; l < o->layers; l++) {
    for (size_t j = 0; j < masked->dimension; j++)
      mask->d[j] = j >= o->layer[l].start && j - o->layer[l].start < o->layer[l].length;
    tb_estimate trace;
    const tb_status status = tb_hutchinson_trace(masked, TB_PROBE_RADEMACHER, probes, o->key, &trace);
    if (status != TB_OK)
      return status;
    least->products += trace.products;
    logarithm += trace.value > 0 ? log(trace.value) / layers : NAN;
    variance += pow(trace.se / trace.value / layers, 2);
  }
  if (o->layers > 0 && !isnan(logarithm)) {
    least->value = layers * exp(logarithm);
    least->se = least->value * sqrt(variance);
  }
  return TB_OK;
}

tb_status tb_sharpness_of(const tb_operator *h, const double *theta, const tb_sharpness_options *o, tb_sharpness *s) {
  const size_t probes = o->probes > 0 ? o->probes : 100;
  *s = (tb_sharpness){ .converged = true };
  scaled scale;
  tb_status status = open_scaled(&scale, h, theta);
  const tb_operator adaptive = {
    .context = h->context, .dimension = h->dimension, .block = h->block, .apply = apply_scaled, .user = &scale
  };
  if (status == TB_OK)
    status = tb_hutchinson_trace(h, TB_PROBE_RADEMACHER, probes, o->key, &s->trace);
  if (status == TB_OK)
    status = tb_hutchinson_trace(&adaptive, TB_PROBE_RADEMACHER, probes, o->key, &s->adaptive_trace);
  if (status == TB_OK)
    status = top_of(h, o, &s->top, &s->top_bound, &s->converged);
  if (status == TB_OK)
    status = top_of(&adaptive, o, &s->adaptive_top, &s->adaptive_top_bound, &s->converged);
  if (status == TB_OK)
    status = least_trace(&scale, &adaptive, o, probes, &s->least_trace);
  close_scaled(&scale);
  return status;
}
