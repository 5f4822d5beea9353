/* Claims on divergences: each against its own second estimate, the marginal's below, the start's mismatch. */
#include <math.h>
#include <string.h>

#include "study/drift_claims.h"

static double metric(const tb_outcome *outcome, const char *name) {
  return tb_metrics_get(outcome->metrics, name);
}

/* Paths of few steps carry an error of their own. */
static int arm_paths(const tb_config *config) {
  return tb_config_integer(config, "path_steps") >= 32 ? 0 : -1;
}

static tb_status twice(const tb_outcome *outcome, const char *const names[4], double *value, double *reference) {
  const double se = hypot(metric(outcome, names[1]), metric(outcome, names[3]));
  *value = fabs(metric(outcome, names[0]) - metric(outcome, names[2])) / se;
  *reference = 4;
  return TB_OK;
}

static tb_status measure_forward(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  return twice(outcome, (const char *const[]){ "path_kl", "path_kl.se", "path_kl.weights", "path_kl.weights.se" },
               value, reference);
}

const tb_claim claim_drift_forward_twice = {
  .id = "drift.forward_twice",
  .statement = "The forward path divergence from the drift's error is EUBO - log Z from path weights",
  .source = PAPER_DIFFUSION ", Proposition 3.1, as corrected; Girsanov's theorem",
  .reference =
      "path weights, which do not know the exact drift; value: difference in standard errors of both, at most 4",
  .group = DIFFUSION_CONTROL,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 0,
  .unit = "standard errors",
  .arm = arm_paths,
  .measure = measure_forward,
};

static tb_status measure_reverse(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  return twice(outcome,
               (const char *const[]){ "reverse_kl", "reverse_kl.se", "reverse_kl.weights", "reverse_kl.weights.se" },
               value, reference);
}

const tb_claim claim_drift_reverse_twice = {
  .id = "drift.reverse_twice",
  .statement = "The reverse path divergence from the drift's error is log Z - ELBO from path weights",
  .source = PAPER_DIFFUSION ", equation of the control objective; Girsanov's theorem",
  .reference =
      "path weights, which do not know the exact drift; value: difference in standard errors of both, at most 4",
  .group = DIFFUSION_CONTROL,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 0,
  .unit = "standard errors",
  .arm = arm_paths,
  .measure = measure_reverse,
};

static tb_status below(const tb_outcome *outcome, const char *marginal, const char *path, const char *se, double *value,
                       double *reference) {
  *value = metric(outcome, marginal);
  *reference = isnan(*value) ? NAN : metric(outcome, path) + 4 * metric(outcome, se);
  return TB_OK;
}

static tb_status measure_marginal(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  return below(outcome, "marginal_kl", "path_kl", "path_kl.se", value, reference);
}

const tb_claim claim_drift_marginal_forward = {
  .id = "drift.marginal_forward",
  .statement = "The divergence of the target from the law that the network samples is at most the path divergence",
  .source = "data processing",
  .reference = "the sampled law carried by quadrature from step to step; at most the path divergence and 4 of its "
               "standard errors",
  .group = DIFFUSION_CONTROL,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-4,
  .unit = "nats",
  .arm = arm_paths,
  .measure = measure_marginal,
};

static tb_status measure_marginal_reverse(tb_context *context, const tb_outcome *outcome, double *value,
                                          double *reference) {
  return below(outcome, "marginal_reverse_kl", "reverse_kl", "reverse_kl.se", value, reference);
}

const tb_claim claim_drift_marginal_reverse = {
  .id = "drift.marginal_reverse",
  .statement = "The divergence of the sampled law from the target is at most the reverse path divergence",
  .source = "data processing",
  .reference = "the sampled law carried by quadrature from step to step; at most the path divergence and 4 of its "
               "standard errors",
  .group = DIFFUSION_CONTROL,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-4,
  .unit = "nats",
  .arm = arm_paths,
  .measure = measure_marginal_reverse,
};

/* ---- no network ---- */

static int arm_zero(const tb_config *config) {
  return tb_config_is(config, "network", "zero") && tb_config_is(config, "process", "ou") ? 0 : -1;
}

