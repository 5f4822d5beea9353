/* The limit of natural gradient flow on separable data, for any n and d.
 *
 * The flow keeps Σ σ(−m_i(t)) z_i = e^{−t} g₀ with g₀ = Σ σ(−m_i(0)) z_i.  Its slope minimises g₀·b under z_i·b ≥ 1,
 * within the span of the rows; the dual c of that programme gives the offset: a row with multiplicity w and multiplier
 * c ends at margin t − log(c/w).  With independent rows every constraint is active and the slope is X⁺y. */
#include <math.h>
#include <string.h>

#include "bias/limits_private.h"

/* g[d] = Σ exp(log σ(−m_i) − scale) z_i, with the largest weight at 1 so that nothing underflows. */
static double start_gradient(const tb_limits *l, double *g) {
  const tb_classification *p = l->problem;
  double scale = -INFINITY;
  for (size_t i = 0; i < p->n; i++) {
    double m = l->start_margins[i], log_weight = m > 0 ? -m - log1p(exp(-m)) : -log1p(exp(m));
    scale = fmax(scale, log_weight);
  }
  for (size_t i = 0; i < p->n; i++) {
    double m = l->start_margins[i], log_weight = m > 0 ? -m - log1p(exp(-m)) : -log1p(exp(m));
    for (size_t j = 0; j < p->d; j++)
      g[j] = fma(exp(log_weight - scale), p->z[i * p->d + j], g[j]);
  }
  return scale;
}

/* Offset: in the span of the rows z_i·b₁ = −log(c_i/w_i) on the active rows; off it β(0), which never moves.  Left NaN
 * unless exactly rank rows are active, all with a positive multiplier.  The multipliers are c·exp(log_scale). */
static tb_status find_offset(tb_limits *l, const double *b, const double *c, double log_scale) {
  tb_context *context = l->context;
  size_t d = l->problem->d, active = 0;
  double *a = tb_allocate(context, l->rows * d, sizeof *a), *target = tb_allocate(context, l->rows, sizeof *target);
  double *coordinate = tb_allocate(context, d, sizeof *coordinate);
  tb_status status = a && target && coordinate ? TB_OK : TB_NO_MEMORY;
  double largest = 0;
  bool degenerate = false;
  for (size_t i = 0; !status && i < l->rows; i++)
    largest = fmax(largest, c[i]);
  for (size_t i = 0; !status && i < l->rows; i++) {
    if (tb_dot(d, l->z + i * d, b) > 1 + 1e-9)
      continue;
    degenerate |= c[i] <= 1e-12 * largest;
    memcpy(a + active * d, l->z + i * d, d * sizeof *a);
    target[active++] = -log(c[i] / l->multiplicity[i]) - log_scale;
  }
  if (!status && active == l->rank && !degenerate) {
    size_t rank;
    status = tb_least_squares(context, active, d, a, 1, target, 0, l->offset, &rank, NULL);
    if (!status && rank < active)
      for (size_t j = 0; j < d; j++)
        l->offset[j] = NAN;
    if (!status && l->rank < d) { /* + (I − VᵀV) β(0) */
      tb_gemv(false, l->rank, d, 1, l->row_basis, l->start_beta, 0, coordinate);
      for (size_t j = 0; j < d; j++)
        l->offset[j] += l->start_beta[j];
      tb_gemv(true, l->rank, d, -1, l->row_basis, coordinate, 1, l->offset);
    }
  }
  tb_release(context, a);
  tb_release(context, target);
  tb_release(context, coordinate);
  return status;
}

/* The programme in coordinates of the row space where X lacks column rank: z ← Z Vᵀ, g ← V g. */
static void reduce(const tb_limits *l, const double *g, double *z, double *reduced_g) {
  size_t d = l->problem->d, r = l->rank;
  tb_gemm(false, true, l->rows, r, d, 1, l->z, l->row_basis, 0, z);
  tb_gemv(false, r, d, 1, l->row_basis, g, 0, reduced_g);
}

tb_status limits_solve_programme(tb_limits *l) {
  tb_context *context = l->context;
  size_t n = l->problem->n, d = l->problem->d, r = l->rank;
  if (!(l->dual = limits_unknown(l, n)) || !(l->offset = limits_unknown(l, d)))
    return TB_NO_MEMORY;
  bool separable;
  tb_status status = tb_limits_separable(l, &separable, NULL);
  if (status || !separable)
    return status;
  double *g = tb_allocate(context, d, sizeof *g), *z = tb_allocate(context, l->rows * r, sizeof *z);
  double *reduced_g = tb_allocate(context, r, sizeof *reduced_g), *b = l->solution[TB_LIMIT_LP];
  tb_reference answer = { 0 };
  status = TB_NO_MEMORY;
  if (!g || !z || !reduced_g)
    goto done;
  double scale = start_gradient(l, g);
  bool whole = r == d;
  if (!whole)
    reduce(l, g, z, reduced_g);
  status = tb_limit_programme(context, l->rows, r, whole ? l->z : z, whole ? g : reduced_g, &answer, NULL);
  if (status == TB_FAILED) {
    l->trouble[TB_LIMIT_LP] = tb_arena_format(l->arena, "lp_limit: %s", tb_context_message(context));
    tb_context_clear(context);
    status = TB_OK;
  } else if (!status && answer.b) {
    if (whole)
      memcpy(b, answer.b, d * sizeof *b);
    else
      tb_gemv(true, r, d, 1, l->row_basis, answer.b, 0, b); /* b = Vᵀ b_r */
    for (size_t i = 0; i < n; i++)
      l->dual[i] = exp(scale) * answer.dual[l->row_of[i]] / l->multiplicity[l->row_of[i]];
    l->not_unique[TB_LIMIT_LP] = !answer.unique;
    if (!answer.unique)
      l->trouble[TB_LIMIT_LP] = "lp_limit is not unique, one of its vertices is shown";
    else
      status = find_offset(l, b, answer.dual, scale);
  }
done:
  tb_reference_free(context, &answer);
  tb_release(context, g);
  tb_release(context, z);
  tb_release(context, reduced_g);
  return status;
}
