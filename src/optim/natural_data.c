/* What a natural gradient knows of its data before the first evaluation: which rows are the same, and the rank of X.
 *
 * Rows with equal inputs have equal outputs: they are one row with the weights added.  Zero rows say nothing to a
 * linear predictor.  So duplicates don't cost the full-row-rank path. */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "num/linear.h"
#include "optim/natural_parts.h"

static bool is_zero(size_t d, const double *row) {
  for (size_t j = 0; j < d; j++)
    if (row[j] != 0.0)
      return false;
  return true;
}

/* Order of the numbers of two rows; equal numbers (0 and −0 too) are equal rows. */
static int compare_rows(size_t d, const double *a, const double *b) {
  for (size_t j = 0; j < d; j++)
    if (a[j] != b[j])
      return a[j] < b[j] ? -1 : 1;
  return 0;
}

typedef struct place {
  const double *row;
  size_t d, index;
} place;

static int by_row(const void *a, const void *b) {
  const place *p = a, *q = b;
  const int order = compare_rows(p->d, p->row, q->row);
  return order != 0 ? order : p->index < q->index ? -1 : 1;
}

/* Groups of equal rows, numbered by first appearance, and the distinct rows X[m×d]. */
static tb_status group_rows(tb_natural *s) {
  const double *x = tb_objective_x(s->objective);
  const size_t n = s->n, d = s->d;
  place *sorted = tb_allocate(s->context, n, sizeof *sorted);
  if (!sorted)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < n; i++)
    sorted[i] = (place){ x + i * d, d, i };
  qsort(sorted, n, sizeof *sorted, by_row);
  size_t leader = 0; /* group[i]: first the index of the first row equal to row i, renumbered below */
  for (size_t k = 0; k < n; k++) {
    if (k == 0 || compare_rows(d, sorted[k - 1].row, sorted[k].row) != 0)
      leader = sorted[k].index;
    s->group[sorted[k].index] = leader;
  }
  tb_release(s->context, sorted);
  for (size_t i = 0; i < n; i++) {
    if (s->group[i] < i) {
      s->group[i] = s->group[s->group[i]];
    } else if (s->linear && is_zero(d, x + i * d)) {
      s->group[i] = TB_NO_ROW;
    } else {
      memcpy(s->x + s->m * d, x + i * d, d * sizeof *x);
      s->first[s->m] = i;
      s->group[i] = s->m++;
    }
    if (s->group[i] != TB_NO_ROW)
      s->members[s->group[i]]++;
  }
  return TB_OK;
}

/* Rank of X: full is decided like that of any system here, with rows and columns of any size; else by singular values,
 * which also give the basis of its row space. */
static tb_status rank_of_data(tb_natural *s) {
  const size_t m = s->m, d = s->d, least = m < d ? m : d;
  tb_status status = TB_OK;
  if (m <= d && (status = tb_minimum_norm_new(s->context, m, d, &s->data)) != TB_OK)
    return status;
  if (m == 0)
    return TB_OK;
  if (m <= d)
    status = tb_minimum_norm_factor(s->data, s->x, NULL, DBL_EPSILON, &s->rank_x, &s->condition_x);
  else {
    double *transposed = tb_allocate(s->context, m * d, sizeof *transposed);
    tb_minimum_norm *columns = NULL;
    status = transposed ? tb_minimum_norm_new(s->context, d, m, &columns) : TB_NO_MEMORY;
    for (size_t i = 0; transposed && i < m; i++)
      for (size_t j = 0; j < d; j++)
        transposed[j * m + i] = s->x[i * d + j];
    if (status == TB_OK)
      status = tb_minimum_norm_factor(columns, transposed, NULL, DBL_EPSILON, &s->rank_x, &s->condition_x);
    tb_minimum_norm_free(columns);
    tb_release(s->context, transposed);
  }
  if (status != TB_OK || s->rank_x == least) {
    s->full_rows = status == TB_OK && m <= d;
    return status;
  }
  double *copy = tb_allocate(s->context, m * d, sizeof *copy);
  double *values = tb_allocate(s->context, least, sizeof *values);
  s->basis = tb_allocate(s->context, least * d, sizeof *s->basis);
  status = copy && values && s->basis ? TB_OK : TB_NO_MEMORY;
  if (status == TB_OK) {
    memcpy(copy, s->x, m * d * sizeof *copy);
    status = tb_singular_values(s->context, m, d, copy, values, NULL, s->basis);
  }
  const double tolerance = (double)(m > d ? m : d) * DBL_EPSILON;
  for (s->rank_x = 0; status == TB_OK && s->rank_x < least && values[s->rank_x] > tolerance * values[0];)
    s->rank_x++;
  tb_release(s->context, copy);
  tb_release(s->context, values);
  return status;
}

