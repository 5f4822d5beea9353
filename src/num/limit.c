/* The limit programme of natural gradient flow on separable data,
 *
 *     min g·b  s.t.  z_i·b ≥ 1,     Σ c_i z_i = g, c ≥ 0,
 *
 * and the offset of the flow β(t) = b t + b₁ + o(1).  The law Σ σ(−m_i) z_i = e^{−t} g leaves, on the active rows A,
 * Σ_A e^{−z_i·b₁} z_i = g: b₁ minimises the convex Σ_A e^{−z_i·u} + g·u, and c_i = e^{−z_i·b₁} is the dual the flow
 * picks when several are optimal (duplicate rows share).  With d independent active rows that is Z_A b₁ = −log c_A.
 * Directions in which no row has a component stay put: everything lives in the span of the rows. */
#include "num/linear.h"
#include "num/programme.h"
#include "num/reference.h"
#include "num/reference_parts.h"

#include <float.h>
#include <math.h>
#include <string.h>

typedef struct span {
  size_t n, d, r;  /* rows, dimensions, rank */
  double *vectors; /* r×d orthonormal rows; NULL when r = d (coordinates as they are) */
  double unit;     /* of the data, see tb_unit */
  double *z, *g;   /* n×r, r: rows and objective in coordinates of the span, times `unit` */
} span;

static void span_free(tb_context *context, span *s) {
  tb_release(context, s->vectors);
  tb_release(context, s->z);
  tb_release(context, s->g);
}

static tb_status span_new(tb_context *context, size_t n, size_t d, const double *z, const double *g, span *s) {
  *s = (span){ .n = n, .d = d, .unit = tb_unit(n * d, z) };
  size_t least = n < d ? n : d;
  double *copy = tb_allocate(context, n * d, sizeof *copy), *values = tb_allocate(context, least, sizeof *values);
  double *rows = tb_allocate(context, least * d, sizeof *rows);
  s->z = tb_allocate(context, n * d, sizeof *s->z);
  s->g = tb_allocate(context, d, sizeof *s->g);
  tb_status status = copy && values && rows && s->z && s->g ? TB_OK : TB_NO_MEMORY;
  if (status == TB_OK) {
    memcpy(copy, z, n * d * sizeof *copy);
    status = tb_singular_values(context, n, d, copy, values, NULL, rows);
  }
  if (status == TB_OK) {
    while (s->r < least && values[s->r] > (double)(n > d ? n : d) * DBL_EPSILON * values[0])
      s->r++;
    if (s->r == d) {
      memcpy(s->z, z, n * d * sizeof *z);
      memcpy(s->g, g, d * sizeof *g);
    } else {
      tb_gemm(false, true, n, s->r, d, 1, z, rows, 0, s->z);
      tb_gemv(false, s->r, d, 1, rows, g, 0, s->g);
      s->vectors = rows, rows = NULL;
      /* what of g lies outside? reuse copy: g − Vᵀ V g */
      memcpy(copy, g, d * sizeof *copy);
      tb_gemv(true, s->r, d, -1, s->vectors, s->g, 1, copy);
      if (tb_norm(d, copy) > 1e-10 * tb_norm(d, g))
        status = tb_fail(context, TB_FAILED, "limit programme", NULL,
                         "unbounded: the objective has a part outside the span of the rows");
    }
  }
  for (size_t k = 0; k < n * s->r && status == TB_OK; k++)
    s->z[k] *= s->unit;
  for (size_t j = 0; j < s->r && status == TB_OK; j++)
    s->g[j] *= s->unit;
  tb_release(context, rows);
  tb_release(context, values);
  tb_release(context, copy);
  return status;
}

static void span_to_full(const span *s, const double *p, double *b) {
  if (s->vectors)
    tb_gemv(true, s->r, s->d, 1, s->vectors, p, 0, b);
  else
    memcpy(b, p, s->d * sizeof *b);
  for (size_t j = 0; j < s->d; j++)
    b[j] *= s->unit;
}

/* Newton's method for  min_u Σ_A e^{−z_i·u} + g·u,  active rows za[k×r] of full column rank.  *found false when there
 * is no minimum in reach (some multiplier is forced to zero). */
