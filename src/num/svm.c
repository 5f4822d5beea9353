/* The hard-margin support vector machine  min ½‖b‖²  s.t.  z_i·b ≥ 1  by the dual active-set method of Goldfarb &
 * Idnani (1983), whose every iterate is optimal for the constraints it knows.
 *
 * With the active rows N (unit length) it keeps Q, R with Nᵀ = Q [R; 0].  The most violated row n enters:
 * d = Qᵀn, the primal moves along Q₂d₂, the multipliers along −R⁻¹d₁, until the row holds (it joins) or a multiplier
 * vanishes (its row leaves).  When neither can happen, n = N R⁻¹d₁ with no positive weight: a convex combination of
 * rows is zero, the certificate that the data is not separable.  Ties and duplicates need no care: a row that depends
 * on the active ones is never added beside them.  The last word has a fresh QR of the active rows with refinement in
 * long double. */
#include "num/blas.h"
#include "num/linear.h"
#include "num/reference.h"
#include "num/reference_parts.h"

#include <cblas.h>
#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

typedef struct machine {
  size_t n, d, q;                            /* rows, dimensions, active rows */
  double *unit;                              /* n×d: rows of length 1 */
  double *level;                             /* n: 1/‖z_i‖, what a unit row must reach */
  double *basis;                             /* d×d: row k is column k of Q */
  double *r;                                 /* d×d: column k of R in row k, entries 0..k */
  size_t *active;                            /* d */
  double *multiplier;                        /* d+1: of the active unit rows; the last for the row that enters */
  bool *is_active;                           /* n */
  double *b, *slack, *across, *along, *step; /* d, n, d, d, d */
} machine;

/* Column `from` of R and all behind it lose their subdiagonal after a column was taken out: Givens rotations. */
static void remove_active(machine *s, size_t position) {
  size_t d = s->d;
  s->is_active[s->active[position]] = false;
  for (size_t k = position; k + 1 < s->q; k++) {
    s->active[k] = s->active[k + 1];
    s->multiplier[k] = s->multiplier[k + 1];
    memcpy(s->r + k * d, s->r + (k + 1) * d, d * sizeof *s->r);
  }
  s->multiplier[s->q - 1] = s->multiplier[s->q];
  s->q--;
  for (size_t k = position; k < s->q; k++) {
    double x = s->r[k * d + k], y = s->r[k * d + k + 1], length = hypot(x, y);
    if (length == 0)
      continue;
    double cosine = x / length, sine = y / length;
    for (size_t j = k; j < s->q; j++) {
      double above = s->r[j * d + k], below = s->r[j * d + k + 1];
      s->r[j * d + k] = cosine * above + sine * below;
      s->r[j * d + k + 1] = cosine * below - sine * above;
    }
    cblas_drot((int)d, s->basis + k * d, 1, s->basis + (k + 1) * d, 1, cosine, sine);
  }
}

/* The row with coordinates `across` = Qᵀn joins: one reflection turns across[q..d) into a multiple of e_q. */
static void add_active(machine *s, size_t row) {
  size_t d = s->d, q = s->q, rest = d - q;
  double *tail = s->across + q, norm = tb_norm(rest, tail), first = tail[0];
  if (rest > 1 && norm > 0) {
    double *v = s->step, *dots = s->along; /* both free here */
    memcpy(v, tail, rest * sizeof *v);
    v[0] += copysign(norm, first);
    double scale = 1 / (norm * fabs(v[0]));
    tb_gemv(true, rest, d, 1, s->basis + q * d, v, 0, dots); /* Q₂ v */
    TB_BLAS(cblas_dger(CblasRowMajor, (int)rest, (int)d, -scale, v, 1, dots, 1, s->basis + q * d, (int)d));
    first = -copysign(norm, first);
  }
  memcpy(s->r + q * d, s->across, q * sizeof *s->r);
  s->r[q * d + q] = first;
  s->active[q] = row;
  s->is_active[row] = true;
  s->q++;
}

