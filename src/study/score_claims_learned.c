/* Claims on learned scores: that denoising score matching finds the score, what its samples are worth, and which noise
 * asks less of a network. */
#include <math.h>
#include <string.h>

#include "study/score_claims.h"

/* ---- the loss ---- */

static int arm_learned(const tb_config *c) {
  return score_config_learned(c) && !tb_config_is_set(c, "data") ? 0 : -1;
}

static tb_status measure_excess(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  const double se = tb_metrics_get(outcome->metrics, "score_excess.se");
  if (!(se > 0))
    return score_skip(value, reference);
  *value =
      fabs(tb_metrics_get(outcome->metrics, "score_excess") - tb_metrics_get(outcome->metrics, "score_error")) / se;
  *reference = 4;
  return TB_OK;
}

const tb_claim claim_excess = {
  .id = "score.excess",
  .statement =
      "What a network loses in predicting noise beyond the least possible is its distance from the exact score",
  .source = "Vincent 2011",
  .reference = "4 standard errors; value: |loss - loss of the exact score - E|e - e*|^2| in standard errors",
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 0,
  .unit = "standard errors",
  .arm = arm_learned,
  .measure = measure_excess,
};

static tb_status measure_training(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = -INFINITY;
  *reference = 1;
  for (size_t i = 1; i < outcome->n_snapshots; i++)
    *value = fmax(*value, tb_metrics_get(outcome->snapshots[i], "path_kl") /
                              tb_metrics_get(outcome->snapshots[i - 1], "path_kl"));
  return isfinite(*value) ? TB_OK : score_skip(value, reference);
}

const tb_claim claim_training = {
  .id = "score.training",
  .statement =
      "Training brings the reversal nearer: the divergence of its path law from the exact one's falls from every "
      "look to the next",
  .source = "Vargas, Reu, Kerekes and Bronstein 2023, section 1: KL = integral of g^2/2 E|s - grad ln p|^2",
  .reference = "1; value: the largest ratio of path_kl, against the exact score, at successive snapshots",
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 0,
  .unit = "",
  .arm = arm_learned,
  .measure = measure_training,
};

/* ---- samples ---- */

static int arm_samples(const tb_config *c) {
  return score_config_learned(c) && tb_config_is(c, "parametrisation", "preconditioned") &&
                 tb_config_integer(c, "draws") >= 1000 && tb_config_integer(c, "steps") >= 9000
             ? 0
             : -1;
}

static tb_status measure_samples(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = tb_metrics_get(outcome->metrics, "c2st");
  *reference = 0.5;
  return TB_OK;
}

const tb_claim claim_learned_samples = {
  .id = "score.learned_samples",
  .statement = "Samples of a network trained for nine thousand steps or more are told from the data hardly better "
               "than by a coin",
  .source = "Song et al. 2021",
  .reference =
      "1/2; value: held-out accuracy of a classifier between draws and fresh data, mean over seeds.  What is "
      "left are strays between the squares of the checkerboard: 0.565 after 3,000 steps, 0.524 after 9,000 and "
      "after 15,000, 0.523 at twice the width",
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_MEAN,
  .tolerance = 0.02,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_samples,
  .measure = measure_samples,
};

static int arm_learned_likelihood(const tb_config *c) {
  return arm_learned(c) == 0 && tb_config_is(c, "likelihood", "exact") ? 0 : -1;
}

/* nll less the entropy is KL(π ‖ q) of the flow's density q in expectation. */
static tb_status measure_learned_likelihood(tb_context *context, const tb_outcome *outcome, double *value,
                                            double *reference) {
  double entropy;
  const tb_status status = score_entropy(context, outcome, &entropy);
  if (status || isnan(entropy) || outcome->n_snapshots < 2)
    return status ? status : score_skip(value, reference);
  *value = -INFINITY;
  *reference = 1;
  for (size_t i = 1; i < outcome->n_snapshots; i++)
    *value = fmax(*value, (tb_metrics_get(outcome->snapshots[i], "nll") - entropy) /
                              (tb_metrics_get(outcome->snapshots[i - 1], "nll") - entropy));
  return TB_OK;
}