/* KL(π‖N) − KL(p₁‖N); both by quadrature, one of them in the snapshot at t = 1. */
static tb_status measure_zero(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = *reference = NAN;
  for (size_t i = 0; i < outcome->n_snapshots; i++)
    if (tb_metrics_get(outcome->snapshots[i], "t") == 1) {
      const double want = metric(outcome, "kl_reference") - tb_metrics_get(outcome->snapshots[i], "mismatch");
      *value = fabs(metric(outcome, "path_kl") - want) / metric(outcome, "path_kl.se");
      *reference = 4;
    }
  return TB_OK;
}

const tb_claim claim_drift_zero = {
  .id = "drift.energy",
  .statement = "Without a network the path divergence is KL(pi||N) - KL(p_1||N): the energy of the optimal control",
  .source = PAPER_DIFFUSION ", section 3; Föllmer 1985",
  .reference = "both divergences by quadrature; value: difference in standard errors, at most 4",
  .group = DIFFUSION_CONTROL,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 0,
  .unit = "standard errors",
  .arm = arm_zero,
  .measure = measure_zero,
};

/* ---- the start's mismatch ---- */

static int arm_mismatch(const tb_config *config) {
  return tb_config_is(config, "process", "ou") && tb_config_is(config, "network", "zero") ? 0 : -1;
}

static tb_status measure_mismatch(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = *reference = outcome->n_snapshots ? 0 : NAN;
  for (size_t i = 0; i < outcome->n_snapshots; i++)
    *value = fmax(*value, tb_metrics_get(outcome->snapshots[i], "mismatch") /
                                  tb_metrics_get(outcome->snapshots[i], "mismatch_bound") -
                              1);
  return TB_OK;
}

const tb_claim claim_drift_mismatch_bound = {
  .id = "drift.mismatch_bound",
  .statement = "After noising for T the law is within exp(-2T) KL(pi||N) of the Gaussian (printed: exp(-T))",
  .source = PAPER_DIFFUSION ", Remark 3.2, as corrected: logarithmic Sobolev inequality of the Gaussian",
  .reference = "quadrature; value: largest ratio to the bound over times, minus 1",
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-9,
  .unit = "",
  .arm = arm_mismatch,
  .measure = measure_mismatch,
};

/* KL(p_t‖N) ≈ ½ e^{−2kt} Σ over the Hermite coefficients of the first order k that does not vanish: 1 where the mean
 * is not 0, else 2.  Judged between the last two snapshots, from t = 2 on. */
static tb_status measure_slope(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  const size_t n = outcome->n_snapshots;
  drift_study s;
  *value = *reference = NAN;
  if (n < 2 || tb_metrics_get(outcome->snapshots[n - 2], "t") < 2)
    return TB_OK;
  tb_status status = drift_open(&s, context, outcome->config);
  if (!status && s.family.sigma == 1) {
    const tb_metrics *a = outcome->snapshots[n - 2], *b = outcome->snapshots[n - 1];
    bool centred = true;
    for (size_t i = 0; i < s.family.dims; i++) {
      double mean = 0;
      for (size_t j = 0; j < s.family.count; j++)
        mean += s.family.weight[j] * s.family.mean[j * s.family.dims + i];
      centred &= fabs(mean) < 1e-9;
    }
    *value = log(tb_metrics_get(a, "mismatch") / tb_metrics_get(b, "mismatch")) /
             (tb_metrics_get(b, "t") - tb_metrics_get(a, "t"));
    *reference = centred ? 4 : 2;
  }
  drift_close(&s);
  return status;
}

const tb_claim claim_drift_mismatch_slope = {
  .id = "drift.mismatch_slope",
  .statement = "The mismatch falls at rate 2 where the target's mean is not zero, and at rate 4 where it is",
  .source = "derived",
  .reference = "order of the first Hermite coefficient that does not vanish; value: slope of the log mismatch by "
               "quadrature, between the last two times",
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 0.05,
  .unit = "",
  .arm = arm_mismatch,
  .measure = measure_slope,
};
