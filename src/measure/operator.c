/* Products checked, operators written out as matrices, matrices as operators. */
#include "measure/operator.h"

#include <math.h>
#include <string.h>

#include "num/linear.h"

tb_status tb_operator_apply(const tb_operator *a, size_t count, const double *v, double *product) {
  const tb_status status = a->apply(a->user, count, v, product);
  if (status != TB_OK)
    return status;
  for (size_t i = 0; i < count * a->dimension; i++)
    if (!isfinite(product[i]))
      return tb_fail(a->context, TB_FAILED, NULL, "measure at a point where the loss and its derivatives are finite",
                     "entry %zu of a product with the operator is not finite", i % a->dimension);
  return TB_OK;
}

tb_status tb_operator_dense(const tb_operator *a, double *dense) {
  const size_t p = a->dimension, block = a->block < p ? a->block : p;
  double *unit = tb_allocate(a->context, block * p, sizeof *unit);
  tb_status status = unit ? TB_OK : TB_NO_MEMORY;
  for (size_t row = 0; row < p && status == TB_OK; row += block) {
    const size_t count = p - row < block ? p - row : block;
    memset(unit, 0, block * p * sizeof *unit);
    for (size_t i = 0; i < count; i++)
      unit[i * p + row + i] = 1;
    status = tb_operator_apply(a, count, unit, dense + row * p);
  }
  tb_release(a->context, unit);
  return status;
}

/* A vector at a time: OpenBLAS may round a row of a product differently in blocks of other sizes. */
static tb_status apply_matrix(void *user, size_t count, const double *v, double *product) {
  const tb_operator_matrix *m = user;
  for (size_t i = 0; i < count; i++)
    tb_gemv(false, m->dimension, m->dimension, 1, m->entries, v + i * m->dimension, 0, product + i * m->dimension);
  return TB_OK;
}

tb_operator tb_operator_of_matrix(tb_context *context, const tb_operator_matrix *matrix, size_t block) {
  return (tb_operator){ .context = context,
                        .dimension = matrix->dimension,
                        .block = block,
                        .apply = apply_matrix,
                        .user = (void *)(uintptr_t)matrix };
}

/* ---- D A D ---- */

static tb_status apply_scaled(void *user, size_t count, const double *v, double *product) {
  const tb_operator_scaled *s = user;
  const size_t p = s->inner.dimension, block = s->inner.block;
  for (size_t first = 0; first < count; first += block) {
    const size_t rows = count - first < block ? count - first : block;
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < p; j++)
        s->v[i * p + j] = s->d[j] * v[(first + i) * p + j];
    const tb_status status = tb_operator_apply(&s->inner, rows, s->v, product + first * p);
    if (status != TB_OK)
      return status;
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < p; j++)
        product[(first + i) * p + j] *= s->d[j];
  }
  return TB_OK;
}

tb_status tb_operator_scale(const tb_operator *inner, tb_operator_scaled *s, tb_operator *scaled) {
  const size_t p = inner->dimension;
  *s = (tb_operator_scaled){ .inner = *inner,
                             .d = tb_allocate(inner->context, p, sizeof *s->d),
                             .v = tb_allocate(inner->context, inner->block * p, sizeof *s->v) };
  *scaled = (tb_operator){
    .context = inner->context, .dimension = p, .block = inner->block, .apply = apply_scaled, .user = s
  };
  return s->d && s->v ? TB_OK : TB_NO_MEMORY;
}

void tb_operator_scaled_close(tb_operator_scaled *s) {
  tb_release(s->inner.context, s->d);
  tb_release(s->inner.context, s->v);
}
