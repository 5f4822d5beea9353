/* The limit of natural gradient flow on separable data, for any n and d.
 *
 * The flow keeps Σ σ(−m_i(t)) z_i = e^{−t} g₀ with g₀ = Σ σ(−m_i(0)) z_i.  Its slope b minimises g₀·b under z_i·b ≥ 1
 * within the span of the rows, its offset b₁ follows from the dual, and what β(0) has outside the span never moves.
 * With independent rows every constraint is active and the slope is X⁺y. */
#include <math.h>
#include <string.h>

#include "bias/limits_private.h"

static double log_weight(double margin) { /* log σ(−m) */
  return margin > 0 ? -margin - log1p(exp(-margin)) : -log1p(exp(margin));
}

/* g[d] = Σ exp(log σ(−m_i(0)) − scale) z_i with the largest weight at 1, so that nothing underflows; returns scale. */
static double start_gradient(const tb_limits *l, double *g) {
  const tb_classification *p = l->problem;
  double scale = -INFINITY;
  for (size_t i = 0; i < p->n; i++)
    scale = fmax(scale, log_weight(l->start_margins[i]));
  for (size_t i = 0; i < p->n; i++)
    for (size_t j = 0; j < p->d; j++)
      g[j] = fma(exp(log_weight(l->start_margins[i]) - scale), p->z[i * p->d + j], g[j]);
  return scale;
}

/* offset += (I − VᵀV) β(0), V[rank×d] the row space. */
static tb_status add_still_part(tb_limits *l) {
  size_t d = l->problem->d;
  double *coordinate = tb_allocate(l->context, d, sizeof *coordinate);
  if (!coordinate)
    return TB_NO_MEMORY;
  tb_gemv(false, l->rank, d, 1, l->row_basis, l->start_beta, 0, coordinate);
  for (size_t j = 0; j < d; j++)
    l->offset[j] += l->start_beta[j];
  tb_gemv(true, l->rank, d, -1, l->row_basis, coordinate, 1, l->offset);
  tb_release(l->context, coordinate);
  return TB_OK;
}

/* The solution for g = e^{−scale} g₀ as one for g₀: c grows by e^{scale}, and as z_A·b = 1, b₁ by −scale·b. */
static tb_status keep_solution(tb_limits *l, const tb_reference *answer, double scale) {
  const double *b = memcpy(l->solution[TB_LIMIT_LP], answer->b, l->problem->d * sizeof *b);
  for (size_t i = 0; i < l->problem->n; i++)
    l->dual[i] = exp(scale) * answer->dual[i];
  for (size_t j = 0; j < l->problem->d; j++)
    l->offset[j] -= scale * b[j];
  l->not_unique[TB_LIMIT_LP] = !answer->unique;
  if (!answer->unique)
    l->trouble[TB_LIMIT_LP] = "lp_limit is not unique, one of its vertices is shown";
  return l->rank < l->problem->d ? add_still_part(l) : TB_OK;
}

tb_status limits_solve_programme(tb_limits *l) {
  tb_context *context = l->context;
  size_t n = l->problem->n, d = l->problem->d;
  if (!(l->dual = limits_unknown(l, n)) || !(l->offset = limits_unknown(l, d)))
    return TB_NO_MEMORY;
  bool separable;
  tb_status status = tb_limits_separable(l, &separable, NULL);
  if (status || !separable)
    return status;
  double *g = tb_allocate(context, d, sizeof *g);
  if (!g)
    return TB_NO_MEMORY;
  tb_reference answer = { 0 };
  double scale = start_gradient(l, g);
  status = tb_limit_programme(context, n, d, l->problem->z, g, &answer, l->offset);
  if (status == TB_FAILED) {
    l->trouble[TB_LIMIT_LP] = tb_arena_format(l->arena, "lp_limit: %s", tb_context_message(context));
    tb_context_clear(context);
    status = TB_OK;
  } else if (!status && answer.b)
    status = keep_solution(l, &answer, scale);
  tb_reference_free(context, &answer);
  tb_release(context, g);
  return status;
}
