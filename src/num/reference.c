/* The linear programmes among the references, each with its dual, the largest violation of its optimality conditions
 * (evaluated in long double on the problem as stated) and a verdict on uniqueness. */
#include "num/reference.h"
#include "num/linear.h"
#include "num/programme.h"
#include "num/reference_parts.h"

#include <float.h>
#include <math.h>
#include <string.h>

void tb_reference_free(tb_context *context, tb_reference *reference) {
  tb_release(context, reference->b);
  tb_release(context, reference->dual);
  reference->b = reference->dual = NULL;
}

tb_status tb_reference_begin(tb_context *context, const char *place, size_t n, size_t d, const double *z,
                             tb_reference *reference) {
  *reference = (tb_reference){ .separable = TB_SEPARABLE };
  for (size_t i = 0; i < n * d; i++)
    if (!isfinite(z[i]))
      return tb_fail(context, TB_FAILED, place, NULL, "row %zu has an entry that is not finite", i / d);
  reference->b = tb_allocate(context, d, sizeof *reference->b);
  reference->dual = tb_allocate(context, n, sizeof *reference->dual);
  if (reference->b && reference->dual)
    return TB_OK;
  tb_reference_free(context, reference);
  return TB_NO_MEMORY;
}

double tb_unit(size_t count, const double *entries) {
  double largest = 0;
  int exponent;
  for (size_t k = 0; k < count; k++)
    largest = fmax(largest, fabs(entries[k]));
  frexp(largest, &exponent);
  return ldexp(1, -exponent);
}

double tb_row_dot(size_t d, const double *x, const double *y) {
  long double sum = 0;
  for (size_t j = 0; j < d; j++)
    sum += (long double)x[j] * y[j];
  return (double)sum;
}

/* (Zᵀ c)_j */
static double column_dot(size_t n, size_t d, const double *z, size_t j, const double *c) {
  long double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += (long double)z[i * d + j] * c[i];
  return (double)sum;
}

/* ---- one programme with its room ---- */

typedef struct linear_problem {
  tb_programme p;
  double *c, *a, *row_low, *row_high, *low, *high, *x, *dual;
  tb_place *place;
  tb_outcome outcome;
} linear_problem;

static void problem_free(tb_context *context, linear_problem *l) {
  tb_release(context, l->place);
  tb_release(context, l->a);
  tb_release(context, l->c);
  *l = (linear_problem){ 0 }; /* freed once, whoever asks again */
}

/* m rows ≥ 0 and n columns ≥ 0 to begin with, all coefficients zero. */
static tb_status problem_new(tb_context *context, size_t m, size_t n, linear_problem *l) {
  *l = (linear_problem){ 0 };
  l->c = tb_allocate(context, 4 * n + 3 * m, sizeof *l->c);
  l->a = tb_allocate(context, m * n, sizeof *l->a);
  l->place = tb_allocate(context, m + n, sizeof *l->place);
  if (!l->c || !l->a || !l->place) {
    problem_free(context, l);
    return TB_NO_MEMORY;
  }
  l->low = l->c + n, l->high = l->low + n, l->x = l->high + n;
  l->row_low = l->x + n, l->row_high = l->row_low + m, l->dual = l->row_high + m;
  for (size_t j = 0; j < n; j++)
    l->high[j] = INFINITY;
  for (size_t i = 0; i < m; i++)
    l->row_high[i] = INFINITY;
  l->p = (tb_programme){ m, n, l->c, l->a, l->row_low, l->row_high, l->low, l->high };
  return TB_OK;
}

static tb_status problem_solve(tb_context *context, linear_problem *l) {
  return tb_programme_solve(context, &l->p, l->x, l->dual, l->place, &l->outcome);
}

static tb_status problem_unique(tb_context *context, linear_problem *l, bool *unique) {
  return tb_programme_unique(context, &l->p, l->x, l->dual, l->place, unique);
}

/* ---- separability ---- */

