/* The solver of kernel.h: with S = diag(AAᵀ)^{−1/2} and LLᵀ = S AAᵀ S, (AAᵀ)⁻¹ = S L⁻ᵀL⁻¹ S. */
#include "optim/kernel.h"

#include <math.h>

#include "num/linear.h"

#define LEAST_RCOND 1e-6

/* Scales the kernel to unit diagonal, scale[n] = S; returns its 1-norm, NaN when an entry is no length. */
static double equilibrate(size_t n, double *kernel, double *scale) {
  double norm = 0.0;
  for (size_t i = 0; i < n; i++) {
    const double square = kernel[i * n + i];
    if (!(square > 1e-250 && square < 1e250))
      return NAN;
    scale[i] = 1.0 / sqrt(square);
  }
  for (size_t i = 0; i < n; i++) {
    double sum = 0.0;
    for (size_t j = 0; j < n; j++) {
      kernel[i * n + j] *= scale[i] * scale[j];
      sum += fabs(kernel[i * n + j]);
    }
    norm = fmax(norm, sum);
  }
  return norm;
}

/* out = (AAᵀ)⁻¹ in */
static void apply(size_t n, const double *factor, const double *scale, const double *in, double *out) {
  for (size_t i = 0; i < n; i++)
    out[i] = scale[i] * in[i];
  tb_cholesky_solve(n, factor, 1, out);
  for (size_t i = 0; i < n; i++)
    out[i] *= scale[i];
}

tb_status tb_kernel_solve(tb_context *context, size_t n, size_t p, double *kernel, const double *b,
                          const tb_kernel_map *map, double *work, double *x, bool *good, double *condition) {
  double *scale = work, *lambda = scale + n, *residual = lambda + n, *correction = residual + n;
  *good = false;
  const double norm = equilibrate(n, kernel, scale);
  if (!isfinite(norm))
    return TB_OK;
  bool definite;
  tb_status status = tb_cholesky_factor(context, n, kernel, &definite);
  if (status != TB_OK || !definite)
    return status;
  const double rcond = tb_cholesky_rcond(context, n, kernel, norm);
  if (!(rcond >= LEAST_RCOND))
    return TB_OK;
  apply(n, kernel, scale, b, lambda);
  if ((status = map->pull(map->user, lambda, x)) != TB_OK || (status = map->push(map->user, x, residual)) != TB_OK)
    return status;
  for (size_t i = 0; i < n; i++)
    residual[i] = b[i] - residual[i];
  apply(n, kernel, scale, residual, lambda);
  if ((status = map->pull(map->user, lambda, correction)) != TB_OK)
    return status;
  for (size_t k = 0; k < p; k++)
    x[k] += correction[k];
  *condition = 1.0 / sqrt(rcond);
  *good = true;
  return TB_OK;
}
