/* The systems behind a natural-gradient evaluation: min Σ w_i (a_i·v − b_i)² + nλ‖v‖² of minimum norm.
 *
 * No more rows than columns: with full row rank and without damping the weights cancel, a_i·v = b_i; with damping, the
 * minimum norm with a ridge δ_i² = nλ/w_i; without full rank weighted least squares, the weights as logarithms.  More
 * rows than columns: natural_tall.c. */
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

tb_status tb_natural_solve(tb_natural *s, size_t c, const double *a, tb_minimum_norm *system, bool factored, double *v,
                           tb_solution *found) {
  tb_status status;
  *found = (tb_solution){ .condition = 1.0 };
  if (s->m == 0) {
    memset(v, 0, c * sizeof *v);
    return TB_OK;
  }
  if (s->m > c)
    return tb_natural_solve_tall(s, c, a, v, found);
  const bool damped = s->damping > 0;
  for (size_t i = 0; damped && i < s->m; i++)
    s->log_delta[i] = 0.5 * (log((double)s->n * s->damping) - s->log_weight[i]);
  if (factored)
    found->rank = s->m;
  else if (system) {
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