/* The certificate is in dual: there is no b. */
static void not_separable(tb_context *context, size_t n, size_t d, const double *z, tb_reference *reference) {
  for (size_t j = 0; j < d; j++)
    reference->residual = fmax(reference->residual, fabs(column_dot(n, d, z, j, reference->dual)));
  reference->separable = TB_NOT_SEPARABLE;
  reference->objective = INFINITY;
  tb_release(context, reference->b);
  reference->b = NULL;
}

/* Whether every margin is positive beyond any rounding of its sum; the least of them. */
static bool separates(size_t n, size_t d, const double *z, const double *b, double *least) {
  *least = INFINITY;
  for (size_t i = 0; i < n; i++) {
    double margin = tb_row_dot(d, z + i * d, b), size = 0;
    for (size_t j = 0; j < d; j++)
      size += fabs(z[i * d + j] * b[j]);
    if (!(margin > 4 * DBL_EPSILON * size))
      return false;
    *least = fmin(*least, margin);
  }
  return true;
}

/* max t  s.t.  ẑ_i·b ≥ t, |b_j| ≤ 1, t ≤ 1 with ẑ_i = z_i / ‖z_i‖.  Positive margins settle it one way; else t = 0 and
 * the multipliers are the certificate. */
tb_status tb_certify(tb_context *context, size_t n, size_t d, const double *z, tb_reference *reference) {
  linear_problem l;
  tb_status status = problem_new(context, n, d + 1, &l);
  if (status != TB_OK)
    return status;
  memset(reference->dual, 0, n * sizeof *reference->dual);
  for (size_t i = 0; i < n; i++) {
    double norm = tb_norm(d, z + i * d);
    if (norm == 0) {
      reference->dual[i] = 1;
      not_separable(context, n, d, z, reference);
      goto end;
    }
    for (size_t j = 0; j < d; j++)
      l.a[i * (d + 1) + j] = z[i * d + j] / norm;
    l.a[i * (d + 1) + d] = -1;
  }
  for (size_t j = 0; j < d; j++)
    l.low[j] = -1, l.high[j] = 1;
  l.low[d] = -1, l.high[d] = 1, l.c[d] = -1;
  status = problem_solve(context, &l);
  if (status != TB_OK)
    goto end;
  double least, total = 0;
  if (l.outcome == TB_OPTIMAL && separates(n, d, z, l.x, &least)) {
    for (size_t j = 0; j < d; j++)
      reference->b[j] = n > 0 ? l.x[j] / least : 0;
    goto end;
  }
  for (size_t i = 0; i < n; i++) {
    reference->dual[i] = fmax(0, l.dual[i]) / tb_norm(d, z + i * d);
    total += reference->dual[i];
  }
  for (size_t i = 0; i < n; i++)
    reference->dual[i] /= total;
  not_separable(context, n, d, z, reference);
end:
  problem_free(context, &l);
  return status;
}

/* The hard-margin machine first: where it finds a separator, that is proof, and far cheaper than the programme. */
tb_status tb_separability_check(tb_context *context, size_t n, size_t d, const double *z, tb_reference *reference) {
  tb_status status = tb_reference_begin(context, "separability", n, d, z, reference);
  if (status != TB_OK)
    return status;
  bool solved = false;
  double least;
  status = tb_svm_attempt(context, n, d, z, reference->b, reference->dual, &solved);
  if (status == TB_OK && !(solved && separates(n, d, z, reference->b, &least)))
    status = tb_certify(context, n, d, z, reference);
  else
    memset(reference->dual, 0, n * sizeof *reference->dual);
  if (status != TB_OK)
    tb_reference_free(context, reference);
  return status;
}

/* Goes on only with separable data: TB_OK and *go. */
static tb_status begin_separable(tb_context *context, size_t n, size_t d, const double *z, tb_reference *reference,
                                 bool *go) {
  tb_status status = tb_separability_check(context, n, d, z, reference);
  *go = status == TB_OK && reference->separable == TB_SEPARABLE;
  return status;
}

