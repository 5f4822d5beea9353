/* lgcp: log-Gaussian Cox process of points in the unit square on an M×M grid (Møller, Syversveen & Waagepetersen 1998).
 *
 *   x ~ N(μ, K),  K_ij = variance·exp(−‖i − j‖ 33/M),  counts y_i ~ Poisson(e^{x_i}/M²), without ln y_i!
 *   ln γ = ln N(x; μ, K) + Σ (x_i y_i − e^{x_i}/M²) */
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>

#include "diffusion/target_parts.h"
#include "io/csv.h"
#include "num/blas.h"

typedef struct lgcp {
  double mean, area; /* μ, 1/M² */
  double *precision; /* K⁻¹ [d,d] */
  double *counts;    /* [d] */
  double constant;   /* −½ ln |2πK| */
} lgcp;

/* Counts of cells [i/M, (i+1)/M), the last closed; *distinct points. */
static tb_status count_points(tb_density *density, const tb_table *table, size_t grid, double *counts,
                              size_t *distinct) {
  if (table->cols != 2)
    return tb_fail(density->context, TB_BAD_DATA, table->path, "the header is x,y: places in the unit square",
                   "expected two columns, found %zu", table->cols);
  if (table->rows == 0)
    return tb_fail(density->context, TB_BAD_DATA, table->path, "give a row a point", "there are no points");
  *distinct = 0;
  for (size_t i = 0; i < table->rows; i++) {
    const double *at = table->values + 2 * i;
    size_t cell[2];
    for (size_t k = 0; k < 2; k++) {
      if (!(at[k] >= 0 && at[k] <= 1))
        return tb_table_fail(density->context, table, i, k, "divide the coordinates by the side of the window",
                             "%g is outside the unit square", at[k]);
      cell[k] = (size_t)(at[k] * (double)grid);
      cell[k] = cell[k] < grid ? cell[k] : grid - 1;
    }
    counts[cell[0] * grid + cell[1]]++;
    bool seen = false;
    for (size_t j = 0; j < i; j++)
      seen |= table->values[2 * j] == at[0] && table->values[2 * j + 1] == at[1];
    *distinct += !seen;
  }
  return TB_OK;
}

static tb_status read_points(tb_density *density, const char *path, size_t grid, lgcp *self, size_t *distinct) {
  tb_table *table;
  tb_status status = tb_csv_read(density->context, path, &table);
  if (status)
    return status;
  status = count_points(density, table, grid, self->counts, distinct);
  tb_table_free(density->context, table);
  return status;
}

/* K⁻¹ and ln |K| by Cholesky. */
static tb_status invert(tb_density *density, size_t grid, double variance, lgcp *self) {
  const size_t d = grid * grid;
  double *k = self->precision, log_determinant = 0;
  for (size_t i = 0; i < d; i++)
    for (size_t j = 0; j < d; j++) {
      const double across = (double)(i / grid) - (double)(j / grid), along = (double)(i % grid) - (double)(j % grid);
      k[i * d + j] = variance * exp(-hypot(across, along) * 33 / (double)grid);
    }
  int trouble = 0;
  TB_BLAS(trouble = LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'L', (int)d, k, (int)d));
  for (size_t i = 0; i < d && !trouble; i++)
    log_determinant += 2 * log(k[i * d + i]);
  if (!trouble)
    TB_BLAS(trouble = LAPACKE_dpotri(LAPACK_COL_MAJOR, 'L', (int)d, k, (int)d));
  if (trouble)
    return tb_fail(density->context, TB_FAILED, "option grid", "give a coarser grid or another variance",
                   "the covariance of the log intensity is not positive definite");
  for (size_t i = 0; i < d; i++)
    for (size_t j = i + 1; j < d; j++)
      k[j * d + i] = k[i * d + j];
  self->constant = -0.5 * (log_determinant + (double)d * TB_LOG_TWO_PI);
  return TB_OK;
}

/* grid= is a number of cells; where samplers are configured too it may be the word for their grid of times instead. */
static size_t cells_of(const tb_config *config) {
  if (tb_config_find(config, "grid")->type == TB_INTEGER)
    return (size_t)tb_config_integer(config, "grid");
  const long cells = strtol(tb_config_word(config, "grid"), NULL, 10);
  return cells >= 1 && cells <= 100 ? (size_t)cells : 40;
}

static tb_status open(tb_density *density, const tb_config *config) {
  if (!tb_config_is_set(config, "data"))
    return tb_fail(density->context, TB_USAGE, "option data", "give data=FILE.csv with header x,y", "lgcp needs data");
  const size_t grid = cells_of(config), d = grid * grid;
  const double variance = tb_config_real(config, "variance"), *mean;
  const size_t means = tb_config_reals(config, "mean", &mean);
  if (means > 1)
    return tb_fail(density->context, TB_USAGE, "option mean", "lgcp has one mean", "mean= has %zu numbers", means);
  lgcp *self = density->self = tb_arena_allocate(density->arena, 1, sizeof *self);
  if (!self)
    return TB_NO_MEMORY;
  self->counts = tb_arena_allocate(density->arena, d, sizeof *self->counts);
  self->precision = tb_arena_allocate(density->arena, d * d, sizeof *self->precision);
  if (!self->counts || !self->precision)
    return TB_NO_MEMORY;
  size_t distinct = 0;
  tb_status status = read_points(density, tb_config_word(config, "data"), grid, self, &distinct);
  if (status || (status = invert(density, grid, variance, self)))
    return status;
  self->mean = means ? mean[0] : log((double)distinct) - 0.5 * variance;
  self->area = 1 / (double)d;
  return tb_density_plain(density, d);
}

/* The prior's derivative reuses z K⁻¹, K being symmetric: −½ z·q has slope −q, which −z·stop(q) + ½ z·stop(q) as a
 * value and −z·stop(q) as a slope gives with one product instead of two.  So derivatives are of first order. */
static tb_value build(const tb_density *density, tb_graph *g, tb_value y) {
  const lgcp *self = density->self;
  const size_t d = density->dims;
  const tb_value z = tb_shift(g, y, -self->mean);
  const tb_value q = tb_stop(g, tb_matmul(g, z, false, tb_numbers(g, y, d, d, self->precision), false));
  const tb_value product = tb_sum_last(g, tb_multiply(g, z, q));
  const tb_value prior = tb_subtract(g, tb_scale(g, tb_stop(g, product), 0.5), product);
  const tb_value linear = tb_multiply(g, y, tb_numbers(g, y, 0, d, self->counts));
  const tb_value data = tb_sum_last(g, tb_subtract(g, linear, tb_scale(g, tb_exp(g, y), self->area)));
  return tb_shift(g, tb_add(g, prior, data), self->constant);
}

const tb_target tb_target_lgcp = {
  .name = "lgcp",
  .summary = "log-Gaussian Cox process of points in the unit square (data= grid= variance= mean=), d = grid²",
  .formula = "ln N(x; μ, K) + Σ (x_i y_i − exp(x_i)/M²), K_ij = variance·exp(−33‖i − j‖/M)",
  .source = "Møller, Syversveen and Waagepetersen 1998; Vargas et al. 2023",
  .open = open,
  .build = build,
};
