/* Claims on posteriors: means against integrals and importance sampling, and warnings that come when they must. */
#include <math.h>
#include <string.h>

#include "study/diffusion_abstract.h"
#include "study/sample_claims.h"

static tb_status skip(double *value, double *reference) {
  *value = *reference = NAN;
  return TB_OK;
}

/* ---- the eight schools ---- */

static int arm_schools(const tb_config *config) {
  return tb_config_is(config, "target", "eight_schools") ? 0 : -1;
}

static tb_status measure_schools(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  const tb_metric_value mean = tb_metrics_find(outcome->metrics, "mean"),
                        se = tb_metrics_find(outcome->metrics, "mean.se");
  double exact[3];
  sample_eight_schools(exact);
  *value = fmax(fabs(mean.values[0] - exact[1]) / se.values[0], fabs(mean.values[1] - exact[2]) / se.values[1]);
  *reference = 0;
  return TB_OK;
}

const tb_claim claim_sample_eight_schools = {
  .id = "sample.eight_schools",
  .statement =
      "Posterior means of mu and tau of the eight schools are exact within five reported standard errors, by any "
      "method",
  .source = "Rubin 1981; posteriordb",
  .reference =
      "mu and the effects integrated out in closed form, tau by the trapezoidal rule; value: the larger distance "
      "in standard errors",
  .group = DIFFUSION_SAMPLING,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 5,
  .unit = "standard errors",
  .arm = arm_schools,
  .measure = measure_schools,
};

/* ---- two real data sets ---- */

enum { FIRST = 4 };
static const struct posterior {
  size_t d;
  double prior_sd;
  const char *standardise;
  double mean[FIRST], sd[FIRST]; /* of the intercept and the first three weights */
} posteriors[] = {
  { 35, 1, "true", { -0.048, 2.879, 0.011, 0.969 }, { 0.284, 0.558, 1.017, 0.417 } },
  { 61, 1, "true", { -0.877, -0.943, -0.203, 0.999 }, { 0.301, 0.458, 0.512, 0.528 } },
  { 25, 10, "scale", { -3.369, 0.743, -0.422, 0.421 }, { 1.216, 0.091, 0.104, 0.098 } },
};

/* Diffusions have weights, and a claim of their own. */
static int arm_posterior(const tb_config *config) {
  return tb_config_is(config, "target", "logistic") && !sample_by_diffusion(config) ? 0 : -1;
}

static tb_status measure_posterior(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  const tb_metric_value mean = tb_metrics_find(outcome->metrics, "mean");
  for (size_t i = 0; i < sizeof posteriors / sizeof *posteriors; i++) {
    const struct posterior *p = &posteriors[i];
    if (mean.cols != p->d || tb_config_real(outcome->config, "prior_sd") != p->prior_sd ||
        !tb_config_is(outcome->config, "standardise", p->standardise))
      continue;
    *value = *reference = 0;
    for (size_t j = 0; j < FIRST; j++)
      *value = fmax(*value, fabs(mean.values[j] - p->mean[j]) / p->sd[j]);
    return TB_OK;
  }
  return skip(value, reference);
}

const tb_claim claim_sample_posterior_means = {
  .id = "sample.posterior_means",
  .statement = "On real data sets the posterior means by chains and particles agree",
  .source = "Bayesian logistic regression on ionosphere, sonar and German credit",
  .reference = "importance sampling in NumPy: intercept and first three weights; value: largest distance in posterior "
               "standard deviations",
  .group = DIFFUSION_SAMPLING,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 0.1,
  .unit = "posterior sd",
  .arm = arm_posterior,
  .measure = measure_posterior,
};

/* ---- warnings ---- */

static bool is_chain(const tb_config *config) {
  return tb_config_is(config, "method", "nuts") || tb_config_is(config, "method", "hmc");
}

static tb_status count_warnings(const tb_outcome *outcome, double *value, double *reference) {
  const tb_metric_value warnings = tb_metrics_find(outcome->metrics, "warnings");
  *value = warnings.name ? (double)warnings.cols : 0;
  *reference = 1;
  return TB_OK;
}

static int arm_modes(const tb_config *config) {
  return is_chain(config) && tb_config_is(config, "target", "gmm9") && tb_config_integer(config, "chains") >= 4 ? 0
                                                                                                                : -1;
}

static tb_status measure_modes(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = tb_metrics_get(outcome->metrics, "rhat");
  *reference = 1.01;
  return TB_OK;
}

const tb_claim claim_sample_modes = {
  .id = "sample.modes",
  .statement = "Chains that each stay in a mode of their own say so: R-hat is far above 1.01",
  .source = "Vehtari et al. 2021",
  .reference = "nine modes five apart, which no Hamiltonian trajectory crosses",
  .group = DIFFUSION_SAMPLING,
  .kind = TB_CLAIM_AT_LEAST,
  .tolerance = 0,
  .unit = "",
  .arm = arm_modes,
  .measure = measure_modes,
};

static int arm_funnel(const tb_config *config) {
  return is_chain(config) && tb_config_is(config, "target", "funnel") ? 0 : -1;
}

static tb_status measure_funnel(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  return count_warnings(outcome, value, reference);
}

const tb_claim claim_sample_funnel = {
  .id = "sample.funnel",
  .statement = "Chains in Neal's funnel, whose neck no fixed step can enter, do not end without a warning",
  .source = "Neal 2003; Betancourt and Girolami 2015",
  .reference = "the neck's curvature exp(-x_1) passes any step size; value: warnings of the run",
  .group = DIFFUSION_SAMPLING,
  .kind = TB_CLAIM_AT_LEAST,
  .tolerance = 0,
  .unit = "warnings",
  .arm = arm_funnel,
  .measure = measure_funnel,
};