static tb_status not_solved(tb_context *context, const char *place, tb_outcome outcome) {
  return tb_fail(context, TB_FAILED, place, NULL, "the linear programme is %s",
                 outcome == TB_INFEASIBLE ? "infeasible within rounding" : "unbounded");
}

static tb_status accept(tb_context *context, const char *place, const tb_reference *reference) {
  return reference->residual <= 1e-10
             ? TB_OK
             : tb_fail(context, TB_FAILED, place, NULL, "optimality conditions hold only to %.3g", reference->residual);
}

/* Violations that all margin problems share: margins, signs, complementarity (relative to the objective). */
static double margin_violation(size_t n, size_t d, const double *z, const tb_reference *reference) {
  double worst = 0, heaviest = 0, scale = fmax(fabs(reference->objective), DBL_MIN);
  for (size_t i = 0; i < n; i++)
    heaviest = fmax(heaviest, reference->dual[i]);
  for (size_t i = 0; i < n; i++) {
    double margin = tb_row_dot(d, z + i * d, reference->b);
    worst = fmax(worst, 1 - margin);
    worst = fmax(worst, fabs(reference->dual[i] * (margin - 1)) / scale);
    worst = fmax(worst, -reference->dual[i] / fmax(heaviest, DBL_MIN));
  }
  return worst;
}

static void clip_rounding(size_t n, double *dual) {
  double heaviest = 0;
  for (size_t i = 0; i < n; i++)
    heaviest = fmax(heaviest, dual[i]);
  for (size_t i = 0; i < n; i++)
    if (dual[i] < 0 && dual[i] > -1e-12 * heaviest)
      dual[i] = 0;
}

/* ---- ℓ1 and ℓ∞ margins ---- */

/* b = p − q, p, q ≥ 0:  min Σ (p + q)  s.t.  Z (p − q) ≥ 1;  dual max Σ c  s.t.  |Zᵀc| ≤ 1. */
tb_status tb_svm_l1(tb_context *context, size_t n, size_t d, const double *z, tb_reference *reference) {
  bool go;
  tb_status status = begin_separable(context, n, d, z, reference, &go);
  if (!go)
    return status;
  linear_problem l;
  const double unit = tb_unit(n * d, z);
  status = problem_new(context, n, 2 * d, &l);
  if (status != TB_OK)
    goto end;
  for (size_t j = 0; j < 2 * d; j++)
    l.c[j] = 1;
  for (size_t i = 0; i < n; i++) {
    l.row_low[i] = 1;
    for (size_t j = 0; j < d; j++) {
      l.a[i * 2 * d + j] = unit * z[i * d + j];
      l.a[i * 2 * d + d + j] = -unit * z[i * d + j];
    }
  }
  status = problem_solve(context, &l);
  if (status == TB_OK && l.outcome != TB_OPTIMAL)
    status = not_solved(context, "l1 SVM", l.outcome);
  if (status == TB_OK)
    status = problem_unique(context, &l, &reference->unique);
  if (status != TB_OK)
    goto end;
  double dual_sum = 0;
  reference->objective = 0;
  for (size_t j = 0; j < d; j++) {
    reference->b[j] = unit * (l.x[j] - l.x[d + j]);
    reference->objective += fabs(reference->b[j]);
  }
  clip_rounding(n, l.dual);
  for (size_t i = 0; i < n; i++)
    reference->dual[i] = unit * l.dual[i];
  for (size_t i = 0; i < n; i++)
    dual_sum += reference->dual[i];
  double worst = margin_violation(n, d, z, reference);
  for (size_t j = 0; j < d; j++)
    worst = fmax(worst, fabs(column_dot(n, d, z, j, reference->dual)) - 1);
  worst = fmax(worst, fabs(dual_sum - reference->objective) / fmax(reference->objective, DBL_MIN));
  reference->residual = worst;
  status = accept(context, "l1 SVM", reference);
end:
  problem_free(context, &l);
  if (status != TB_OK)
    tb_reference_free(context, reference);
  return status;
}