static tb_status entropic_offset(tb_context *context, size_t k, size_t r, const double *za, const double *g, double *u,
                                 double *c, bool *found) {
  *found = false;
  double *gradient = tb_allocate(context, 4 * r, sizeof *gradient), *h = tb_allocate(context, r * r, sizeof *h);
  tb_status status = gradient && h ? TB_OK : TB_NO_MEMORY;
  double scale = fmax(tb_norm(r, g), DBL_MIN), last = INFINITY;
  double *step = gradient ? gradient + r : NULL, *trial = gradient ? gradient + 2 * r : NULL;
  for (int iteration = 0; iteration < 300 && status == TB_OK; iteration++) {
    memcpy(gradient, g, r * sizeof *gradient);
    memset(h, 0, r * r * sizeof *h);
    double value = tb_dot(r, g, u);
    for (size_t i = 0; i < k; i++) {
      const double *row = za + i * r;
      c[i] = exp(-tb_dot(r, row, u));
      value += c[i];
      for (size_t j = 0; j < r; j++) {
        gradient[j] = fma(-c[i], row[j], gradient[j]);
        for (size_t l = 0; l <= j; l++)
          h[j * r + l] = fma(c[i] * row[j], row[l], h[j * r + l]);
      }
    }
    double size = tb_norm(r, gradient);
    if (size <= 1e-13 * scale || (size <= 1e-11 * scale && size >= 0.5 * last)) {
      *found = true;
      break;
    }
    last = size;
    bool definite;
    status = tb_cholesky_factor(context, r, h, &definite);
    if (status != TB_OK || !definite)
      break;
    memcpy(step, gradient, r * sizeof *step);
    tb_cholesky_solve(r, h, 1, step);
    double slope = -tb_dot(r, gradient, step), length = 1;
    for (int halving = 0; halving < 60; halving++, length *= 0.5) {
      for (size_t j = 0; j < r; j++)
        trial[j] = fma(-length, step[j], u[j]);
      double there = tb_dot(r, g, trial);
      for (size_t i = 0; i < k; i++)
        there += exp(-tb_dot(r, za + i * r, trial));
      if (there <= value + 1e-4 * length * slope + 1e-14 * fabs(value))
        break;
    }
    memcpy(u, trial, r * sizeof *u);
    if (tb_norm(r, u) > 1e4) /* off to infinity */
      break;
  }
  tb_release(context, h);
  tb_release(context, gradient);
  return status;
}

/* Active rows and, where every one may carry a positive multiplier, the dual of the flow and the offset. */
static tb_status find_offset(tb_context *context, const span *s, const double *p, tb_reference *reference,
                             double *offset) {
  size_t n = s->n, r = s->r, k = 0;
  double *za = tb_allocate(context, n * r, sizeof *za), *c = tb_allocate(context, 2 * n, sizeof *c);
  double *u = tb_allocate(context, r, sizeof *u);
  size_t *active = tb_allocate(context, n, sizeof *active);
  double heaviest = 0, lightest = INFINITY;
  tb_status status = za && c && u && active ? TB_OK : TB_NO_MEMORY;
  if (status != TB_OK)
    goto end;
  for (size_t i = 0; i < n; i++) {
    double size = 1;
    for (size_t j = 0; j < r; j++)
      size += fabs(s->z[i * r + j] * p[j]);
    if (tb_row_dot(r, s->z + i * r, p) - 1 > 1e-11 * size)
      continue;
    memcpy(za + k * r, s->z + i * r, r * sizeof *za);
    heaviest = fmax(heaviest, reference->dual[i]);
    lightest = fmin(lightest, reference->dual[i]);
    active[k++] = i;
  }
  bool found = false;
  if (k == r && lightest > 1e-11 * heaviest) {
    for (size_t i = 0; i < k; i++)
      u[i] = -log(reference->dual[active[i]]);
    bool singular;
    status = tb_lu_solve(context, r, za, 1, u, &singular);
    found = status == TB_OK && !singular;
  } else if (k > r) {
    status = entropic_offset(context, k, r, za, s->g, u, c, &found);
    for (size_t i = 0; i < k && found; i++)
      reference->dual[active[i]] = c[i];
  }
  for (size_t j = 0; j < s->d && offset; j++)
    offset[j] = NAN;
  if (found && offset)
    span_to_full(s, u, offset);
end:
  tb_release(context, active);
  tb_release(context, u);
  tb_release(context, c);
  tb_release(context, za);
  return status;
}