const tb_claim claim_learned_likelihood = {
  .id = "score.learned_likelihood",
  .statement = "And the density that the network gives the data comes nearer to theirs from every look to the next",
  .source = "Song et al. 2021; Song, Durkan, Murray and Ermon 2021",
  .reference = "1; value: the largest ratio, at successive snapshots, of nll less the mean of -ln pi at the same test "
               "points by the target's log density",
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 0,
  .unit = "",
  .arm = arm_learned_likelihood,
  .measure = measure_learned_likelihood,
};

/* ---- which noise ---- */

static tb_status measure_log_path(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = log(tb_metrics_get(outcome->metrics, "path_kl"));
  *reference = 0;
  return TB_OK;
}

/* The paper's data, and no likelihood: runs that are there to be compared, in every combination. */
static bool is_paired(const tb_config *c) {
  return arm_learned(c) == 0 && tb_config_is(c, "likelihood", "none") &&
         (tb_config_is(c, "target", "gmm10") || tb_config_is(c, "target", "funnel"));
}

/* 0: Ornstein–Uhlenbeck, 1: pinned, under one parametrisation */
static int arm_of_process(const tb_config *c, const char *parametrisation) {
  if (!is_paired(c) || !tb_config_is(c, "parametrisation", parametrisation))
    return -1;
  return tb_config_is(c, "process", "vp") ? 0 : tb_config_is(c, "process", "pinned") ? 1 : -1;
}

static int arm_ou_pinned(const tb_config *c) {
  return arm_of_process(c, "noise");
}

const tb_claim claim_ou_beats_pinned = {
  .id = "score.ou_beats_pinned",
  .statement =
      "At equal width, data and training a network of (x, t) learns the Ornstein-Uhlenbeck reversal better than "
      "that of pinned Brownian motion",
  .source = "Vargas, Reu, Kerekes and Bronstein 2023, section 4 and observation 1",
  .reference = "paired by seed and target; value: mean of ln path_kl under OU less that under pinned Brownian motion, "
               "against the exact scores",
  .group = DIFFUSION_PROCESSES,
  .kind = TB_CLAIM_BELOW,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_ou_pinned,
  .measure = measure_log_path,
};

/* 0: pinned, 1: OU with half as much again */
static int arm_common(const tb_config *c) {
  const int arm = arm_of_process(c, "preconditioned");
  return arm < 0 ? -1 : 1 - arm;
}

static tb_status measure_common(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  const tb_status status = measure_log_path(context, outcome, value, reference);
  if (tb_config_is(outcome->config, "process", "vp"))
    *value += log(1.5);
  return status;
}

const tb_claim claim_common_variables = {
  .id = "score.common_variables",
  .statement =
      "That advantage is one of coordinates: a network of x/alpha and alpha/sigma, in which the two processes are "
      "one, loses less than half as much again on pinned noise",
  .source = "derived: both flows are d(x/alpha) = e d(sigma/alpha); Karras et al. 2022 for the network",
  .reference =
      "paired by seed and target; value: mean of ln path_kl under pinned noise less ln 1.5 times that under OU",
  .group = DIFFUSION_PROCESSES,
  .kind = TB_CLAIM_BELOW,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_common,
  .measure = measure_common,
};

static int arm_preconditioned(const tb_config *c) {
  if (!is_paired(c) || !tb_config_is(c, "process", "pinned"))
    return -1;
  return tb_config_is(c, "parametrisation", "preconditioned") ? 0 : 1;
}

const tb_claim claim_preconditioned = {
  .id = "score.preconditioned",
  .statement = "On pinned noise a network of those coordinates ends nearer to the exact reversal than one of (x, t)",
  .source = "derived; Karras et al. 2022",
  .reference =
      "paired by seed and target; value: mean of ln path_kl, preconditioned less plain, against the exact score",
  .group = DIFFUSION_PROCESSES,
  .kind = TB_CLAIM_BELOW,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_preconditioned,
  .measure = measure_log_path,
};