/* min t  s.t.  Z b ≥ 1, t − b_j ≥ 0, t + b_j ≥ 0;  dual max Σ c  s.t.  ‖Zᵀc‖₁ ≤ 1. */
tb_status tb_svm_linf(tb_context *context, size_t n, size_t d, const double *z, tb_reference *reference) {
  bool go;
  tb_status status = begin_separable(context, n, d, z, reference, &go);
  if (!go)
    return status;
  linear_problem l;
  const double unit = tb_unit(n * d, z);
  size_t wide = d + 1;
  status = problem_new(context, n + 2 * d, wide, &l);
  if (status != TB_OK)
    goto end;
  l.c[d] = 1;
  for (size_t j = 0; j < d; j++) {
    l.low[j] = -INFINITY;
    l.a[(n + j) * wide + j] = -1;
    l.a[(n + d + j) * wide + j] = 1;
    l.a[(n + j) * wide + d] = l.a[(n + d + j) * wide + d] = 1;
  }
  for (size_t i = 0; i < n; i++) {
    l.row_low[i] = 1;
    for (size_t j = 0; j < d; j++)
      l.a[i * wide + j] = unit * z[i * d + j];
  }
  status = problem_solve(context, &l);
  if (status == TB_OK && l.outcome != TB_OPTIMAL)
    status = not_solved(context, "linf SVM", l.outcome);
  if (status == TB_OK)
    status = problem_unique(context, &l, &reference->unique);
  if (status != TB_OK)
    goto end;
  double dual_sum = 0, dual_norm = 0;
  for (size_t j = 0; j < d; j++)
    reference->b[j] = unit * l.x[j];
  reference->objective = 0;
  for (size_t j = 0; j < d; j++)
    reference->objective = fmax(reference->objective, fabs(reference->b[j]));
  clip_rounding(n, l.dual);
  for (size_t i = 0; i < n; i++)
    reference->dual[i] = unit * l.dual[i];
  for (size_t i = 0; i < n; i++)
    dual_sum += reference->dual[i];
  for (size_t j = 0; j < d; j++)
    dual_norm += fabs(column_dot(n, d, z, j, reference->dual));
  double worst = fmax(margin_violation(n, d, z, reference), dual_norm - 1);
  reference->residual = fmax(worst, fabs(dual_sum - reference->objective) / fmax(reference->objective, DBL_MIN));
  status = accept(context, "linf SVM", reference);
end:
  problem_free(context, &l);
  if (status != TB_OK)
    tb_reference_free(context, reference);
  return status;
}

/* ---- interpolation ---- */

static double misfit(size_t n, size_t d, const double *x, const double *y, const double *b) {
  double worst = 0;
  for (size_t i = 0; i < n; i++)
    worst = fmax(worst, fabs(tb_row_dot(d, x + i * d, b) - y[i]));
  return worst;
}

static double largest_entry(size_t n, const double *y) {
  double largest = 0;
  for (size_t i = 0; i < n; i++)
    largest = fmax(largest, fabs(y[i]));
  return largest;
}

