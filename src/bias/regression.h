/* Linear regression with more features than points, so that many predictors fit: points x_i in R^d, targets y_i.
 *
 * Two doors: a sparse teacher on inputs x ~ N(0, diag covariance), drawn from a seed, and a user's CSV. */
#ifndef TB_BIAS_REGRESSION_H
#define TB_BIAS_REGRESSION_H

#include <tiebreak/base.h>

typedef struct tb_regression {
  size_t n, d;
  double *x, *y;      /* n×d, n */
  double *teacher;    /* d, k entries of 1/√k; NULL for a file's data */
  double *covariance; /* d: variances of the inputs' features; NULL: not known, or all 1 */
} tb_regression;

/* y = x·teacher + noise·N(0, 1).  covariance[d] (may be NULL: all 1) is copied.  1 ≤ k ≤ d. */
tb_status tb_regression_sparse(tb_context *, size_t n, size_t d, size_t k, double noise, const double *covariance,
                               uint64_t seed, tb_regression **);
/* Reads a CSV with header x1,…,xd,y.  Errors TB_BAD_DATA: what tb_csv_read refuses, another header, no rows. */
tb_status tb_regression_read(tb_context *, const char *path, tb_regression **);
void tb_regression_free(tb_context *, tb_regression *); /* NULL is allowed */

#endif
