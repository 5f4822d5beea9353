/* Completion problems in memory, and the low-rank matrix of Arora et al. (2019). */
#include "bias/completion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tiebreak/random.h>

#include "bias/completion_parts.h"

tb_partial_matrix *completion_new(tb_context *context, size_t rows, size_t cols) {
  tb_partial_matrix *p = tb_allocate(context, 1, sizeof *p);
  if (!p)
    return NULL;
  *p = (tb_partial_matrix){ .rows = rows, .cols = cols };
  if ((p->observed = tb_allocate(context, rows * cols, sizeof *p->observed))) {
    memset(p->observed, 0, rows * cols * sizeof *p->observed);
    return p;
  }
  tb_partial_matrix_free(context, p);
  return NULL;
}

void tb_partial_matrix_free(tb_context *context, tb_partial_matrix *p) {
  if (!p)
    return;
  tb_release(context, p->row);
  tb_release(context, p->col);
  tb_release(context, p->dense);
  tb_release(context, p->y);
  tb_release(context, p->truth);
  tb_release(context, p->observed);
  tb_release(context, p);
}

static int by_place(const void *left, const void *right) {
  const completion_entry *a = left, *b = right;
  if (a->row != b->row)
    return a->row < b->row ? -1 : 1;
  if (a->col != b->col)
    return a->col < b->col ? -1 : 1;
  return a->place < b->place ? -1 : a->place > b->place;
}

void completion_sort(size_t count, completion_entry *entries) {
  qsort(entries, count, sizeof *entries, by_place);
}

tb_status completion_observe(tb_context *context, tb_partial_matrix *p, size_t count, completion_entry *entries) {
  completion_sort(count, entries);
  p->count = count;
  p->row = tb_allocate(context, count, sizeof *p->row);
  p->col = tb_allocate(context, count, sizeof *p->col);
  p->y = tb_allocate(context, count, sizeof *p->y);
  if (!p->row || !p->col || !p->y)
    return TB_NO_MEMORY;
  for (size_t k = 0; k < count; k++) {
    p->row[k] = entries[k].row;
    p->col[k] = entries[k].col;
    p->y[k] = entries[k].value;
    p->observed[entries[k].row * p->cols + entries[k].col] = true;
  }
  return TB_OK;
}

tb_status completion_know(tb_context *context, tb_partial_matrix *p, size_t count, const completion_entry *entries) {
  if (!p->truth) {
    if (!(p->truth = tb_allocate(context, p->rows * p->cols, sizeof *p->truth)))
      return TB_NO_MEMORY;
    for (size_t k = 0; k < p->rows * p->cols; k++)
      p->truth[k] = NAN;
  }
  for (size_t k = 0; k < count; k++)
    p->truth[entries[k].row * p->cols + entries[k].col] = entries[k].value;
  return TB_OK;
}

/* ---- the low-rank matrix ---- */

static tb_status draw_truth(tb_context *context, tb_partial_matrix *p, size_t rank, uint64_t seed) {
  double *u = tb_allocate(context, (p->rows + p->cols) * rank, sizeof *u);
  p->truth = tb_allocate(context, p->rows * p->cols, sizeof *p->truth);
  if (u && p->truth) {
    double *v = u + p->rows * rank, square = 0;
    tb_random_normal((tb_key){ seed, 0, tb_use("completion left factor") }, 0, p->rows * rank, u);
    tb_random_normal((tb_key){ seed, 0, tb_use("completion right factor") }, 0, p->cols * rank, v);
    for (size_t i = 0; i < p->rows; i++)
      for (size_t j = 0; j < p->cols; j++) {
        double sum = 0;
        for (size_t k = 0; k < rank; k++)
          sum = fma(u[i * rank + k], v[j * rank + k], sum);
        p->truth[i * p->cols + j] = sum;
        square = fma(sum, sum, square);
      }
    double scale = sqrt((double)(p->rows * p->cols) / square);
    for (size_t k = 0; k < p->rows * p->cols; k++)
      p->truth[k] *= scale;
  }
  tb_release(context, u);
  return u && p->truth ? TB_OK : TB_NO_MEMORY;
}

static tb_status draw_entries(tb_context *context, tb_partial_matrix *p, size_t count, uint64_t seed) {
  size_t all = p->rows * p->cols;
  uint32_t *order = tb_allocate(context, all, sizeof *order);
  completion_entry *entries = tb_allocate(context, count, sizeof *entries);
  tb_status status = TB_NO_MEMORY;
  if (order && entries) {
    tb_random_permutation((tb_key){ seed, 0, tb_use("completion entries") }, all, order);
    for (size_t k = 0; k < count; k++)
      entries[k] = (completion_entry){ order[k] / p->cols, order[k] % p->cols, k, p->truth[order[k]] };
    status = completion_observe(context, p, count, entries);
  }
  tb_release(context, order);
  tb_release(context, entries);
  return status;
}

static tb_status draw_measurements(tb_context *context, tb_partial_matrix *p, size_t count, uint64_t seed) {
  size_t all = p->rows * p->cols;
  p->count = count;
  p->dense = tb_allocate(context, count * all, sizeof *p->dense);
  p->y = tb_allocate(context, count, sizeof *p->y);
  if (!p->dense || !p->y)
    return TB_NO_MEMORY;
  tb_random_normal((tb_key){ seed, 0, tb_use("completion measurements") }, 0, count * all, p->dense);
  double scale = 1 / sqrt((double)all);
  for (size_t k = 0; k < count; k++) {
    p->y[k] = 0;
    for (size_t i = 0; i < all; i++) {
      p->dense[k * all + i] *= scale;
      p->y[k] = fma(p->dense[k * all + i], p->truth[i], p->y[k]);
    }
  }
  return TB_OK;
}

tb_status tb_partial_matrix_low_rank(tb_context *context, size_t rows, size_t cols, size_t rank, size_t count,
                                     bool sensing, uint64_t seed, tb_partial_matrix **problem) {
  *problem = NULL;
  tb_partial_matrix *p = completion_new(context, rows, cols);
  if (!p)
    return TB_NO_MEMORY;
  tb_status status = draw_truth(context, p, rank, seed);
  if (!status)
    status = sensing ? draw_measurements(context, p, count, seed) : draw_entries(context, p, count, seed);
  if (status)
    tb_partial_matrix_free(context, p);
  else
    *problem = p;
  return status;
}
