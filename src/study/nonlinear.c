/* Study `nonlinear`: how many parameters does the law of natural gradient flow need?
 *
 * The same as `separable` with a multilayer perceptron: data, methods and measures are its own.  While the Jacobian of
 * the outputs has full row rank every training point's margin obeys m' = 1 + e^{−m}, whatever the network; with fewer
 * parameters than points it can't.  The claims say where the law ends: at the width where the parameters no longer
 * number the points.  ("Depth Without the Magic", 2021; Zhang, Martens and Grosse 2019.) */
#include <math.h>
#include <string.h>

#include "study/natural_gradient.h"
#include "study/nonlinear.h"
#include "study/separable.h"

static const tb_option options[] = {
  { "model", TB_CHOICE, "mlp", "mlp", 1, 0, false, "a multilayer perceptron with biases", NULL, NULL },
  { "fisher", TB_CHOICE, "parameter", "parameter|predictor|population|empirical", 1, 0, false,
    "which Fisher matrix a natural gradient takes; this model has no predictor space, so parameter or empirical",
    "F = E_x E_{y~p} ∇log p ∇log pᵀ", NULL },
  { "d", TB_INTEGER, "2", NULL, 1, 1e6, false, "features of data=sparse", NULL, NULL },
  { "n", TB_INTEGER, "12", NULL, 1, 1e6, false, "points of data=sparse", NULL, NULL },
  { "width", TB_INTEGER, "8", NULL, 1, 1e6, false, "hidden units of each layer", NULL, NULL },
  { "init", TB_REAL, "1", NULL, 0, INFINITY, false, "standard deviation of all entries at the start", NULL, NULL },
};

static const tb_option_table overrides = { "nonlinear network", options, sizeof options / sizeof *options };
static const tb_option_table *const tables[] = { &tb_common_options, &tb_optimiser_options, &separable_options,
                                                 &overrides };

/* ---- claims ---- */

static const double KEPT = 1e-6; /* spread of rates up to which the law counts as kept */

static int arm_flow(const tb_config *config) {
  return tb_config_is(config, "method", "ngf") && tb_config_is(config, "fisher", "parameter") &&
                 tb_config_real(config, "damping") == 0
             ? 0
             : -1;
}

static const tb_metrics *point(const tb_outcome *outcome, size_t i) {
  return i < outcome->n_snapshots ? outcome->snapshots[i] : outcome->metrics;
}

static tb_status skip(double *value, double *reference) {
  *value = *reference = NAN;
  return TB_OK;
}

/* Largest error against the law over snapshots and the end, from the margins recorded; least rank; NaN without a start.
 */
static void examine(const tb_outcome *outcome, double *error, double *rank) {
  tb_metric_value start = { 0 };
  *error = *rank = NAN;
  for (size_t i = 0; i < outcome->n_snapshots && !start.name; i++)
    if (tb_metrics_get(outcome->snapshots[i], "t") == 0)
      start = tb_metrics_find(outcome->snapshots[i], "margins");
  for (size_t i = 0; start.name && i <= outcome->n_snapshots; i++) {
    tb_metric_value margins = tb_metrics_find(point(outcome, i), "margins");
    double t = tb_metrics_get(point(outcome, i), "t"), here = tb_metrics_get(point(outcome, i), "rank");
    for (size_t k = 0; k < margins.cols; k++) {
      double expected = separable_law_margin(start.values[k], t);
      double apart = fabs(margins.values[k] - expected) / fmax(1, fabs(expected));
      *error = isnan(*error) || apart > *error ? apart : *error;
    }
    *rank = isnan(*rank) || here < *rank ? here : *rank;
  }
}

static size_t points_of(const tb_outcome *outcome) {
  return tb_metrics_find(outcome->metrics, "margins").cols;
}

static tb_status measure_law(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  double rank;
  examine(outcome, value, &rank);
  *reference = 0;
  return rank == (double)points_of(outcome) ? TB_OK : skip(value, reference);
}

static const tb_claim claim_law = {
  .id = "nonlinear.law",
  .statement =
      "While the Jacobian of a nonlinear network has full row rank every training point's error probability falls "
      "as exp(-t), as in a linear model",
  .source = PAPER_NGD "; Zhang, Martens and Grosse 2019; derived",
  .reference = "closed form m(t) = log((1 + e^m(0)) e^t - 1), rank of the Jacobian monitored at every snapshot; value: "
               "worst relative error of a margin",
  .group = ABSTRACT_NONLINEAR,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-8,
  .unit = "",
  .arm = arm_flow,
  .measure = measure_law,
};

/* p from the shape, n from the data. */
static double parameters_of(const tb_config *config, size_t inputs) {
  double width = (double)tb_config_integer(config, "width"), depth = (double)tb_config_integer(config, "depth");
  return width * ((double)inputs + 1) + (depth - 2) * width * (width + 1) + width + 1;
}