static size_t most_violated(machine *s) {
  double worst = 0;
  size_t found = s->n;
  double size = tb_norm(s->d, s->b);
  tb_gemv(false, s->n, s->d, 1, s->unit, s->b, 0, s->slack);
  for (size_t i = 0; i < s->n; i++) {
    double gap = (s->slack[i] - s->level[i]) / (s->level[i] + size);
    if (!s->is_active[i] && gap < worst)
      worst = gap, found = i;
  }
  return worst < -64 * DBL_EPSILON ? found : s->n;
}

typedef enum entry { ENTERED, BLOCKED_FOR_EVER } entry;

/* Brings in the row n, dropping others on the way. Infeasible: along = R⁻¹d₁ expresses n by the active rows. */
static entry enter(machine *s, size_t row) {
  size_t d = s->d;
  const double *normal = s->unit + row * d;
  s->multiplier[s->q] = 0;
  for (;;) {
    size_t q = s->q;
    tb_gemv(false, d, d, 1, s->basis, normal, 0, s->across); /* d = Qᵀ n */
    memcpy(s->along, s->across, q * sizeof *s->along);
    if (q > 0) /* R along = d₁; r row-major holds Rᵀ, lower */
      TB_BLAS(cblas_dtrsv(CblasRowMajor, CblasLower, CblasTrans, CblasNonUnit, (int)q, s->r, (int)d, s->along, 1));
    double free = tb_norm(d - q, s->across + q), longest = 1;
    for (size_t k = 0; k < q; k++)
      longest = fmax(longest, fabs(s->along[k]));
    bool dependent = free <= 1e-13 * longest;
    /* the longest step that keeps every multiplier ≥ 0 */
    double partial = INFINITY;
    size_t leaves = q;
    for (size_t k = 0; k < q; k++)
      if (s->along[k] > 1e-14 * longest && s->multiplier[k] / s->along[k] < partial) {
        partial = s->multiplier[k] / s->along[k];
        leaves = k;
      }
    double whole = INFINITY;
    if (!dependent) {
      double missing = s->level[row] - tb_dot(d, normal, s->b);
      whole = fmax(missing, 0) / (free * free);
    }
    if (isinf(partial) && isinf(whole))
      return BLOCKED_FOR_EVER;
    double t = fmin(partial, whole);
    if (!dependent) {
      tb_gemv(true, d - q, d, 1, s->basis + q * d, s->across + q, 0, s->step);
      for (size_t j = 0; j < d; j++)
        s->b[j] = fma(t, s->step[j], s->b[j]);
    }
    for (size_t k = 0; k < q; k++)
      s->multiplier[k] = fmax(0, fma(-t, s->along[k], s->multiplier[k]));
    s->multiplier[q] += t;
    if (whole <= partial) {
      add_active(s, row);
      return ENTERED;
    }
    remove_active(s, leaves);
  }
}

