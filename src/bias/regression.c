/* Regression problems in memory and from files. */
#include "bias/regression.h"

#include <math.h>
#include <string.h>
#include <tiebreak/random.h>

#include "bias/problem.h"

static tb_regression *regression_new(tb_context *context, size_t n, size_t d) {
  tb_regression *p = tb_allocate(context, 1, sizeof *p);
  if (!p)
    return NULL;
  *p = (tb_regression){ .n = n, .d = d };
  p->x = tb_allocate(context, n * d, sizeof *p->x);
  p->y = tb_allocate(context, n, sizeof *p->y);
  if (p->x && p->y)
    return p;
  tb_regression_free(context, p);
  return NULL;
}

void tb_regression_free(tb_context *context, tb_regression *p) {
  if (!p)
    return;
  tb_release(context, p->x);
  tb_release(context, p->y);
  tb_release(context, p->teacher);
  tb_release(context, p->covariance);
  tb_release(context, p);
}

tb_status tb_regression_sparse(tb_context *context, size_t n, size_t d, size_t k, double noise,
                               const double *covariance, uint64_t seed, tb_regression **problem) {
  *problem = NULL;
  tb_regression *p = regression_new(context, n, d);
  uint32_t *support = tb_allocate(context, d, sizeof *support);
  tb_status status = TB_NO_MEMORY;
  if (!p || !support || !(p->teacher = tb_allocate(context, d, sizeof *p->teacher)))
    goto done;
  if (covariance && !(p->covariance = tb_allocate(context, d, sizeof *p->covariance)))
    goto done;
  if (covariance)
    memcpy(p->covariance, covariance, d * sizeof *covariance);
  memset(p->teacher, 0, d * sizeof *p->teacher);
  tb_random_permutation((tb_key){ seed, 0, tb_use("regression teacher") }, d, support);
  for (size_t j = 0; j < k; j++)
    p->teacher[support[j]] = 1 / sqrt((double)k);
  tb_random_normal((tb_key){ seed, 0, tb_use("regression noise") }, 0, n, p->y);
  for (size_t i = 0; i < n; i++) {
    double *row = p->x + i * d, sum = noise * p->y[i];
    tb_random_normal((tb_key){ seed, 0, tb_use("regression inputs") }, i * d, d, row);
    for (size_t j = 0; j < d; j++) {
      row[j] *= covariance ? sqrt(covariance[j]) : 1;
      sum = fma(row[j], p->teacher[j], sum);
    }
    p->y[i] = sum;
  }
  status = TB_OK;
done:
  tb_release(context, support);
  if (status)
    tb_regression_free(context, p);
  else
    *problem = p;
  return status;
}

tb_status tb_regression_read(tb_context *context, const char *path, tb_regression **problem) {
  tb_table *table = NULL;
  tb_regression *p = NULL;
  *problem = NULL;
  tb_status status = tb_csv_read(context, path, &table);
  if (!status)
    status = problem_check_header(context, table);
  if (!status && table->rows == 0)
    status =
        tb_fail(context, TB_BAD_DATA, path, "add a line for each example under the header", "no rows, only a header");
  if (!status && !(p = regression_new(context, table->rows, table->cols - 1)))
    status = TB_NO_MEMORY;
  for (size_t i = 0; !status && i < p->n; i++) {
    memcpy(p->x + i * p->d, table->values + i * table->cols, p->d * sizeof *p->x);
    p->y[i] = table->values[i * table->cols + p->d];
  }
  tb_table_free(context, table);
  if (!status)
    *problem = p;
  return status;
}
