/* lgcp: log-Gaussian Cox process of points in the unit square on an M×M grid (Møller, Syversveen & Waagepetersen 1998).
 *
 *   x ~ N(μ, K),  K_ij = variance·exp(−‖i − j‖ 33/M),  counts y_i ~ Poisson(e^{x_i}/M²), without ln y_i!
 *   ln γ = ln N(x; μ, K) + Σ (x_i y_i − e^{x_i}/M²) */
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/target_lgcp.h"
#include "diffusion/target_parts.h"
#include "io/csv.h"
#include "num/blas.h"

/* K commutes with the reflections of both axes, so in even and odd parts along each, u = F z Fᵀ with z and u [M,M], it
 * is four blocks of a quarter the size: a sixteenth of the work to invert, a quarter to multiply with. */
typedef struct lgcp {
  double mean, area;    /* μ, 1/M² */
  size_t parts, half;   /* of an axis: 2, even and odd, of M/2 each (1 of M where M is odd) */
  double *fold;         /* F [M,M], orthogonal: rows of the even part, then of the odd */
  double *precision[4]; /* of the blocks' K⁻¹ [half²,half²], by parity along the first axis, then the second */
  double *counts;       /* [d] */
  double constant;      /* −½ ln |2πK| */
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

static double covariance(double variance, size_t grid, double across, double along) {
  return variance * exp(-hypot(across, along) * 33 / (double)grid);
}

/* The block of parities p and q: eᵢ = (δ_i ± δ_{M−1−i})/√2 gives Σ over the mirror images of one of the two points. */
static void fill_block(const lgcp *self, size_t grid, double variance, size_t p, size_t q, double *k) {
  const size_t n = self->half, count = n * n;
  for (size_t a = 0; a < count; a++)
    for (size_t b = 0; b < count; b++) {
      const double i = (double)(a / n), j = (double)(a % n), last = (double)grid - 1;
      double sum = 0;
      for (size_t s = 0; s < self->parts; s++)
        for (size_t t = 0; t < self->parts; t++) {
          const double other = s ? last - (double)(b / n) : (double)(b / n);
          const double beside = t ? last - (double)(b % n) : (double)(b % n);
          sum += (s && p ? -1 : 1) * (t && q ? -1 : 1) * covariance(variance, grid, i - other, j - beside);
        }
      k[a * count + b] = sum;
    }
}

/* K⁻¹ by Cholesky, block by block, and ln |K|. */
static tb_status invert(tb_density *density, size_t grid, double variance, lgcp *self) {
  const size_t n = self->half * self->half;
  double log_determinant = 0;
  for (size_t block = 0; block < self->parts * self->parts; block++) {
    double *k = self->precision[block] = tb_arena_allocate(density->arena, n * n, sizeof *k);
    int trouble = 0;
    if (!k)
      return TB_NO_MEMORY;
    fill_block(self, grid, variance, block / self->parts, block % self->parts, k);
    TB_BLAS(trouble = LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'L', (int)n, k, (int)n));
    for (size_t i = 0; i < n && !trouble; i++)
      log_determinant += 2 * log(k[i * n + i]);
    if (!trouble)
      TB_BLAS(trouble = LAPACKE_dpotri(LAPACK_COL_MAJOR, 'L', (int)n, k, (int)n));
    if (trouble)
      return tb_fail(density->context, TB_FAILED, "option grid", "give a coarser grid or another variance",
                     "the covariance of the log intensity is not positive definite");
    for (size_t i = 0; i < n; i++)
      for (size_t j = i + 1; j < n; j++)
        k[j * n + i] = k[i * n + j];
  }
  self->constant = -0.5 * (log_determinant + (double)(grid * grid) * TB_LOG_TWO_PI);
  return TB_OK;
}

static tb_status fold_axes(tb_density *density, size_t grid, lgcp *self) {
  self->parts = grid % 2 ? 1 : 2;
  self->half = grid / self->parts;
  self->fold = tb_arena_allocate(density->arena, grid * grid, sizeof(double));
  if (!self->fold)
    return TB_NO_MEMORY;
  for (size_t r = 0; r < grid; r++) {
    const size_t i = r % self->half;
    if (self->parts == 1) {
      self->fold[r * grid + i] = 1;
      continue;
    }
    self->fold[r * grid + i] = sqrt(0.5);
    self->fold[r * grid + grid - 1 - i] = r < self->half ? sqrt(0.5) : -sqrt(0.5);
  }
  return TB_OK;
}

