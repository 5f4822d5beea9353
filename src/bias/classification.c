/* The classification problem in memory, the sparse teacher, and the search for repeated rows.
 *
 * Draws are keyed by (seed, purpose, index): the points do not depend on k, the teacher not on n. */
#include "bias/classification.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tiebreak/random.h>

#include "bias/problem.h"

tb_classification *classification_new(tb_context *context, size_t n, size_t d) {
  tb_classification *p = tb_allocate(context, 1, sizeof *p);
  if (!p)
    return NULL;
  p->n = n;
  p->d = d;
  p->x = tb_allocate(context, n * d, sizeof *p->x);
  p->y = tb_allocate(context, n, sizeof *p->y);
  p->z = tb_allocate(context, n * d, sizeof *p->z);
  p->copy_of = tb_allocate(context, n, sizeof *p->copy_of);
  if (p->x && p->y && p->z && p->copy_of)
    return p;
  tb_classification_free(context, p);
  return NULL;
}

void tb_classification_free(tb_context *context, tb_classification *p) {
  if (!p)
    return;
  tb_release(context, p->x);
  tb_release(context, p->y);
  tb_release(context, p->z);
  tb_release(context, p->teacher);
  tb_release(context, p->copy_of);
  tb_release(context, p->lines);
  tb_release(context, p->path);
  tb_release(context, p);
}

void tb_classification_row_name(const tb_classification *p, size_t row, char name[32]) {
  if (p->lines)
    snprintf(name, 32, "line %zu", p->lines[row]);
  else
    snprintf(name, 32, "row %zu", row + 1);
}

/* ---- repeated rows: sort by content, then compare neighbours ---- */

static int compare_inputs(const tb_classification *p, size_t a, size_t b) {
  for (size_t j = 0; j < p->d; j++) {
    double difference = p->x[a * p->d + j] - p->x[b * p->d + j];
    if (difference != 0)
      return difference < 0 ? -1 : 1;
  }
  return 0;
}

static int compare_rows(const void *left, const void *right, void *user) {
  const tb_classification *p = user;
  size_t a = *(const size_t *)left, b = *(const size_t *)right;
  int inputs = compare_inputs(p, a, b);
  if (inputs)
    return inputs;
  if (p->y[a] != p->y[b])
    return p->y[a] < p->y[b] ? -1 : 1;
  return a < b ? -1 : a > b;
}

tb_status classification_finish(tb_context *context, tb_classification *p) {
  size_t *order = tb_allocate(context, p->n, sizeof *order);
  if (!order)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < p->n; i++) {
    order[i] = p->copy_of[i] = i;
    for (size_t j = 0; j < p->d; j++)
      p->z[i * p->d + j] = p->y[i] * p->x[i * p->d + j];
  }
  qsort_r(order, p->n, sizeof *order, compare_rows, p);
  for (size_t k = 1; k < p->n; k++) {
    size_t before = order[k - 1], row = order[k];
    if (compare_inputs(p, before, row) != 0)
      continue;
    if (p->y[before] == p->y[row]) {
      p->copy_of[row] = p->copy_of[before];
      p->duplicates++;
    } else if (p->opposed == p->opposed_to) {
      p->opposed = before < row ? before : row;
      p->opposed_to = before < row ? row : before;
    }
  }
  tb_release(context, order);
  return TB_OK;
}

/* ---- the sparse teacher ---- */

tb_status tb_classification_sparse(tb_context *context, size_t n, size_t d, size_t k, bool bias, uint64_t seed,
                                   tb_classification **problem) {
  *problem = NULL;
  if (n < 1 || d < 1 || k < 1 || k > d)
    return tb_fail(context, TB_USAGE, "option k", "give 1 <= k <= d", "a teacher with k = %zu of d = %zu entries", k,
                   d);
  tb_classification *p = classification_new(context, n, d + bias);
  uint32_t *support = tb_allocate(context, d, sizeof *support);
  double *teacher = tb_allocate(context, d + bias, sizeof *teacher);
  if (!p || !support || !teacher) {
    tb_classification_free(context, p);
    tb_release(context, support);
    tb_release(context, teacher);
    return TB_NO_MEMORY;
  }
  p->teacher = teacher;
  tb_random_permutation((tb_key){ seed, 0, tb_use("separable teacher") }, d, support);
  for (size_t j = 0; j < k; j++)
    teacher[support[j]] = 1 / sqrt((double)k);
  tb_release(context, support);
  tb_key key = { seed, 0, tb_use("separable inputs") };
  for (size_t i = 0; i < n; i++) {
    double *row = p->x + i * p->d, score = 0;
    tb_random_normal(key, (uint64_t)i * d, d, row);
    for (size_t j = 0; j < d; j++)
      score = fma(row[j], teacher[j], score);
    if (bias)
      row[d] = 1;
    p->y[i] = score < 0 ? -1 : 1;
  }
  tb_status status = classification_finish(context, p);
  if (status)
    tb_classification_free(context, p);
  else
    *problem = p;
  return status;
}
