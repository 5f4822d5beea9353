/* The systems behind a natural-gradient evaluation: min Σ w_i (a_i·v − b_i)² + nλ‖v‖² of minimum norm.
 *
 * Full row rank without damping: the weights cancel, a_i·v = b_i.  With damping and no more rows than columns: minimum
 * norm with a ridge δ_i² = nλ/w_i.  With damping and more rows: normal equations, or damping as more rows.  Else
 * weighted least squares with weights as logarithms. */
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "optim/natural_parts.h"

void tb_natural_merge(tb_natural *s) {
  for (size_t g = 0; g < s->m; g++) {
    s->log_weight[g] = -INFINITY;
    s->target[g] = 0.0;
  }
  for (size_t i = 0; i < s->n; i++)
    if (s->group[i] != TB_NO_ROW)
      s->log_weight[s->group[i]] = fmax(s->log_weight[s->group[i]], s->log_w[i]);
  for (size_t g = 0; g < s->m; g++)
    s->log_delta[g] = 0.0; /* Σ e^{log w − max} */
  for (size_t i = 0; i < s->n; i++) {
    const size_t g = s->group[i];
    if (g == TB_NO_ROW || !(s->log_weight[g] > -INFINITY))
      continue;
    const double share = exp(s->log_w[i] - s->log_weight[g]);
    s->log_delta[g] += share;
    s->target[g] += share * s->b[i];
  }
  for (size_t g = 0; g < s->m; g++)
    if (s->log_delta[g] > 0) {
      s->target[g] /= s->log_delta[g];
      s->log_weight[g] += log(s->log_delta[g]);
    }
}

/* v[c] = (AᵀWA/n + λI)⁻¹AᵀWb/n for more rows than columns: normal equations relative to the largest weight where λ
 * keeps them well conditioned, else least squares with the damping as c more rows. */
static tb_status damped_tall(tb_natural *s, size_t c, const double *a, double *v, tb_solution *found) {
  const size_t m = s->m;
  const double log_ridge = log((double)s->n * s->damping);
  double most = -INFINITY, most_pull = -INFINITY;
  for (size_t i = 0; i < m; i++) {
    most = fmax(most, s->log_weight[i]);
    most_pull = fmax(most_pull, s->log_weight[i] + log(fabs(s->target[i])));
  }
  *found = (tb_solution){ .rank = c, .condition = 1.0 };
  memset(v, 0, c * sizeof *v);
  if (!isfinite(most_pull))
    return TB_OK;
  const double top = fmax(most, log_ridge);
  for (size_t i = 0; i < m; i++) {
    s->tall_b[i] = copysign(exp(s->log_weight[i] + log(fabs(s->target[i])) - most_pull), s->target[i]);
    const double root = exp(0.5 * (s->log_weight[i] - top));
    for (size_t k = 0; k < c; k++)
      s->tall[i * c + k] = root * a[i * c + k];
  }
  tb_gemm(true, false, c, c, m, 1.0, s->tall, s->tall, 0.0, s->normal);
  double norm = 0.0;
  for (size_t k = 0; k < c; k++) {
    s->normal[k * c + k] += exp(log_ridge - top);
    double sum = 0.0;
    for (size_t j = 0; j < c; j++)
      sum += fabs(s->normal[k * c + j]);
    norm = fmax(norm, sum);
  }
  bool definite;
  tb_status status = tb_cholesky_factor(s->context, c, s->normal, &definite);
  if (status != TB_OK)
    return status;
  const double rcond = definite ? tb_cholesky_rcond(s->context, c, s->normal, norm) : 0.0;
  found->condition = 1.0 / sqrt(rcond);
  if (rcond >= 1e-4) {
    tb_gemv(true, m, c, 1.0, a, s->tall_b, 0.0, v);
    tb_cholesky_solve(c, s->normal, 1, v);
    found->log_scale = most_pull - top;
    return TB_OK;
  }
  memcpy(s->tall, a, m * c * sizeof *a);
  memset(s->tall + m * c, 0, c * c * sizeof *a);
  for (size_t i = 0; i < m + c; i++) {
    s->tall_b[i] = i < m ? s->target[i] : 0.0;
    s->tall_w[i] = i < m ? s->log_weight[i] : log_ridge;
    if (i >= m)
      s->tall[i * c + (i - m)] = 1.0;
  }
  size_t rank;
  return tb_weighted_least_squares(s->context, m + c, c, s->tall, s->tall_b, s->tall_w, 0.0, v, &rank,
                                   &found->condition);
}

tb_status tb_natural_solve(tb_natural *s, size_t c, const double *a, tb_minimum_norm *system, bool factored, double *v,
                           tb_solution *found) {
  tb_status status;
  *found = (tb_solution){ .condition = 1.0 };
  if (s->m == 0) {
    memset(v, 0, c * sizeof *v);
    return TB_OK;
  }
  if (s->damping > 0 && s->m > c)
    return damped_tall(s, c, a, v, found);
  const bool damped = s->damping > 0;
  for (size_t i = 0; damped && i < s->m; i++)
    s->log_delta[i] = 0.5 * (log((double)s->n * s->damping) - s->log_weight[i]);
  if (factored)
    found->rank = s->m;
  else if (system && s->m <= c) {
    status =
        tb_minimum_norm_factor(system, a, damped ? s->log_delta : NULL, s->epsilon, &found->rank, &found->condition);
    if (status != TB_OK)
      return status;
  }
  if (system && found->rank == s->m) {
    tb_minimum_norm_solve(system, s->target, v, &found->log_scale);
    found->fast = !damped;
    return TB_OK;
  }
  return tb_weighted_least_squares(s->context, s->m, c, a, s->target, s->log_weight, 0.0, v, &found->rank,
                                   &found->condition);
}
