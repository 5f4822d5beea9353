/* The table of the claims of `score`, and what they share. */
#include "study/score_claims.h"

#include <math.h>

const tb_claim *const score_claims[SCORE_CLAIMS] = {
  &claim_noise_gaussian,
  &claim_noise_rate,
  &claim_noise_bound,
  &claim_order_ddim,
  &claim_order_heun,
  &claim_order_dpmpp2m,
  &claim_order_em,
  &claim_order_ancestral,
  &claim_order_exponential,
  &claim_rk45,
  &claim_exact_samples_vp,
  &claim_exact_samples_others,
  &claim_exact_transport,
  &claim_likelihood,
  &claim_likelihood_hutchinson,
  &claim_memory,
  &claim_excess,
  &claim_training,
  &claim_learned_samples,
  &claim_learned_likelihood,
  &claim_ou_beats_pinned,
  &claim_common_variables,
  &claim_preconditioned,
};

bool score_config_exact(const tb_config *c) {
  return tb_config_is(c, "network", "exact") && !tb_config_is_set(c, "samples");
}

bool score_config_learned(const tb_config *c) {
  return tb_config_is(c, "network", "trained") && !tb_config_is_set(c, "samples");
}

tb_status score_skip(double *value, double *reference) {
  *value = *reference = NAN;
  return TB_OK;
}

tb_status score_entropy(tb_context *context, const tb_outcome *outcome, double *nats) {
  score s;
  *nats = NAN;
  tb_status status = score_open(&s, context, outcome->config);
  if (!status)
    status = score_fill(&s);
  double *values = status ? NULL : tb_arena_allocate(s.arena, s.n_test, sizeof *values);
  if (!status && !values)
    status = TB_NO_MEMORY;
  if (!status && s.density && isfinite(s.density->log_normaliser)) {
    double sum = 0;
    status = tb_density_values(s.density, s.n_test, s.test, values, NULL);
    for (size_t i = 0; i < s.n_test; i++)
      sum += s.density->log_normaliser - values[i];
    *nats = sum / (double)s.n_test;
  }
  score_close(&s);
  return status;
}
