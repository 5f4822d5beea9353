/* Claims on which matrix training ends on: depth, the size of the start, the least nuclear norm, natural gradients.
 *
 * Errors are mean squares over entries of root mean square 1; differences are paired by seed, which draws the same
 * matrix and the same entries for every method. */
#include <math.h>
#include <string.h>

#include "study/completion_claims.h"

static bool drawn(const tb_config *config) {
  return tb_config_is(config, "data", "low_rank") && tb_config_is(config, "measurement", "entries");
}

static size_t side(const tb_config *config) {
  size_t rows = tb_config_is_set(config, "rows") ? (size_t)tb_config_integer(config, "rows") : 20;
  size_t cols = tb_config_is_set(config, "cols") ? (size_t)tb_config_integer(config, "cols") : 20;
  return rows < cols ? rows : cols;
}

static bool low_rank(const tb_config *config) {
  return drawn(config) && 4 * (size_t)tb_config_integer(config, "rank") <= side(config);
}

static bool full_rank(const tb_config *config) {
  return drawn(config) && (size_t)tb_config_integer(config, "rank") == side(config);
}

/* Degrees of freedom of the matrix against entries: below twice, nothing recovers it reliably. */
static bool enough_entries(const tb_config *config) {
  double n = (double)side(config), r = (double)tb_config_integer(config, "rank");
  return (double)tb_config_integer(config, "observed") >= 2 * r * (2 * n - r);
}

static bool small_start(const tb_config *config) {
  return tb_config_real(config, "init") <= 1e-3;
}

/* Fitted well enough that the error is not that of a run cut short. */
static bool fitted(const tb_outcome *outcome) {
  return tb_metrics_get(outcome->metrics, "log_loss") <= log(1.1e-6);
}

static tb_status measure_end(const tb_outcome *outcome, const char *name, double *value, double *reference) {
  *value = tb_metrics_get(outcome->metrics, name);
  *reference = 0;
  return fitted(outcome) && !isnan(*value) ? TB_OK : completion_skip(value, reference);
}

static tb_status measure_all(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  return measure_end(outcome, "error_all", value, reference);
}

static tb_status measure_unobserved(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  return measure_end(outcome, "error_unobserved", value, reference);
}

/* ---- depth ---- */

static int arm_deep_recovers(const tb_config *config) {
  return low_rank(config) && enough_entries(config) && small_start(config) && completion_is_gradient(config) &&
                 completion_depth(config) >= 3
             ? 0
             : -1;
}

const tb_claim claim_completion_deep_recovers = {
  .id = "completion.deep_recovers",
  .statement = "Gradient descent from a small start recovers a low-rank matrix from some of its entries at depth 3 and "
               "more, in every run that fits those entries (loss 1e-6)",
  .source = "Arora, Cohen, Hu and Luo 2019, figure 1",
  .reference = "the matrix itself; value: mean squared error over all entries, in units of their mean square",
  .group = ABSTRACT_FAILS,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-3,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_deep_recovers,
  .measure = measure_all,
};

static tb_status measure_effective_rank(tb_context *context, const tb_outcome *outcome, double *value,
                                        double *reference) {
  tb_status status = measure_end(outcome, "effective_rank", value, reference);
  if (!isnan(*value))
    *reference = tb_metrics_get(outcome->metrics, "reference.truth_effective_rank");
  return status;
}

const tb_claim claim_completion_effective_rank = {
  .id = "completion.effective_rank",
  .statement = "Its effective rank is then that of the matrix",
  .source = "Arora, Cohen, Hu and Luo 2019, figure 1",
  .reference = "singular values of the matrix itself; value: effective rank at the end",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 0.15,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_deep_recovers,
  .measure = measure_effective_rank,
};

static bool published_comparison(const tb_config *config) {
  return low_rank(config) && completion_is_gradient(config) && small_start(config);
}

static int arm_depth(const tb_config *config) {
  int64_t depth = completion_depth(config);
  return !published_comparison(config) || !tb_config_is_default(config, "width") ? -1
         : depth == 3                                                            ? 0
         : depth == 2                                                            ? 1
                                                                                 : -1;
}

const tb_claim claim_completion_depth = {
  .id = "completion.depth",
  .statement = "Few entries: depth 3 ends nearer to the low-rank matrix than depth 2",
  .source = "Arora, Cohen, Hu and Luo 2019, figures 1 and 2",
  .reference = "difference of mean squared errors over all entries (depth 3 minus depth 2), paired by seed",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_BELOW,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_depth,
  .measure = measure_all,
};