tb_status tb_interpolate_l2(tb_context *context, size_t n, size_t d, const double *x, const double *y,
                            tb_reference *reference) {
  tb_status status = tb_reference_begin(context, "l2 interpolation", n, d, x, reference);
  if (status != TB_OK)
    return status;
  double *rest = tb_allocate(context, n + d * n + 1, sizeof *rest), *change = tb_allocate(context, n + d, sizeof *rest);
  double *across = rest ? rest + n : NULL, scale = fmax(largest_entry(n, y), DBL_MIN);
  if (!rest || !change)
    status = TB_NO_MEMORY;
  for (int round = 0; round < 3 && status == TB_OK; round++) { /* b += X⁺(y − X b) */
    for (size_t i = 0; i < n; i++) {
      long double sum = y[i];
      for (size_t j = 0; j < d; j++)
        sum -= (long double)x[i * d + j] * reference->b[j];
      rest[i] = (double)sum;
    }
    status = tb_least_squares(context, n, d, x, 1, rest, 0, change, NULL, NULL);
    for (size_t j = 0; j < d && status == TB_OK; j++)
      reference->b[j] += change[j];
  }
  if (status == TB_OK && misfit(n, d, x, y, reference->b) > 1e-10 * scale)
    status = tb_fail(context, TB_FAILED, "l2 interpolation", NULL, "the equations are inconsistent (misfit %.3g)",
                     misfit(n, d, x, y, reference->b));
  if (status != TB_OK)
    goto end;
  /* b = Xᵀ λ */
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < d; j++)
      across[j * n + i] = x[i * d + j];
  status = tb_least_squares(context, d, n, across, 1, reference->b, 0, reference->dual, NULL, NULL);
  double length = fmax(tb_norm(d, reference->b), DBL_MIN);
  reference->objective = tb_norm(d, reference->b);
  reference->unique = true;
  reference->residual = misfit(n, d, x, y, reference->b) / scale;
  for (size_t j = 0; j < d; j++)
    reference->residual =
        fmax(reference->residual, fabs(column_dot(n, d, x, j, reference->dual) - reference->b[j]) / length);
end:
  tb_release(context, change);
  tb_release(context, rest);
  if (status != TB_OK)
    tb_reference_free(context, reference);
  return status;
}

/* b = p − q:  min Σ (p + q)  s.t.  X (p − q) = y;  dual max λ·y  s.t.  |Xᵀλ| ≤ 1. */
tb_status tb_interpolate_l1(tb_context *context, size_t n, size_t d, const double *x, const double *y,
                            tb_reference *reference) {
  /* the ℓ2 solution tells whether the equations are consistent */
  tb_status status = tb_interpolate_l2(context, n, d, x, y, reference);
  if (status != TB_OK)
    return status;
  linear_problem l;
  const double unit = tb_unit(n * d, x), height = tb_unit(n, y);
  status = problem_new(context, n, 2 * d, &l);
  if (status != TB_OK)
    goto end;
  for (size_t j = 0; j < 2 * d; j++)
    l.c[j] = 1;
  for (size_t i = 0; i < n; i++) {
    l.row_low[i] = l.row_high[i] = height * y[i];
    for (size_t j = 0; j < d; j++) {
      l.a[i * 2 * d + j] = unit * x[i * d + j];
      l.a[i * 2 * d + d + j] = -unit * x[i * d + j];
    }
  }
  status = problem_solve(context, &l);
  if (status == TB_OK && l.outcome != TB_OPTIMAL)
    status = not_solved(context, "l1 interpolation", l.outcome);
  if (status == TB_OK)
    status = problem_unique(context, &l, &reference->unique);
  if (status != TB_OK)
    goto end;
  double dual_value = 0;
  reference->objective = 0;
  for (size_t j = 0; j < d; j++) {
    reference->b[j] = unit / height * (l.x[j] - l.x[d + j]);
    reference->objective += fabs(reference->b[j]);
  }
  for (size_t i = 0; i < n; i++)
    reference->dual[i] = unit * l.dual[i];
  for (size_t i = 0; i < n; i++)
    dual_value = fma(reference->dual[i], y[i], dual_value);
  double worst = misfit(n, d, x, y, reference->b) / fmax(largest_entry(n, y), DBL_MIN);
  for (size_t j = 0; j < d; j++)
    worst = fmax(worst, fabs(column_dot(n, d, x, j, reference->dual)) - 1);
  reference->residual = fmax(worst, fabs(dual_value - reference->objective) / fmax(reference->objective, DBL_MIN));
  status = accept(context, "l1 interpolation", reference);
end:
  problem_free(context, &l);
  if (status != TB_OK)
    tb_reference_free(context, reference);
  return status;
}
