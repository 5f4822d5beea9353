/* The claims of the study `measures`: one loss, different behaviour, and which measures know of it. */
#include <math.h>
#include <string.h>

#include "study/language_abstract.h"
#include "study/measures.h"

#define PAPER "Understanding LLMs Requires More Than Statistical Generalization, 2024, section 4"

static const double *column(const tb_outcome *o, const char *name, size_t *n) {
  const tb_metric_value v = tb_metrics_find(o->metrics, name);
  *n = v.name ? v.cols : 0;
  return v.values;
}

static int arm_any(const tb_config *c) {
  return 0;
}

/* Networks of one learning rate, or of several. */
static int arm_one_rate(const tb_config *c) {
  const double *rates;
  return tb_config_reals(c, "rates", &rates) <= 1 ? 0 : -1;
}

static int arm_rates(const tb_config *c) {
  return arm_one_rate(c) == 0 ? -1 : 0;
}

/* ---- one loss, different behaviour ---- */

static tb_status measure_excess(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  size_t n;
  const double *excess = column(o, "network.excess", &n);
  *value = n ? 0 : NAN;
  for (size_t i = 0; i < n; i++)
    *value = fmax(*value, excess[i]);
  *reference = 0.05;
  return TB_OK;
}

static const tb_claim claim_loss = {
  .id = "measures.equal_loss",
  .statement = "All networks of a run have the same loss: within 5 % of the least there is",
  .source = PAPER,
  .reference = "Entropy of the language, by dynamic programming; excess of the worst network, over all strings",
  .group = LANGUAGE_EQUAL_LOSS,
  .kind = TB_CLAIM_AT_MOST,
  .unit = "of the entropy",
  .arm = arm_any,
  .measure = measure_excess,
};

static tb_status measure_range(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  size_t n;
  const double *r1 = column(o, "network.ood_r1", &n);
  double least = INFINITY, most = -INFINITY;
  for (size_t i = 0; i < n; i++) {
    least = fmin(least, r1[i]);
    most = fmax(most, r1[i]);
  }
  *value = n ? 0 : NAN;
  *reference = n ? most - least : NAN;
  return TB_OK;
}

static const tb_claim claim_behaviour = {
  .id = "measures.behaviour_differs",
  .statement = "Networks of that one loss lie more than 30 points apart in how often they follow the rule outside the "
               "language, in the mean over repetitions of the whole",
  .source = PAPER,
  .reference = "0.3, below the mean over repetitions of the largest less the least share of a run's networks; greedy "
               "completions of every prompt: no sampling noise",
  .group = LANGUAGE_EQUAL_LOSS,
  .kind = TB_CLAIM_LESS,
  .tolerance = 0.3,
  .unit = "share of prompts",
  .min_seeds = 3,
  .arm = arm_any,
  .measure = measure_range,
};

/* ---- which rule comes first ---- */

static tb_status measure_order(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  size_t n, first = 0;
  const double *r1 = column(o, "network.learnt_r1", &n), *r2 = column(o, "network.learnt_r2", &n);
  for (size_t i = 0; i < n; i++)
    first += r2[i] < r1[i];
  *value = n ? (double)first / (double)n : NAN;
  *reference = 0.9;
  return TB_OK;
}

static const tb_claim claim_order = {
  .id = "measures.order_before_count",
  .statement = "Nine networks in ten learn the order of symbols (r2) before their number (r1)",
  .source = "Rule Extrapolation in Language Models, 2024: the transformer learns R2 first; " PAPER,
  .reference = "Exact mass of all strings of 1 to 8 symbols by the rules that they obey, every 20 steps",
  .group = LANGUAGE_MEASURES,
  .kind = TB_CLAIM_AT_LEAST,
  .unit = "share of networks",
  .min_seeds = 3,
  .arm = arm_any,
  .measure = measure_order,
};

/* ---- sharpness ---- */