/* b and the multipliers from a fresh QR of Z_Aᵀ: b − Z_Aᵀ u = 0, Z_A b = 1, refined in long double. */
static tb_status polish(tb_context *context, const machine *s, const double *z, double *b, double *dual) {
  size_t d = s->d, q = s->q;
  memset(b, 0, d * sizeof *b);
  memset(dual, 0, s->n * sizeof *dual);
  if (q == 0)
    return TB_OK;
  double size;
  TB_BLAS(LAPACKE_dgeqrf_work(LAPACK_COL_MAJOR, (int)d, (int)q, NULL, (int)d, NULL, &size, -1));
  size_t room = (size_t)size + d + q;
  double *columns = tb_allocate(context, d * q, sizeof *columns), *tau = tb_allocate(context, q, sizeof *tau);
  double *work = tb_allocate(context, room, sizeof *work), *u = tb_allocate(context, q, sizeof *u);
  double *f = tb_allocate(context, d, sizeof *f), *g = tb_allocate(context, q, sizeof *g);
  tb_status status = columns && tau && work && u && f && g ? TB_OK : TB_NO_MEMORY;
  if (status != TB_OK)
    goto end;
  for (size_t k = 0; k < q; k++)
    memcpy(columns + k * d, z + s->active[k] * d, d * sizeof *columns);
  TB_BLAS(LAPACKE_dgeqrf_work(LAPACK_COL_MAJOR, (int)d, (int)q, columns, (int)d, tau, work, (int)room));
  for (int round = 0; round < 4; round++) {
    /* residuals f = Z_Aᵀu − b, g = 1 − Z_A b */
    for (size_t j = 0; j < d; j++) {
      long double sum = -(long double)b[j];
      for (size_t k = 0; k < q; k++)
        sum += (long double)z[s->active[k] * d + j] * u[k];
      f[j] = (double)sum;
    }
    for (size_t k = 0; k < q; k++) {
      long double sum = 1;
      for (size_t j = 0; j < d; j++)
        sum -= (long double)z[s->active[k] * d + j] * b[j];
      g[k] = (double)sum;
    }
    /* Z_Aᵀ = Q [R; 0]: with Qᵀδb = (h₁, h₂), Qᵀf = (f₁, f₂):  Rᵀh₁ = g, h₂ = f₂, R δu = h₁ − f₁ */
    TB_BLAS(LAPACKE_dormqr_work(LAPACK_COL_MAJOR, 'L', 'T', (int)d, 1, (int)q, columns, (int)d, tau, f, (int)d, work,
                                (int)room));
    TB_BLAS(LAPACKE_dtrtrs_work(LAPACK_COL_MAJOR, 'U', 'T', 'N', (int)q, 1, columns, (int)d, g, (int)q));
    for (size_t k = 0; k < q; k++) {
      double h = g[k];
      g[k] = h - f[k];
      f[k] = h;
    }
    TB_BLAS(LAPACKE_dtrtrs_work(LAPACK_COL_MAJOR, 'U', 'N', 'N', (int)q, 1, columns, (int)d, g, (int)q));
    TB_BLAS(LAPACKE_dormqr_work(LAPACK_COL_MAJOR, 'L', 'N', (int)d, 1, (int)q, columns, (int)d, tau, f, (int)d, work,
                                (int)room));
    for (size_t j = 0; j < d; j++)
      b[j] += f[j];
    for (size_t k = 0; k < q; k++)
      u[k] += g[k];
  }
  for (size_t k = 0; k < q; k++)
    dual[s->active[k]] = u[k];
end:
  tb_release(context, g);
  tb_release(context, f);
  tb_release(context, u);
  tb_release(context, work);
  tb_release(context, tau);
  tb_release(context, columns);
  return status;
}

static double largest_violation(size_t n, size_t d, const double *z, const double *b, const double *dual,
                                double objective) {
  double worst = 0, heaviest = 0, length = tb_norm(d, b);
  for (size_t i = 0; i < n; i++) {
    double margin = tb_row_dot(d, z + i * d, b);
    worst = fmax(worst, 1 - margin);
    worst = fmax(worst, fabs(dual[i] * (margin - 1)) / fmax(2 * objective, DBL_MIN));
    heaviest = fmax(heaviest, dual[i]);
  }
  for (size_t i = 0; i < n; i++)
    worst = fmax(worst, -dual[i] / fmax(heaviest, DBL_MIN));
  for (size_t j = 0; j < d; j++) {
    long double sum = b[j];
    for (size_t i = 0; i < n; i++)
      sum -= (long double)dual[i] * z[i * d + j];
    worst = fmax(worst, fabs((double)sum) / fmax(length, DBL_MIN));
  }
  return worst;
}

