/* Lanczos and Hutchinson on H and on D H D, with D = diag |θ| or the indicator of a layer. */
#include "measure/sharpness.h"

#include <math.h>

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
static tb_status least_trace(const tb_operator_scaled *mask, const tb_operator *masked, const tb_sharpness_options *o,
                             size_t probes, tb_trace_estimate *least) {
  const double layers = (double)o->layers;
  double logarithm = 0, variance = 0;
  *least = (tb_trace_estimate){ .value = NAN, .se = NAN };
  for (size_t l = 0; l < o->layers; l++) {
    for (size_t j = 0; j < masked->dimension; j++)
      mask->d[j] = j >= o->layer[l].start && j - o->layer[l].start < o->layer[l].length;
    tb_trace_estimate trace;
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
  tb_operator_scaled scale;
  tb_operator adaptive;
  tb_status status = tb_operator_scale(h, &scale, &adaptive);
  for (size_t j = 0; j < h->dimension && status == TB_OK; j++)
    scale.d[j] = fabs(theta[j]);
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
  tb_operator_scaled_close(&scale);
  return status;
}