static int arm_small_start(const tb_config *config) {
  double init = tb_config_real(config, "init");
  if (!published_comparison(config) || completion_depth(config) != 2)
    return -1;
  return init <= 1e-5 ? 0 : init == 1e-3 ? 1 : -1;
}

const tb_claim claim_completion_small_start = {
  .id = "completion.small_start",
  .statement = "At depth 2 a smaller start ends nearer to the low-rank matrix",
  .source = "Arora, Cohen, Hu and Luo 2019, figures 1 and 2",
  .reference = "difference of mean squared errors over all entries (init <= 1e-5 minus 1e-3), paired by seed",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_BELOW,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_small_start,
  .measure = measure_all,
};

/* ---- the least nuclear norm ---- */

static int arm_certificate(const tb_config *config) {
  return tb_config_is(config, "reference", "false") ? -1 : 0;
}

static tb_status measure_gap(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = tb_metrics_get(outcome->metrics, "reference.nuclear_gap");
  *reference = 0;
  return isnan(*value) ? completion_skip(value, reference) : TB_OK;
}

const tb_claim claim_completion_nuclear_certificate = {
  .id = "completion.nuclear_certificate",
  .statement = "The matrix of least nuclear norm is found with a proof of optimality",
  .source = "weak duality",
  .reference = "duality gap: primal norm minus a dual bound from multipliers of spectral norm 1; value: relative gap",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-6,
  .unit = "",
  .arm = arm_certificate,
  .measure = measure_gap,
};

/* The nuclear arm is read from runs of the flat model: its data are those of the same seed. */
static int arm_nuclear(const tb_config *config) {
  if (!low_rank(config))
    return -1;
  if (published_comparison(config) && completion_depth(config) == 3)
    return 0;
  return completion_is_ngf(config, "predictor") && completion_depth(config) == 1 ? 1 : -1;
}

static tb_status measure_nuclear(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  if (arm_nuclear(outcome->config) == 0)
    return measure_all(context, outcome, value, reference);
  *value = tb_metrics_get(outcome->metrics, "reference.nuclear_error");
  *reference = 0;
  return isnan(*value) ? completion_skip(value, reference) : TB_OK;
}

const tb_claim claim_completion_deep_beats_nuclear = {
  .id = "completion.deep_beats_nuclear",
  .statement =
      "Few entries: gradient descent at depth 3 ends nearer to the low-rank matrix than the least nuclear norm",
  .source = "Arora, Cohen, Hu and Luo 2019, figure 1",
  .reference = "difference of mean squared errors over all entries (depth 3 minus nuclear norm), paired by seed",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_BELOW,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_nuclear,
  .measure = measure_nuclear,
};

/* ---- natural gradients ---- */

static int arm_parameter_keeps(const tb_config *config) {
  if (!low_rank(config) || !small_start(config))
    return -1;
  if (completion_is_ngf(config, "parameter"))
    return completion_depth(config) >= 3 ? 0 : -1;
  return completion_is_ngf(config, "predictor") ? 1 : -1;
}

const tb_claim claim_completion_parameter_keeps_depth = {
  .id = "completion.parameter_keeps_depth",
  .statement = "Inverted in parameter space, natural gradient flow keeps the bias of depth: unobserved entries move "
               "towards the low-rank matrix",
  .source = "derived",
  .reference = "difference of mean squared errors over unobserved entries (parameter space at depth >= 3 minus "
               "predictor space at any), "
               "paired by seed",
  .group = BEYOND_FISHER,
  .kind = TB_CLAIM_BELOW,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_parameter_keeps,
  .measure = measure_unobserved,
};

static bool is_natural(const tb_config *config) {
  return (completion_is_ngf(config, "predictor") || tb_config_is(config, "method", "ngd")) &&
         tb_config_is(config, "fisher", "predictor") && tb_config_real(config, "damping") == 0;
}

static int arm_gd_beats(const tb_config *config) {
  if (!low_rank(config) || !small_start(config))
    return -1;
  return completion_is_gradient(config) && completion_depth(config) >= 2 ? 0 : is_natural(config) ? 1 : -1;
}

const tb_claim claim_completion_gd_beats_ngd = {
  .id = "completion.gd_beats_ngd",
  .statement =
      "Low rank: gradient descent at depth 2 and more beats natural gradient descent on the entries that were not "
      "observed",
  .source = PAPER_NGD,
  .reference = "difference of mean squared errors over unobserved entries, paired by seed",
  .group = ABSTRACT_FAILS,
  .kind = TB_CLAIM_BELOW,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_gd_beats,
  .measure = measure_unobserved,
};

