/* The systems behind a natural-gradient evaluation: min Σ w_i (a_i·v − b_i)² + nλ‖v‖² of minimum norm.
 *
 * No more rows than columns: with full row rank and without damping the weights cancel, a_i·v = b_i; with damping, the
 * minimum norm with a ridge δ_i² = nλ/w_i; without full rank weighted least squares, the weights as logarithms.  More
 * rows than columns: natural_tall.c. */
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "optim/natural_parts.h"

/* A row that stands for several has w = Σw_i and b = Σw_i b_i / w. */
static void merge_several(tb_natural *s) {
  double *weight = s->log_delta, *force = s->target; /* Σ e^{log w_i − max}, Σ ±e^{log w_i|b_i| − max} */
  for (size_t g = 0; g < s->m; g++) {
    s->log_weight[g] = s->log_target[g] = -INFINITY; /* first the largest weight and force */
    weight[g] = force[g] = 0.0;
  }
  for (int pass = 0; pass < 2; pass++)
    for (size_t i = 0; i < s->n; i++) {
      const size_t g = s->group[i];
      const double log_force = s->row_weight[i] + s->row_target[i];
      if (g == TB_NO_ROW || !(log_force > -INFINITY))
        continue;
      if (pass == 0) {
        s->log_weight[g] = fmax(s->log_weight[g], s->row_weight[i]);
        s->log_target[g] = fmax(s->log_target[g], log_force);
      } else {
        weight[g] += exp(s->row_weight[i] - s->log_weight[g]);
        force[g] += s->row_sign[i] * exp(log_force - s->log_target[g]);
      }
    }
  for (size_t g = 0; g < s->m; g++) {
    s->sign[g] = copysign(1.0, force[g]);
    if (weight[g] > 0) {
      s->log_weight[g] += log(weight[g]);
      s->log_target[g] += log(fabs(force[g])) - s->log_weight[g];
    }
  }
}

void tb_natural_merge(tb_natural *s) {
  merge_several(s);
  double most = -INFINITY;
  for (size_t g = 0; g < s->m; g++) {
    if (s->members[g] == 1) { /* as it is, unrounded */
      s->log_weight[g] = s->row_weight[s->first[g]];
      s->log_target[g] = s->row_target[s->first[g]];
      s->sign[g] = s->row_sign[s->first[g]];
    }
    most = fmax(most, s->log_target[g]);
  }
  s->frame = most > 600.0 ? most : 0.0;
  for (size_t g = 0; g < s->m; g++)
    s->target[g] = s->sign[g] * exp(s->log_target[g] - s->frame);
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
    tb_minimum_norm_solve(system, s->target, damped ? s->log_target : NULL, v, &found->log_scale);
    found->log_scale += damped ? 0.0 : s->frame;
    found->fast = !damped;
    return TB_OK;
  }
  found->log_scale = s->frame;
  return tb_weighted_least_squares(s->context, s->m, c, a, s->target, s->log_weight, 0.0, v, &found->rank,
                                   &found->condition);
}
