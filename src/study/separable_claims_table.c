/* Claims on who generalises: x ~ N(0, I_d), a teacher with k equal entries, error = angle to the teacher / π.
 *
 * The error is read from the velocity, the direction in which the run goes on.  Differences are paired by seed (the
 * same data for all methods); means are held against a table computed with other code and other random numbers. */
#include <math.h>

#include "study/separable_claims.h"

enum column { GD_LINEAR, GD_DIAGONAL, NGF_PREDICTOR, NGF_PARAMETER, OTHER };

static const struct row {
  int64_t d, n, k;
} rows[] = { { 100, 40, 1 }, { 100, 40, 3 }, { 100, 60, 5 }, { 200, 100, 5 }, { 50, 200, 3 }, { 50, 500, 3 } };

static bool in_row(const tb_config *config, size_t row) {
  return tb_config_is(config, "data", "sparse") && !tb_config_boolean(config, "bias") &&
         tb_config_integer(config, "d") == rows[row].d && tb_config_integer(config, "n") == rows[row].n &&
         tb_config_integer(config, "k") == rows[row].k;
}

static bool in_table(const tb_config *config) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (in_row(config, i))
      return true;
  return false;
}

static enum column column_of(const tb_config *config) {
  bool deep = tb_config_is(config, "model", "diagonal") && tb_config_integer(config, "depth") == 2;
  if (!config_starts_at_zero(config))
    return OTHER;
  if (tb_config_is(config, "method", "gf"))
    return tb_config_is(config, "model", "linear") ? GD_LINEAR : deep ? GD_DIAGONAL : OTHER;
  if (!tb_config_is(config, "method", "ngf") || !config_undamped(config))
    return OTHER;
  if (tb_config_is(config, "fisher", "predictor"))
    return NGF_PREDICTOR;
  return tb_config_is(config, "fisher", "parameter") && deep ? NGF_PARAMETER : OTHER;
}

/* Far enough that the velocity's direction has settled to well below the differences in question. */
static bool settled(const tb_outcome *outcome) {
  double margin = tb_metrics_get(outcome->metrics, "min_margin"), t = tb_metrics_get(outcome->metrics, "t");
  switch (column_of(outcome->config)) {
  case GD_LINEAR:
    return margin >= 100;
  case GD_DIAGONAL:
    return margin >= 1e4;
  case NGF_PREDICTOR:
    return t >= 10;
  default:
    return t >= 1000;
  }
}

static tb_status measure_error(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  if (!settled(outcome))
    return evidence_skip(value, reference);
  *value = tb_metrics_get(outcome->metrics, "velocity_test_error");
  *reference = 0;
  return TB_OK;
}

static int compare(const tb_config *config, enum column better, enum column worse) {
  enum column column = column_of(config);
  return !in_table(config) ? -1 : column == better ? 0 : column == worse ? 1 : -1;
}

/* With more points than features the two natural gradients are one method. */
static bool few_points(const tb_config *config) {
  return tb_config_integer(config, "n") <= tb_config_integer(config, "d");
}

static int arm_diagonal_ngf(const tb_config *config) {
  return compare(config, GD_DIAGONAL, NGF_PREDICTOR);
}
static int arm_diagonal_linear(const tb_config *config) {
  return compare(config, GD_DIAGONAL, GD_LINEAR);
}
static int arm_diagonal_parameter(const tb_config *config) {
  return few_points(config) ? compare(config, GD_DIAGONAL, NGF_PARAMETER) : -1;
}
static int arm_parameter_ngf(const tb_config *config) {
  return few_points(config) ? compare(config, NGF_PARAMETER, NGF_PREDICTOR) : -1;
}

#define BELOW_CLAIM(name, text, heading, side)                                                                         \
  const tb_claim claim_##name = {                                                                                      \
    .id = "separable." #name,                                                                                          \
    .statement = text,                                                                                                 \
    .source = PAPER_NGD,                                                                                               \
    .reference = "paired by seed on the same data; value: mean difference of the test errors that the velocities "     \
                 "point to, with its 95 % interval",                                                                   \
    .group = heading,                                                                                                  \
    .kind = TB_CLAIM_BELOW,                                                                                            \
    .tolerance = 0,                                                                                                    \
    .unit = "",                                                                                                        \
    .min_seeds = 5,                                                                                                    \
    .arm = side,                                                                                                       \
    .measure = measure_error,                                                                                          \
  }
BELOW_CLAIM(gd_diagonal_beats_ngf,
            "On a sparse teacher gradient flow of the diagonal network generalises better than natural gradient flow",
            ABSTRACT_FAILS, arm_diagonal_ngf);
