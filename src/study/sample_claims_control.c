/* Claims on samplers by diffusions: exact normalisers at any number of steps, bounds, published values, posteriors. */
#include <math.h>
#include <string.h>

#include "study/diffusion_abstract.h"
#include "study/sample_claims.h"

static double metric(const tb_outcome *outcome, const char *name) {
  return tb_metrics_get(outcome->metrics, name);
}

bool sample_by_diffusion(const tb_config *config) {
  return tb_config_is(config, "method", "dds") || tb_config_is(config, "method", "pis") ||
         tb_config_is(config, "method", "sfs");
}

static int arm_diffusion(const tb_config *config) {
  return sample_by_diffusion(config) ? 0 : -1;
}

/* ---- E[w] = Z ---- */

static tb_status measure_unbiased(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  const double log_z = sample_exact_log_z(outcome->config);
  *value = fabs(metric(outcome, "log_z") - log_z) / metric(outcome, "log_z.se");
  *reference = 4;
  /* with a handful of effective draws the standard error says nothing, and weights of a tail with k >= 1/2 have none */
  if (isnan(log_z) || !(metric(outcome, "ess") >= 100) || !(metric(outcome, "khat") < 0.5))
    *value = *reference = NAN;
  return TB_OK;
}

const tb_claim claim_sample_control_unbiased = {
  .id = "sample.control_unbiased",
  .statement = "The mean path weight of a controlled diffusion is Z at any number of steps and for any control",
  .source = "Vargas, Grathwohl and Doucet 2023; Zhang and Chen 2022",
  .reference =
      "normalisers in closed form; value: difference in standard errors, at most 4 (runs of 100 effective draws "
      "and Pareto k below 0.7)",
  .group = DIFFUSION_SAMPLING,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 0,
  .unit = "standard errors",
  .arm = arm_diffusion,
  .measure = measure_unbiased,
};

/* ---- published values ---- */

static int arm_funnel(const tb_config *config) {
  return tb_config_is(config, "method", "dds") && tb_config_is(config, "target", "funnel") &&
                 tb_config_real(config, "sigma") == 1.075 && !tb_config_is_set(config, "affine")
             ? 0
             : -1;
}

/* Means and standard deviations over 30 seeds, recomputed from the published lists. */
static tb_status measure_funnel(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  static const struct {
    int64_t steps;
    double mean, sd;
  } table[] = { { 64, -0.206, 0.059 }, { 128, -0.176, 0.099 } };
  *value = *reference = NAN;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (tb_config_integer(outcome->config, "steps") == table[i].steps) {
      *value = (metric(outcome, "log_z") - table[i].mean) / table[i].sd;
      *reference = 0;
    }
  return TB_OK;
}

const tb_claim claim_sample_control_funnel = {
  .id = "sample.funnel_published",
  .statement = "The published log Z of the funnel by denoising diffusion sampling is reached at the published settings "
               "(the quick file trains less, and shows its interval)",
  .source = "Vargas, Grathwohl and Doucet 2023: -0.206 (0.059) at 64 steps, -0.176 (0.099) at 128",
  .reference =
      "published means and standard deviations over 30 seeds; value: distance in published standard deviations, "
      "2 and the interval over seeds granted.  At 128 steps and full length seeds 0 to 2 give -0.251, -0.380 and "
      "-0.379, "
      "two of them just outside 2; another group's re-run (CMCD, notebook) prints -0.527 to -0.268 for 8 to 256 steps",
  .group = DIFFUSION_SAMPLING,
  .kind = TB_CLAIM_MEAN,
  .tolerance = 2,
  .unit = "published sd",
  .min_seeds = 3,
  .arm = arm_funnel,
  .measure = measure_funnel,
};

static int arm_brownian(const tb_config *config) {
  return tb_config_is(config, "method", "dds") && tb_config_is(config, "target", "brownian") &&
                 tb_config_is_default(config, "data") && tb_config_integer(config, "iterations") >= 5000
             ? 0
             : -1;
}

