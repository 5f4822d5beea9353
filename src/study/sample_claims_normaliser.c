/* Claims on ln Z: exact values, E[Ẑ] = Z, bounds, and two targets whose published value is a sampler's. */
#include <math.h>

#include "study/diffusion_abstract.h"
#include "study/sample_claims.h"

static tb_status skip(double *value, double *reference) {
  *value = *reference = NAN;
  return TB_OK;
}

static double metric(const tb_outcome *outcome, const char *name) {
  return tb_metrics_get(outcome->metrics, name);
}

static bool is_smc(const tb_config *config) {
  return tb_config_is(config, "method", "smc");
}

/* ---- exact normalisers ---- */

static int arm_exact(const tb_config *config) {
  return is_smc(config) && !isnan(sample_exact_log_z(config)) && tb_config_integer(config, "islands") >= 4 ? 0 : -1;
}

static tb_status measure_exact(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = (metric(outcome, "log_z") - sample_exact_log_z(outcome->config)) / metric(outcome, "log_z.se");
  *reference = 0;
  return TB_OK;
}

const tb_claim claim_sample_smc_normaliser = {
  .id = "sample.smc_normaliser",
  .statement = "Particles find the exact log normaliser within five of the standard errors that they report",
  .source = "closed forms of the standard targets",
  .reference = "0 for normalised targets, quadrature for wells, an integral over tau for the eight schools; value: the "
               "distance in standard errors",
  .group = DIFFUSION_SAMPLING,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 5,
  .unit = "standard errors",
  .arm = arm_exact,
  .measure = measure_exact,
};

static int arm_unbiased(const tb_config *config) {
  return arm_exact(config) == 0 && tb_config_real(config, "keep") <= 0.5 ? 0 : -1;
}

static tb_status measure_unbiased(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = exp(metric(outcome, "log_z") - sample_exact_log_z(outcome->config));
  *reference = 1;
  return TB_OK;
}

const tb_claim claim_sample_smc_unbiased = {
  .id = "sample.smc_unbiased",
  .statement = "The estimate of Z by particles is unbiased however few temperatures they pass through",
  .source = "Del Moral 2004; E[Z^] = Z for any schedule that does not depend on the particles",
  .reference = "exact Z; value: mean of the ratio of estimate and Z over seeds, few temperatures (keep <= 0.5)",
  .group = DIFFUSION_SAMPLING,
  .kind = TB_CLAIM_MEAN,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 8,
  .arm = arm_unbiased,
  .measure = measure_unbiased,
};

/* ---- bounds, of any method ---- */

static int arm_known(const tb_config *config) {
  return isnan(sample_exact_log_z(config)) ? -1 : 0;
}

static tb_status measure_elbo(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  if (isnan(metric(outcome, "elbo")) || isnan(metric(outcome, "elbo.se")))
    return skip(value, reference);
  *value = metric(outcome, "elbo") - 4 * metric(outcome, "elbo.se");
  *reference = sample_exact_log_z(outcome->config);
  return TB_OK;
}

const tb_claim claim_sample_elbo = {
  .id = "sample.elbo",
  .statement = "The evidence lower bound stays below the exact log normaliser, by any method",
  .source = "Jensen's inequality",
  .reference = "closed forms and quadrature; value: the bound less four of its standard errors",
  .group = DIFFUSION_SAMPLING,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-6,
  .unit = "nats",
  .arm = arm_known,
  .measure = measure_elbo,
};

static tb_status measure_eubo(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  if (isnan(metric(outcome, "eubo")) || isnan(metric(outcome, "eubo.se")))
    return skip(value, reference);
  *value = metric(outcome, "eubo") + 4 * metric(outcome, "eubo.se");
  *reference = sample_exact_log_z(outcome->config);
  return TB_OK;
}

const tb_claim claim_sample_eubo = {
  .id = "sample.eubo",
  .statement = "The evidence upper bound stays above the exact log normaliser, by any method that has one",
  .source = "Jensen's inequality on paths that end in exact draws",
  .reference = "closed forms and quadrature; value: the bound and four of its standard errors",
  .group = DIFFUSION_SAMPLING,
  .kind = TB_CLAIM_AT_LEAST,
  .tolerance = 1e-6,
  .unit = "nats",
  .arm = arm_known,
  .measure = measure_eubo,
};

/* ---- targets whose printed truth is a long sampler's ---- */

static int arm_brownian(const tb_config *config) {
  return is_smc(config) && tb_config_is(config, "target", "brownian") && !tb_config_is_set(config, "data") &&
                 tb_config_is(config, "start", "fitted") && tb_config_integer(config, "draws") >= 4000
             ? 0
             : -1;
}

static tb_status measure_brownian(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = metric(outcome, "log_z");
  *reference = sample_brownian_log_z();
  return TB_OK;
}

const tb_claim claim_sample_brownian = {
  .id = "sample.brownian",
  .statement = "The Brownian target's log normaliser is 1.1877, not the 1.0297 that is printed as its truth",
  .source = "Vargas, Grathwohl and Doucet 2023, notebook: 1.0297 by long particle runs",
  .reference = "trapezoidal integral over both scales of the path's Gaussian likelihood; value: mean over seeds; the "
               "tolerance covers the logarithm's bias",
  .group = DIFFUSION_SAMPLING,
  .kind = TB_CLAIM_MEAN,
  .tolerance = 0.03,
  .unit = "nats",
  .min_seeds = 6,
  .arm = arm_brownian,
  .measure = measure_brownian,
};

static int arm_ionosphere(const tb_config *config) {
  return is_smc(config) && tb_config_is(config, "target", "logistic") && tb_config_real(config, "prior_sd") == 1 &&
                 tb_config_is(config, "standardise", "true")
             ? 0
             : -1;
}

static tb_status measure_ionosphere(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  const tb_metric_value mean = tb_metrics_find(outcome->metrics, "mean");
  if (mean.cols != 35) /* another data set */
    return skip(value, reference);
  *value = metric(outcome, "log_z");
  *reference = -111.610;
  return TB_OK;
}

const tb_claim claim_sample_ionosphere = {
  .id = "sample.ionosphere",
  .statement = "The log normaliser of logistic regression on the ionosphere data is -111.610",
  .source = "Vargas, Grathwohl and Doucet 2023 print -111.559 as truth",
  .reference =
      "importance sampling around the mode in NumPy, -111.610 with standard error 0.002; value: mean over seeds",
  .group = DIFFUSION_SAMPLING,
  .kind = TB_CLAIM_MEAN,
  .tolerance = 0.006,
  .unit = "nats",
  .min_seeds = 4,
  .arm = arm_ionosphere,
  .measure = measure_ionosphere,
};