static tb_status count(tb_context *context, const tb_outcome *outcome, double *p, double *n) {
  tb_classification *problem;
  tb_status status = separable_data(context, outcome->config, &problem);
  if (status)
    return status;
  *p = parameters_of(outcome->config, problem->d);
  *n = (double)(problem->n - problem->duplicates);
  tb_classification_free(context, problem);
  return TB_OK;
}

/* At the start: below the threshold the flow soon runs into a Jacobian that loses column rank too. */
static double rate_error(const tb_outcome *outcome) {
  for (size_t i = 0; i <= outcome->n_snapshots; i++)
    if (tb_metrics_get(point(outcome, i), "t") == 0)
      return tb_metrics_get(point(outcome, i), "law_rate_error");
  return NAN;
}

static double start_rank(const tb_outcome *outcome) {
  for (size_t i = 0; i <= outcome->n_snapshots; i++)
    if (tb_metrics_get(point(outcome, i), "t") == 0)
      return tb_metrics_get(point(outcome, i), "rank");
  return NAN;
}

static tb_status measure_breaks(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  double p = 0, n = 0;
  tb_status status = count(context, outcome, &p, &n);
  *value = rate_error(outcome);
  *reference = 1e-3;
  return status || (p < n && !isnan(*value)) ? status : skip(value, reference);
}

static const tb_claim claim_breaks = {
  .id = "nonlinear.breaks",
  .statement = "With fewer parameters than training points the law is broken",
  .source = "derived: the Jacobian's rank is at most the number of parameters",
  .reference =
      "a spread of 1e-3, a thousand times what counts as kept; value: spread of m'/(1 + exp(-m)) over the points",
  .group = ABSTRACT_NONLINEAR,
  .kind = TB_CLAIM_AT_LEAST,
  .tolerance = 0,
  .unit = "",
  .arm = arm_flow,
  .measure = measure_breaks,
};

/* 1 where the law is kept, 0 where it isn't; the reference from counting.  Holding in every run of a sweep over widths,
 * it says that the width at which the law ends is the one that counting predicts. */
static int arm_threshold(const tb_config *config) {
  return arm_flow(config) == 0 && !tb_config_is(config, "activation", "relu") ? 0 : -1;
}

static tb_status measure_threshold(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  double error = rate_error(outcome), p = 0, n = 0;
  tb_status status = count(context, outcome, &p, &n);
  *value = error <= KEPT;
  *reference = p >= n;
  return status || !isnan(error) ? status : skip(value, reference);
}

static const tb_claim claim_threshold = {
  .id = "nonlinear.threshold",
  .statement = "The width at which the law ends is where parameters number the points: sufficient but finite "
               "over-parametrisation",
  .source = PAPER_NGD "; derived",
  .reference =
      "counting parameters against points; value: 1 where all rates keep the law to 1e-6, else 0, in every run "
      "of a sweep over widths",
  .group = ABSTRACT_NONLINEAR,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_threshold,
  .measure = measure_threshold,
};

static tb_status measure_rank(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  double error = rate_error(outcome);
  *value = error <= KEPT;
  *reference = start_rank(outcome) == (double)points_of(outcome);
  return isnan(error) ? skip(value, reference) : TB_OK;
}

static const tb_claim claim_rank = {
  .id = "nonlinear.rank",
  .statement = "The law holds exactly where the rank of the Jacobian is the number of points",
  .source = "derived",
  .reference = "rank of the Jacobian as it was solved; value: 1 where all rates keep the law to 1e-6, else 0",
  .group = ABSTRACT_NONLINEAR,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_flow,
  .measure = measure_rank,
};

static const tb_claim *const claims[] = { &claim_law, &claim_breaks, &claim_threshold, &claim_rank };

const tb_study tb_study_nonlinear = {
  .name = "nonlinear",
  .laboratory = "natural-gradient",
  .summary = "how many parameters a nonlinear network needs for the law of natural gradient flow",
  .paper = "Depth Without the Magic: Inductive Bias of Natural Gradient Descent (Kerekes, Meszaros, Huszar 2021)",
  .details =
      "A multilayer perceptron on separable data, with every option of `separable`.  While the Jacobian of its "
      "outputs\n"
      "has full row rank, natural gradient flow moves every training point's margin as if it were alone: its error\n"
      "probability falls as exp(-t).  With fewer parameters than points the rank is short and the law is broken;\n"
      "law_error and law_rate_error say by how much, rank where the Jacobian stood.",
  .tables = tables,
  .n_tables = sizeof tables / sizeof *tables,
  .metrics = separable_metrics,
  .n_metrics = SEPARABLE_METRICS,
  .claims = claims,
  .n_claims = sizeof claims / sizeof *claims,
  .check = separable_check,
  .estimate = separable_estimate,
  .run = separable_run,
};