static tb_status empty(tb_density *density, size_t grid, lgcp **self) {
  *self = density->self = tb_arena_allocate(density->arena, 1, sizeof **self);
  if (!*self)
    return TB_NO_MEMORY;
  (*self)->counts = tb_arena_allocate(density->arena, grid * grid, sizeof(double));
  return (*self)->counts ? TB_OK : TB_NO_MEMORY;
}

/* All but the counts. */
static tb_status finish(tb_density *density, size_t grid, double variance, double mean, lgcp *self) {
  self->mean = mean;
  self->area = 1 / (double)(grid * grid);
  tb_status status = fold_axes(density, grid, self);
  if (!status)
    status = invert(density, grid, variance, self);
  return status ? status : tb_density_plain(density, grid * grid);
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
  const size_t grid = cells_of(config);
  const double variance = tb_config_real(config, "variance"), *mean;
  const size_t means = tb_config_reals(config, "mean", &mean);
  if (means > 1)
    return tb_fail(density->context, TB_USAGE, "option mean", "lgcp has one mean", "mean= has %zu numbers", means);
  lgcp *self;
  size_t distinct = 0;
  tb_status status = empty(density, grid, &self);
  if (!status)
    status = read_points(density, tb_config_word(config, "data"), grid, self, &distinct);
  if (!status)
    status = finish(density, grid, variance, means ? mean[0] : log((double)distinct) - 0.5 * variance, self);
  return status;
}

tb_status tb_density_lgcp(tb_context *context, size_t grid, double variance, double mean, const double *counts,
                          tb_density **density) {
  lgcp *self;
  tb_status status = tb_density_make(context, &tb_target_lgcp, density);
  if (status)
    return status;
  status = empty(*density, grid, &self);
  if (!status) {
    memcpy(self->counts, counts, grid * grid * sizeof *counts);
    status = finish(*density, grid, variance, mean, self);
  }
  if (status) {
    tb_density_close(*density);
    *density = NULL;
  }
  return status;
}

/* z[…,M,M] → F along the last axis, the two axes exchanged */
static tb_value fold_last(tb_graph *g, const lgcp *self, tb_value z) {
  const size_t rank = tb_rank(g, z), grid = tb_dim(g, z, rank - 1);
  return tb_transpose(g, tb_matmul(g, z, false, tb_numbers(g, z, grid, grid, self->fold), true), NULL);
}

/* The prior's derivative reuses u K⁻¹, K being symmetric: −½ u·q has slope −q, which −u·stop(q) + ½ u·stop(q) as a
 * value and −u·stop(q) as a slope gives with one product instead of two.  So derivatives are of first order. */
static tb_value prior_of_block(tb_graph *g, const lgcp *self, size_t block, tb_value u) {
  const size_t rank = tb_rank(g, u), n = self->half * self->half;
  size_t dims[TB_MAX_RANK];
  tb_value part = tb_slice(g, u, rank - 2, block / self->parts * self->half, self->half);
  part = tb_slice(g, part, rank - 1, block % self->parts * self->half, self->half);
  for (size_t i = 0; i + 2 < rank; i++)
    dims[i] = tb_dim(g, u, i);
  dims[rank - 2] = n;
  part = tb_reshape(g, part, rank - 1, dims);
  const tb_value q = tb_stop(g, tb_matmul(g, part, false, tb_numbers(g, u, n, n, self->precision[block]), false));
  const tb_value product = tb_sum_last(g, tb_multiply(g, part, q));
  return tb_subtract(g, tb_scale(g, tb_stop(g, product), 0.5), product);
}

static tb_value build(const tb_density *density, tb_graph *g, tb_value y) {
  const lgcp *self = density->self;
  const size_t d = density->dims, rank = tb_rank(g, y);
  size_t dims[TB_MAX_RANK];
  for (size_t i = 0; i + 1 < rank; i++)
    dims[i] = tb_dim(g, y, i);
  dims[rank - 1] = dims[rank] = self->parts * self->half;
  const tb_value z = tb_reshape(g, tb_shift(g, y, -self->mean), rank + 1, dims);
  const tb_value u = fold_last(g, self, fold_last(g, self, z));
  tb_value prior = prior_of_block(g, self, 0, u);
  for (size_t block = 1; block < self->parts * self->parts; block++)
    prior = tb_add(g, prior, prior_of_block(g, self, block, u));
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
