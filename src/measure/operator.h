/* A symmetric linear operator on ℝᵖ, known only by its products with blocks of vectors.
 *
 * Every estimator of spectra takes one of these and never asks where the products come from: a Hessian, a matrix, a
 * scaled version of another operator. */
#ifndef TB_MEASURE_OPERATOR_H
#define TB_MEASURE_OPERATOR_H

#include <tiebreak/base.h>

typedef struct tb_operator {
  tb_context *context;
  size_t dimension; /* p ≥ 1 */
  size_t block;     /* vectors that one application takes best, ≥ 1: estimators hand over that many where they can */
  /* product[count×p] = v[count×p] A, a row a vector; any count ≥ 1, the arrays do not overlap.  A product must not
   * depend on the other vectors of its block. */
  tb_status (*apply)(void *user, size_t count, const double *v, double *product);
  void *user; /* the caller's */
} tb_operator;

/* product[count×p] = v[count×p] A.  Errors: those of apply, and TB_FAILED where a product is not finite. */
tb_status tb_operator_apply(const tb_operator *, size_t count, const double *v, double *product);

/* a[p×p] = A by p products with unit vectors: the reference for everything else.  Cost p products. */
tb_status tb_operator_dense(const tb_operator *, double *a);

/* apply of a matrix: user points at one. */
typedef struct tb_operator_matrix {
  size_t dimension;
  const double *entries; /* [p×p], symmetric, the caller's */
} tb_operator_matrix;
tb_operator tb_operator_of_matrix(tb_context *, const tb_operator_matrix *, size_t block);

/* D A D with a diagonal D that may be changed between applications: user points at one. */
typedef struct tb_operator_scaled {
  tb_operator inner;
  double *d, *v; /* [p], [block×p] scratch; owned */
} tb_operator_scaled;
/* Makes *scaled, d zero, and the operator that uses it; close *scaled in any case. */
tb_status tb_operator_scale(const tb_operator *inner, tb_operator_scaled *scaled, tb_operator *);
void tb_operator_scaled_close(tb_operator_scaled *);

#endif