static tb_status measure_brownian(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = metric(outcome, "log_z");
  *reference = sample_brownian_log_z();
  return TB_OK;
}

const tb_claim claim_sample_control_brownian = {
  .id = "sample.brownian_dds",
  .statement = "Denoising diffusion sampling finds the log Z of the Brownian model, 1.1877 and not the printed 1.0297, "
               "within two published standard deviations",
  .source = "Vargas, Grathwohl and Doucet 2023 (1.047 with sd 0.156 at 128 steps), truth corrected",
  .reference = "quadrature over the two scales, the path integrated out",
  .group = DIFFUSION_SAMPLING,
  .kind = TB_CLAIM_MEAN,
  .tolerance = 0.312,
  .unit = "nats",
  .min_seeds = 3,
  .arm = arm_brownian,
  .measure = measure_brownian,
};

/* ---- posteriors of real data ---- */

typedef struct posterior {
  const char *file;
  double log_z, error;
  double mean[4], sd[4]; /* of the first four weights */
} posterior;

/* Logistic regressions with prior N(0, I) on standardised features and a leading 1. */
static const posterior posteriors[] = {
  { "ionosphere.csv", -111.610, 0.002, { -0.048, 2.879, 0.011, 0.969 }, { 0.284, 0.558, 1.017, 0.417 } },
  { "sonar.csv", NAN, NAN, { -0.877, -0.943, -0.203, 0.999 }, { 0.301, 0.458, 0.512, 0.528 } },
};

static const posterior *posterior_of(const tb_config *config) {
  const char *path = tb_config_word(config, "data"), *slash = strrchr(path, '/');
  for (size_t i = 0; i < sizeof posteriors / sizeof *posteriors; i++)
    if (strcmp(slash ? slash + 1 : path, posteriors[i].file) == 0)
      return &posteriors[i];
  return NULL;
}

static int arm_posterior(const tb_config *config) {
  return tb_config_is(config, "target", "logistic") && sample_by_diffusion(config) && posterior_of(config) &&
                 tb_config_real(config, "prior_sd") == 1
             ? 0
             : -1;
}

static tb_status measure_posterior(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  const posterior *p = posterior_of(outcome->config);
  const tb_metric_value mean = tb_metrics_find(outcome->metrics, "mean"),
                        se = tb_metrics_find(outcome->metrics, "mean.se");
  *value = 0;
  *reference = 1;
  for (size_t i = 0; i < 4; i++)
    *value = fmax(*value, fabs(mean.values[i] - p->mean[i]) / (4 * se.values[i] + 0.05 * p->sd[i]));
  return TB_OK;
}

const tb_claim claim_sample_control_posterior = {
  .id = "sample.posterior_by_diffusion",
  .statement = "Posterior means of two real data sets by a learned diffusion agree with those of chains",
  .source = "Vargas, Grathwohl and Doucet 2023",
  .reference = "means of the first four weights by long independent chains; value: largest difference over 4 of its "
               "standard errors and 0.05 posterior standard deviations",
  .group = DIFFUSION_SAMPLING,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 0,
  .unit = "",
  .arm = arm_posterior,
  .measure = measure_posterior,
};

static tb_status measure_evidence(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  const posterior *p = posterior_of(outcome->config);
  *value = fabs(metric(outcome, "log_z") - p->log_z) / hypot(metric(outcome, "log_z.se"), p->error);
  *reference = isnan(*value) ? NAN : 4;
  return TB_OK;
}

const tb_claim claim_sample_control_evidence = {
  .id = "sample.evidence_by_diffusion",
  .statement = "The evidence of the ionosphere data by a learned diffusion is -111.610 (printed: -111.559)",
  .source = "Vargas, Grathwohl and Doucet 2023, truth corrected",
  .reference = "importance sampling from long chains, error 0.002; value: difference in standard errors, at most 4",
  .group = DIFFUSION_SAMPLING,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 0,
  .unit = "standard errors",
  .arm = arm_posterior,
  .measure = measure_evidence,
};
