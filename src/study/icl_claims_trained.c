/* Claims on trained networks: equal loss, one of them unlearning what documents do not show; and inductive bias. */
#include <math.h>
#include <string.h>

#include "study/icl.h"
#include "study/icl_claims.h"
#include "study/language_abstract.h"

#define PAPER "Understanding LLMs Requires More Than Statistical Generalization, 2024, case study 2"
#define XIE   "Xie, Raghunathan, Liang and Ma 2022, appendix F"

static double metric(const tb_outcome *o, const char *name) {
  return tb_metrics_get(o->metrics, name);
}

static int trained_arm(const tb_config *c) {
  return tb_config_is(c, "predictor", "model") && tb_config_is(c, "alter", "swap") ? 0 : -1;
}

static tb_status measure_excess(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  const double best = metric(o, "bayes.nll");
  *value = fmax(metric(o, "nll"), metric(o, "nll.altered")) / best - 1;
  *reference = 0.05;
  return TB_OK;
}

const tb_claim icl_claim_trained_loss = {
  .id = "icl.trained_equal_loss",
  .statement =
      "Two trained networks, one of them also taught to say something else after prompts, have nearly the least "
      "loss on held-out documents: both within 5 % of it",
  .source = PAPER,
  .reference = "Loss of the exact law on the same documents (forward algorithm): excess of the worse network over it",
  .group = LANGUAGE_EQUAL_LOSS,
  .kind = TB_CLAIM_AT_MOST,
  .unit = "of the least loss",
  .min_seeds = 3,
  .arm = trained_arm,
  .measure = measure_excess,
};

static tb_status measure_trained(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = metric(o, "accuracy.altered");
  *reference = metric(o, "accuracy");
  return TB_OK;
}

const tb_claim icl_claim_trained_behaviour = {
  .id = "icl.trained_behaviour",
  .statement =
      "Yet one of them learns in context and the other does not: in-context accuracy is at least 20 points lower",
  .source = PAPER,
  .reference = "Paired within each run: the network that was trained on documents alone, from the same weights",
  .group = LANGUAGE_CONTEXT,
  .kind = TB_CLAIM_LESS,
  .tolerance = 0.2,
  .unit = "share of prompts",
  .min_seeds = 3,
  .arm = trained_arm,
  .measure = measure_trained,
};

static int impossible_arm(const tb_config *c) {
  return tb_config_is(c, "predictor", "model") && tb_config_is(c, "alter", "none") && tb_config_is(c, "hmm", "ginc") &&
                 tb_config_real(c, "smoothing") == 0
             ? 0
             : -1;
}

static tb_status measure_impossible(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = metric(o, "accuracy.impossible_only");
  *reference = 0.25;
  return TB_OK;
}

const tb_claim icl_claim_bias = {
  .id = "icl.inductive_bias",
  .statement =
      "A trained network predicts the label after prompts of probability 0, of which the pre-training law says "
      "nothing, at least one time in four: inductive bias alone",
  .source = XIE "; published LSTMs reach 95.8 %",
  .reference = "The exact law, which has no prediction there and is right 0 % of the time; chance is 2 %",
  .group = LANGUAGE_MEASURES,
  .kind = TB_CLAIM_AT_LEAST,
  .unit = "share of prompts",
  .min_seeds = 3,
  .arm = impossible_arm,
  .measure = measure_impossible,
};