static int arm_ngd_wins(const tb_config *config) {
  if (!full_rank(config) || !small_start(config))
    return -1;
  return is_natural(config) ? 0 : completion_is_gradient(config) && completion_depth(config) >= 2 ? 1 : -1;
}

const tb_claim claim_completion_ngd_wins = {
  .id = "completion.ngd_wins",
  .statement = "Full rank: natural gradient descent, which leaves unobserved entries near 0, beats gradient descent at "
               "depth 2 and more, which finds structure that is not there",
  .source = "derived",
  .reference = "difference of mean squared errors over unobserved entries, paired by seed",
  .group = ABSTRACT_FAILS,
  .kind = TB_CLAIM_BELOW,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_ngd_wins,
  .measure = measure_unobserved,
};

/* ---- 2×2 with W12 = W21 = 1, W22 = 0: every norm grows, the effective rank falls ---- */

static int arm_razin(const tb_config *config) {
  return completion_is_gradient(config) && completion_depth(config) >= 2 && !tb_config_is(config, "data", "low_rank") &&
                 tb_config_is(config, "measurement", "entries")
             ? 0
             : -1;
}

/* Whether the data are that problem, the start has a positive determinant, and so has (to rounding) the end: a balanced
 * flow whose determinant came out negative has left the flow, as its warning says. */
static tb_status is_razin(tb_context *context, const tb_outcome *outcome, bool *yes) {
  tb_partial_matrix *p;
  tb_status status = completion_data(context, outcome->config, &p);
  if (status)
    return status;
  *yes =
      p->rows == 2 && p->cols == 2 && p->count == 3 && !p->observed[0] && p->y[0] == 1 && p->y[1] == 1 && p->y[2] == 0;
  tb_partial_matrix_free(context, p);
  const double *start = NULL;
  for (size_t i = 0; i < outcome->n_snapshots && !start; i++)
    if (tb_metrics_get(outcome->snapshots[i], "t") == 0)
      start = tb_metrics_find(outcome->snapshots[i], "matrix").values;
  const double *end = tb_metrics_find(outcome->metrics, "matrix").values;
  *yes = *yes && start && end && start[0] * start[3] > start[1] * start[2] && end[0] * end[3] - end[1] * end[2] > -1e-6;
  return TB_OK;
}

static tb_status measure_norm_grows(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  bool applies;
  tb_status status = is_razin(context, outcome, &applies);
  tb_metric_value w = tb_metrics_find(outcome->metrics, "matrix");
  double loss = tb_metrics_get(outcome->metrics, "loss");
  if (status || !applies || !w.name || !(loss <= 1.01e-4))
    return status ? status : completion_skip(value, reference);
  *value = fabs(w.values[0]) * sqrt(3 * loss);
  *reference = sqrt(0.5);
  return TB_OK;
}

const tb_claim claim_completion_norm_grows = {
  .id = "completion.norm_grows",
  .statement = "There is a 2x2 problem in which gradient descent sends every norm to infinity: the free entry grows as "
               "1/sqrt(loss)",
  .source = "Razin and Cohen 2020, theorem 1",
  .reference = "on matrices of rank 1 half the sum of squares is 1/(2 W11^2) + ..., so W11 sqrt(3 loss) -> 1/sqrt(2)",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 0.01,
  .unit = "",
  .arm = arm_razin,
  .measure = measure_norm_grows,
};

static tb_status measure_rank_falls(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  bool applies;
  tb_status status = is_razin(context, outcome, &applies);
  if (status || !applies || !(tb_metrics_get(outcome->metrics, "loss") <= 1.01e-4))
    return status ? status : completion_skip(value, reference);
  *value = tb_metrics_get(outcome->metrics, "effective_rank");
  *reference = 1;
  return TB_OK;
}

const tb_claim claim_completion_rank_falls = {
  .id = "completion.rank_falls",
  .statement = "In that problem the effective rank falls to its infimum: rank, not a norm, is what depth prefers",
  .source = "Razin and Cohen 2020, theorem 1",
  .reference = "the infimum 1 over matrices that agree with the entries; value: effective rank at the end",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 0.01,
  .unit = "",
  .arm = arm_razin,
  .measure = measure_rank_falls,
};