BELOW_CLAIM(
    gd_diagonal_beats_linear,
    "On a sparse teacher gradient flow of the diagonal network generalises better than gradient flow of the linear "
    "model",
    ABSTRACT_BIAS, arm_diagonal_linear);
BELOW_CLAIM(
    gd_diagonal_beats_parameter,
    "On a sparse teacher gradient flow of the diagonal network generalises better than natural gradient flow with "
    "the pseudo-inverse in parameter space",
    BEYOND_FISHER, arm_diagonal_parameter);
BELOW_CLAIM(
    parameter_beats_ngf,
    "On a sparse teacher the pseudo-inverse in parameter space keeps part of the diagonal network's advantage over "
    "natural gradient flow in predictor space",
    BEYOND_FISHER, arm_parameter_ngf);

/* ---- the table: mean error of 20 seeds, computed apart from this program (NumPy, other random numbers) ---- */

#define CELL(row, name, label, column, mean, width)                                                                    \
  static int arm_##name(const tb_config *config) {                                                                     \
    return in_row(config, row) && column_of(config) == column ? 0 : -1;                                                \
  }                                                                                                                    \
  static tb_status measure_##name(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {  \
    tb_status status = measure_error(context, outcome, value, reference);                                              \
    if (!status && !isnan(*reference))                                                                                 \
      *reference = mean;                                                                                               \
    return status;                                                                                                     \
  }                                                                                                                    \
  const tb_claim claim_table_##name = {                                                                                \
    .id = "separable.table." #name,                                                                                    \
    .statement = "Mean test error of " label,                                                                          \
    .source = "own table of the limits over 20 seeds",                                                                 \
    .reference = "NumPy with quadratic and linear programmes for the limits, other random numbers; value: mean over "  \
                 "seeds",                                                                                              \
    .group = ABSTRACT_FAILS,                                                                                           \
    .kind = TB_CLAIM_MEAN,                                                                                             \
    .tolerance = width,                                                                                                \
    .unit = "",                                                                                                        \
    .min_seeds = 10,                                                                                                   \
    .arm = arm_##name,                                                                                                 \
    .measure = measure_##name,                                                                                         \
  }
#define LINEAR(row, size, mean, width)                                                                                 \
  CELL(row, gd_linear_##size, "gradient flow of the linear model, (d,n,k) = " #size, GD_LINEAR, mean, width)
#define DIAGONAL(row, size, mean, width)                                                                               \
  CELL(row, gd_diagonal_##size, "gradient flow of the diagonal network, (d,n,k) = " #size, GD_DIAGONAL, mean, width)
#define PREDICTOR(row, size, mean, width)                                                                              \
  CELL(row, ngf_##size, "natural gradient flow, (d,n,k) = " #size, NGF_PREDICTOR, mean, width)
#define PARAMETER(row, size, mean, width)                                                                              \
  CELL(row, ngf_parameter_##size, "natural gradient flow in parameter space, (d,n,k) = " #size, NGF_PARAMETER, mean,   \
       width)

LINEAR(0, 100_40_1, 0.342, 0.014);
DIAGONAL(0, 100_40_1, 0.116, 0.025);
PREDICTOR(0, 100_40_1, 0.347, 0.016);
PARAMETER(0, 100_40_1, 0.230, 0.036);
LINEAR(1, 100_40_3, 0.347, 0.02);
DIAGONAL(1, 100_40_3, 0.199, 0.03);
PREDICTOR(1, 100_40_3, 0.352, 0.02);
PARAMETER(1, 100_40_3, 0.289, 0.03);
LINEAR(2, 100_60_5, 0.312, 0.02);
DIAGONAL(2, 100_60_5, 0.215, 0.03);
PREDICTOR(2, 100_60_5, 0.333, 0.02);
PARAMETER(2, 100_60_5, 0.304, 0.03);
LINEAR(3, 200_100_5, 0.330, 0.02);
DIAGONAL(3, 200_100_5, 0.165, 0.03);
PREDICTOR(3, 200_100_5, 0.340, 0.02);
PARAMETER(3, 200_100_5, 0.275, 0.03);
LINEAR(4, 50_200_3, 0.115, 0.01);
DIAGONAL(4, 50_200_3, 0.061, 0.01);
PREDICTOR(4, 50_200_3, 0.120, 0.01);
LINEAR(5, 50_500_3, 0.048, 0.005);
DIAGONAL(5, 50_500_3, 0.033, 0.005);
PREDICTOR(5, 50_500_3, 0.048, 0.005);
