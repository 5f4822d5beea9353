/* logistic: Bayesian logistic regression on a table x1,…,xk,y.
 *
 * w ~ N(0, prior_sd² I), y_i = ±1 with probability σ(y_i w·x_i); x has a leading 1 and features scaled by their
 * population standard deviation, so d = k + 1.  The graph is one product with the columns −y_i x_i and its transpose;
 * ln σ(m) = −ln(1 + e^{−m}). */
#include <math.h>
#include <string.h>

#include "diffusion/target_logistic.h"
#include "diffusion/target_parts.h"
#include "num/reference.h"

typedef struct logistic {
  size_t rows;
  double *z; /* [d,n]: −y_i x_i in column i: a row of parameters times it runs along the observations */
  double prior_sd;
} logistic;

static tb_status read_labels(tb_density *density, const tb_table *table, double *label) {
  const size_t last = table->cols - 1;
  if (table->cols < 2 || strcmp(table->names[last], "y") != 0)
    return tb_fail(density->context, TB_BAD_DATA, table->path, "the header is x1,...,xk,y",
                   "the last column is '%s', expected the labels y", table->cols ? table->names[last] : "");
  if (table->rows == 0)
    return tb_fail(density->context, TB_BAD_DATA, table->path, "give a row an observation", "there are no rows");
  for (size_t i = 0; i < table->rows; i++) {
    label[i] = table->values[i * table->cols + last];
    if (label[i] != 1 && label[i] != -1)
      return tb_table_fail(density->context, table, i, last, "labels are -1 and 1", "label %g", label[i]);
  }
  return TB_OK;
}

/* Feature j as the model sees it: (x − mean)/sd, x/sd or x; 0 where it is constant and to be scaled. */
static void standardise(const tb_table *table, size_t j, bool centre, bool scale, double *out) {
  const size_t n = table->rows;
  double mean = 0, square = 0;
  for (size_t i = 0; i < n; i++)
    mean += table->values[i * table->cols + j] / (double)n;
  for (size_t i = 0; i < n; i++) {
    const double from = table->values[i * table->cols + j] - mean;
    square += from * from / (double)n;
  }
  const double sd = sqrt(square);
  for (size_t i = 0; i < n; i++) {
    const double x = table->values[i * table->cols + j] - (centre ? mean : 0);
    out[i] = !scale ? x : sd > 1e-14 * fabs(mean) ? x / sd : 0;
  }
}

static tb_status use_table(tb_density *density, const tb_table *table, double prior_sd, bool centre, bool scale) {
  const size_t n = table->rows, d = table->cols;
  logistic *self = density->self = tb_arena_allocate(density->arena, 1, sizeof *self);
  if (!self)
    return TB_NO_MEMORY;
  self->prior_sd = prior_sd;
  const char **names = tb_arena_allocate(density->arena, d, sizeof *names);
  double *label = tb_arena_allocate(density->arena, n, sizeof *label);
  self->z = tb_arena_allocate(density->arena, n * d, sizeof *self->z);
  if (!names || !label || !self->z)
    return TB_NO_MEMORY;
  tb_status status = read_labels(density, table, label);
  if (status)
    return status;
  self->rows = n;
  names[0] = "intercept";
  for (size_t j = 1; j < d; j++) {
    standardise(table, j - 1, centre, scale, self->z + j * n);
    if (!(names[j] = tb_arena_text(density->arena, table->names[j - 1])))
      return TB_NO_MEMORY;
  }
  for (size_t i = 0; i < n; i++) {
    self->z[i] = 1;
    for (size_t j = 0; j < d; j++)
      self->z[j * n + i] *= -label[i];
  }
  density->names = names;
  return tb_density_plain(density, d);
}

/* Without a prior the likelihood must fall in every direction: no w ≠ 0 may have z_i·w ≥ 0 for all i (Albert and
 * Anderson 1984).  Such a w maximises Σ z_i·w over the cube, or spans the null space. */
static tb_status look_for_flat_direction(tb_density *density) {
  const logistic *self = density->self;
  const size_t n = self->rows, d = density->dims;
  double *block = tb_allocate(density->context, 2 * n + 5 * d + n * d, sizeof *block);
  if (!block)
    return TB_NO_MEMORY;
  double *low = block, *high = low + n, *cost = high + n, *least = cost + d, *most = least + d, *w = most + d,
         *rows = w + d;
  double best = 0;
  int outcome;
  for (size_t i = 0; i < n; i++) {
    high[i] = INFINITY;
    for (size_t j = 0; j < d; j++) {
      rows[i * d + j] = self->z[j * n + i];
      cost[j] -= rows[i * d + j];
    }
  }
  for (size_t j = 0; j < d; j++) {
    least[j] = -1;
    most[j] = 1;
  }
  double *dual = tb_allocate(density->context, n, sizeof *dual);
  tb_status status =
      dual ? tb_linear_programme(density->context, n, d, cost, rows, low, high, least, most, w, dual, &outcome)
           : TB_NO_MEMORY;
  for (size_t j = 0; j < d && !status; j++)
    best -= cost[j] * w[j];
  if (!status && best > 1e-9 * (double)n)
    density->improper = "the labels are separable and there is no prior";
  for (size_t j = 0; j < d && !status && !density->improper; j++) {
    double square = 0;
    for (size_t i = 0; i < n; i++)
      square += rows[i * d + j] * rows[i * d + j];
    if (square == 0)
      density->improper = "a feature is constant and there is no prior";
  }
  tb_release(density->context, dual);
  tb_release(density->context, block);
  return status;
}

static tb_status open(tb_density *density, const tb_config *config) {
  if (!tb_config_is_set(config, "data"))
    return tb_fail(density->context, TB_USAGE, "option data", "give data=FILE.csv with header x1,...,xk,y",
                   "logistic needs data");
  const bool scale = !tb_config_is(config, "standardise", "false"),
             centre = tb_config_is(config, "standardise", "true");
  const double prior_sd = tb_config_real(config, "prior_sd");
  tb_table *table;
  tb_status status = tb_csv_read(density->context, tb_config_word(config, "data"), &table);
  if (status)
    return status;
  status = use_table(density, table, prior_sd, centre, scale);
  tb_table_free(density->context, table);
  return !status && isinf(prior_sd) ? look_for_flat_direction(density) : status;
}

tb_status tb_density_logistic(tb_context *context, const tb_table *table, double prior_sd, bool centre, bool scale,
                              tb_density **density) {
  tb_status status = tb_density_make(context, &tb_target_logistic, density);
  if (!status)
    status = use_table(*density, table, prior_sd, centre, scale);
  if (status) {
    tb_density_close(*density);
    *density = NULL;
  }
  return status;
}

static tb_value build(const tb_density *density, tb_graph *g, tb_value y) {
  const logistic *self = density->self;
  const tb_value against = tb_matmul(g, y, false, tb_numbers(g, y, density->dims, self->rows, self->z), false);
  const tb_value likelihood = tb_negate(g, tb_sum_last(g, tb_softplus(g, against)));
  return isinf(self->prior_sd) ? likelihood : tb_add(g, likelihood, tb_log_normal(g, y, 0, self->prior_sd));
}

const tb_target tb_target_logistic = {
  .name = "logistic",
  .summary = "Bayesian logistic regression on a CSV (data= prior_sd= standardise=)",
  .formula = "w ~ N(0, prior_sd² I), P(y_i | w) = σ(y_i w·x_i)",
  .source = "Vargas et al. 2023 (ionosphere, sonar); Blessing et al. 2024 (credit)",
  .open = open,
  .build = build,
};