static tb_status measure_invariance(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  size_t n;
  const double *adaptive = column(o, "network.adaptive_trace", &n);
  *value = tb_metrics_get(o->metrics, "moved.adaptive_trace") / (n ? adaptive[0] : NAN);
  *reference = isnan(*value) ? NAN : 1; /* the first network was left out */
  return TB_OK;
}

static const tb_claim claim_invariance = {
  .id = "measures.adaptive_is_invariant",
  .statement = "Adaptive sharpness is the same at a network and at its rescaled twin",
  .source = "Kwon et al. 2021; Dinh et al. 2017",
  .reference = "Invariance of D H D under diagonal rescalings that keep the function; the same probes at both",
  .group = LANGUAGE_MEASURES,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 1e-4,
  .unit = "of the trace",
  .arm = arm_any,
  .measure = measure_invariance,
};

static tb_status rank_of(const tb_outcome *o, const char *name, double sign, double *value, double *reference) {
  *value = sign * tb_metrics_get(o->metrics, name);
  *reference = isnan(*value) ? NAN : 0;
  return TB_OK;
}

static tb_status measure_trace(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  return rank_of(o, "rank.trace.ood_r1", 1, value, reference);
}

static tb_status measure_adaptive(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  return rank_of(o, "rank.adaptive_trace.ood_r1", 1, value, reference);
}

static tb_status measure_transfer(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  return rank_of(o, "rank.trace.transfer_loss", -1, value, reference);
}

#define RANKS "Spearman's correlation over the networks of each run, interval over repetitions of the whole"

static const tb_claim claim_trace = {
  .id = "measures.flat_extrapolates",
  .statement =
      "Among networks of one loss and several learning rates the flatter (smaller trace of the Hessian) follow the "
      "rule outside the language more often",
  .source = "Liu et al. 2023 (flatness tells downstream accuracy where the loss does not); " PAPER,
  .reference = RANKS,
  .group = LANGUAGE_MEASURES,
  .kind = TB_CLAIM_LESS,
  .unit = "rank correlation",
  .min_seeds = 5,
  .arm = arm_rates,
  .measure = measure_trace,
};

static const tb_claim claim_adaptive = {
  .id = "measures.adaptively_flat_extrapolates",
  .statement = "So do the flatter in coordinates that no rescaling changes",
  .source = "Kwon et al. 2021; " PAPER,
  .reference = RANKS,
  .group = LANGUAGE_MEASURES,
  .kind = TB_CLAIM_LESS,
  .unit = "rank correlation",
  .min_seeds = 5,
  .arm = arm_rates,
  .measure = measure_adaptive,
};

static const tb_claim claim_one_rate = {
  .id = "measures.not_within_one_algorithm",
  .statement =
      "Among networks of one learning rate the trace of the Hessian says nothing of it: what both follow is the "
      "algorithm",
  .source = PAPER,
  .reference = "No correlation; " RANKS,
  .group = LANGUAGE_MEASURES,
  .kind = TB_CLAIM_MEAN,
  .unit = "rank correlation",
  .min_seeds = 5,
  .arm = arm_one_rate,
  .measure = measure_trace,
};

static const tb_claim claim_transfer = {
  .id = "measures.flat_transfers",
  .statement = "Among networks of one loss and several learning rates the flatter transfer better to another language",
  .source = "Liu et al. 2023, on larger models: flatter minima, better downstream",
  .reference =
      RANKS ".  Where it fails: small learning rates end in sharper minima and, after more steps, in networks that "
            "transfer faster; among networks of one rate there is no correlation (0.02 ± 0.16 over 54 such groups)",
  .group = LANGUAGE_MEASURES,
  .kind = TB_CLAIM_LESS,
  .unit = "rank correlation, minus",
  .min_seeds = 5,
  .arm = arm_rates,
  .measure = measure_transfer,
};

const tb_claim *const measures_claims[MEASURES_CLAIMS] = {
  &claim_loss,  &claim_behaviour, &claim_order,    &claim_invariance,
  &claim_trace, &claim_adaptive,  &claim_one_rate, &claim_transfer,
};