static tb_status make_room(tb_natural *s) {
  const size_t n = s->n, d = s->d, p = s->p, width = s->in_predictor ? d : p;
  if (!(s->group = tb_allocate(s->context, n, sizeof *s->group)) ||
      !(s->first = tb_allocate(s->context, n, sizeof *s->first)) ||
      !(s->members = tb_allocate(s->context, n, sizeof *s->members)))
    return TB_NO_MEMORY;
  /* Columns of the tall systems to come: of parameters or coordinates, of both for a linear predictor's parameters. */
  const size_t of_width = n > width ? width : 0, of_d = s->linear && n > d ? d : 0;
  const size_t columns = of_width > of_d ? of_width : of_d;
  /* Gram matrices: DDᵀ[d×d] to lift a predictor's velocity, JJᵀ[n×n] where the rows are fewer than the parameters. */
  const size_t most = s->in_predictor || n > p || n < d ? d : n;
  s->gram = tb_objective_has_gram(s->objective) && tb_objective_dtype(s->objective) == TB_FLOAT64;
  const struct {
    double **block;
    size_t count;
  } needs[] = {
    { &s->x, n * d },
    { &s->f, n },
    { &s->row, n },
    { &s->row_weight, n },
    { &s->row_target, n },
    { &s->row_sign, n },
    { &s->log_target, n },
    { &s->sign, n },
    { &s->log_weight, n },
    { &s->target, n },
    { &s->log_delta, n },
    { &s->beta, d },
    { &s->velocity_beta, d },
    { &s->pull, d },
    { &s->image, d },
    { &s->kernel, s->gram ? most * most : 0 },
    { &s->work, s->gram ? 3 * most + p : 0 },
    { &s->tall, (n + columns) * columns },
    { &s->tall_b, n + columns },
    { &s->tall_w, n + columns },
    { &s->normal, columns * columns },
  };
  for (size_t k = 0; k < sizeof needs / sizeof *needs; k++)
    if (!(*needs[k].block = tb_allocate(s->context, needs[k].count, sizeof(double))))
      return TB_NO_MEMORY;
  return TB_OK;
}

tb_status tb_natural_prepare(tb_natural *s) {
  tb_status status = make_room(s);
  if (status != TB_OK)
    return status;
  status = group_rows(s);
  if (status == TB_OK && s->linear)
    status = rank_of_data(s);
  if (status == TB_OK && s->linear)
    status = tb_natural_prepare_map(s);
  if (status != TB_OK || s->in_predictor)
    return status;
  s->reduced = s->linear && s->damping == 0 && (!s->full_rows || s->rank_x == s->d);
  s->system_rows = s->reduced ? s->rank_x : s->m;
  if (s->system_rows <= s->p && (!s->reduced || s->basis))
    status = tb_minimum_norm_new(s->context, s->system_rows, s->p, &s->system);
  if (status == TB_OK && s->basis && !(s->rows = tb_allocate(s->context, s->rank_x * s->p, sizeof *s->rows)))
    status = TB_NO_MEMORY;
  return status;
}