static tb_status solve_in_span(tb_context *context, const span *s, tb_reference *reference, double *p) {
  size_t n = s->n, r = s->r;
  double *bounds = tb_allocate(context, 2 * (n + r), sizeof *bounds);
  tb_place *place = tb_allocate(context, n + r, sizeof *place);
  tb_status status = bounds && place ? TB_OK : TB_NO_MEMORY;
  if (status != TB_OK)
    goto end;
  double *row_low = bounds, *row_high = bounds + n, *low = row_high + n, *high = low + r;
  for (size_t i = 0; i < n; i++)
    row_low[i] = 1, row_high[i] = INFINITY;
  for (size_t j = 0; j < r; j++)
    low[j] = -INFINITY, high[j] = INFINITY;
  tb_programme programme = { n, r, s->g, s->z, row_low, row_high, low, high };
  tb_outcome outcome;
  status = tb_programme_solve(context, &programme, p, reference->dual, place, &outcome);
  if (status == TB_OK && outcome == TB_UNBOUNDED)
    status = tb_fail(context, TB_FAILED, "limit programme", NULL,
                     "unbounded: the objective is no conic combination of the rows");
  if (status == TB_OK && outcome == TB_INFEASIBLE)
    status = tb_fail(context, TB_FAILED, "limit programme", NULL, "the margin is too small to be told from rounding");
  if (status == TB_OK)
    status = tb_programme_unique(context, &programme, p, reference->dual, place, &reference->unique);
end:
  tb_release(context, place);
  tb_release(context, bounds);
  return status;
}

static double violation(size_t n, size_t d, const double *z, const double *g, const tb_reference *reference) {
  double worst = 0, heaviest = DBL_MIN, scale = fmax(tb_norm(d, g), DBL_MIN);
  for (size_t i = 0; i < n; i++)
    heaviest = fmax(heaviest, reference->dual[i]);
  for (size_t i = 0; i < n; i++) {
    double margin = tb_row_dot(d, z + i * d, reference->b);
    worst = fmax(worst, fmax(1 - margin, -reference->dual[i] / heaviest));
    worst = fmax(worst, fabs(reference->dual[i] * (margin - 1)) / fmax(fabs(reference->objective), heaviest));
  }
  for (size_t j = 0; j < d; j++) {
    long double sum = -(long double)g[j];
    for (size_t i = 0; i < n; i++)
      sum += (long double)z[i * d + j] * reference->dual[i];
    worst = fmax(worst, fabs((double)sum) / scale);
  }
  return worst;
}

tb_status tb_limit_programme(tb_context *context, size_t n, size_t d, const double *z, const double *g,
                             tb_reference *reference, double *offset) {
  tb_status status = tb_separability_check(context, n, d, z, reference);
  if (status != TB_OK || reference->separable == TB_NOT_SEPARABLE)
    return status;
  span s;
  double *p = tb_allocate(context, d, sizeof *p);
  status = span_new(context, n, d, z, g, &s);
  if (status == TB_OK && !p)
    status = TB_NO_MEMORY;
  if (status == TB_OK)
    status = solve_in_span(context, &s, reference, p);
  if (status != TB_OK)
    goto end;
  for (size_t i = 0; i < n; i++)
    reference->dual[i] = fmax(0, reference->dual[i]); /* rounding; `violation` has the last word */
  span_to_full(&s, p, reference->b);
  status = find_offset(context, &s, p, reference, offset);
  if (status != TB_OK)
    goto end;
  reference->objective = tb_row_dot(d, g, reference->b);
  reference->residual = violation(n, d, z, g, reference);
  if (!(reference->residual <= 1e-10))
    status = tb_fail(context, TB_FAILED, "limit programme", NULL, "optimality conditions hold only to %.3g",
                     reference->residual);
end:
  span_free(context, &s);
  tb_release(context, p);
  if (status != TB_OK)
    tb_reference_free(context, reference);
  return status;
}