/* Unit rows; false when one is zero. */
static bool load(machine *s, const double *z) {
  for (size_t i = 0; i < s->n; i++) {
    double norm = tb_norm(s->d, z + i * s->d);
    if (norm == 0)
      return false;
    s->level[i] = 1 / norm;
    for (size_t j = 0; j < s->d; j++)
      s->unit[i * s->d + j] = z[i * s->d + j] / norm;
  }
  for (size_t k = 0; k < s->d; k++)
    s->basis[k * s->d + k] = 1;
  return true;
}

static tb_status machine_new(tb_context *context, size_t n, size_t d, machine *s) {
  *s = (machine){ .n = n, .d = d };
  s->unit = tb_allocate(context, n * d, sizeof *s->unit);
  s->level = tb_allocate(context, 2 * n, sizeof *s->level);
  s->basis = tb_allocate(context, 2 * d * d, sizeof *s->basis);
  s->active = tb_allocate(context, d, sizeof *s->active);
  s->is_active = tb_allocate(context, n, sizeof *s->is_active);
  s->multiplier = tb_allocate(context, 5 * d + 1, sizeof *s->multiplier);
  if (!s->unit || !s->level || !s->basis || !s->active || !s->is_active || !s->multiplier)
    return TB_NO_MEMORY;
  s->slack = s->level + n;
  s->r = s->basis + d * d;
  s->b = s->multiplier + d + 1, s->across = s->b + d, s->along = s->across + d, s->step = s->along + d;
  return TB_OK;
}

static void machine_free(tb_context *context, machine *s) {
  tb_release(context, s->multiplier);
  tb_release(context, s->is_active);
  tb_release(context, s->active);
  tb_release(context, s->basis);
  tb_release(context, s->level);
  tb_release(context, s->unit);
}

/* b and dual (zeroed rooms of d and n); *solved false when the rows are not separable or nearly so. */
tb_status tb_svm_attempt(tb_context *context, size_t n, size_t d, const double *z, double *b, double *dual,
                         bool *solved) {
  machine s;
  tb_status status = machine_new(context, n, d, &s);
  size_t most = 50 * (n + d) + 1000, row = n;
  *solved = false;
  if (status == TB_OK && load(&s, z)) {
    *solved = true;
    for (size_t step = 0; *solved && (row = most_violated(&s)) < n; step++)
      *solved = step < most && enter(&s, row) == ENTERED;
  }
  if (*solved)
    status = polish(context, &s, z, b, dual);
  machine_free(context, &s);
  return status;
}

tb_status tb_svm_l2(tb_context *context, size_t n, size_t d, const double *z, tb_reference *reference) {
  tb_status status = tb_reference_begin(context, "l2 SVM", n, d, z, reference);
  if (status != TB_OK)
    return status;
  bool solved;
  status = tb_svm_attempt(context, n, d, z, reference->b, reference->dual, &solved);
  if (status != TB_OK)
    goto end;
  if (!solved) {
    status = tb_certify(context, n, d, z, reference);
    if (status == TB_OK && reference->separable == TB_SEPARABLE)
      status = tb_fail(context, TB_FAILED, "l2 SVM", NULL, "the margin is too small to be told from rounding");
    goto end;
  }
  double heaviest = 0, square = 0;
  for (size_t i = 0; i < n; i++)
    heaviest = fmax(heaviest, reference->dual[i]);
  for (size_t i = 0; i < n; i++) /* a tie: the multiplier is zero and rounding made it negative */
    if (reference->dual[i] < 0 && reference->dual[i] > -1e-12 * heaviest)
      reference->dual[i] = 0;
  for (size_t j = 0; j < d; j++)
    square = fma(reference->b[j], reference->b[j], square);
  reference->objective = 0.5 * square;
  reference->unique = true;
  reference->residual = largest_violation(n, d, z, reference->b, reference->dual, reference->objective);
  if (!(reference->residual <= 1e-10))
    status =
        tb_fail(context, TB_FAILED, "l2 SVM", NULL, "optimality conditions hold only to %.3g", reference->residual);
end:
  if (status != TB_OK)
    tb_reference_free(context, reference);
  return status;
}
