/* Nuclear-norm completion by the alternating direction method of multipliers (Boyd et al. 2011, section 3), certified
 * by weak duality.
 *
 *     min ‖Z‖_* + [X agrees with the data],  X = Z
 *     X ← the matrix nearest to Z − U that agrees: the data where observed, or Z − U + Aᵀ(AAᵀ)⁻¹(y − A(Z − U))
 *     Z ← shrink(X̂ + U, 1/ρ),  U ← X̂ + U − Z,     X̂ = α X + (1 − α) Z
 *
 * shrink lowers every singular value; what it takes away, ρU, has spectral norm ≤ 1 by construction.  Its part Λ = Σ
 * λ_k A_k in the span of the measurements, scaled to norm ≤ 1, is feasible for the dual  max Σ λ_k·value_k,  and X is
 * feasible for the primal: their gap bounds the error whatever the iteration did. */
#include "num/nuclear.h"
#include "num/linear.h"

#include <math.h>
#include <string.h>

enum { CERTIFY_EVERY = 10, BALANCE_EVERY = 10, BALANCE_UNTIL = 300 };
static const double RELAXATION = 1.6;

typedef struct splitting {
  size_t rows, cols, size, least; /* size = rows·cols, least = min(rows, cols) */
  double rho;
  double *x, *z, *u, *z_old, *work, *left, *right, *values;
} splitting;

/* What W must agree with: entries at `place`, or products with dense matrices. */
typedef struct agreement {
  size_t count, size;
  const size_t *place; /* count; NULL: dense */
  const double *dense; /* count×size */
  const double *value; /* count */
  double *gram;        /* count×count: Cholesky factor of AAᵀ */
  double *multipliers; /* count */
} agreement;

static tb_status agreement_of_dense(tb_context *context, size_t count, size_t size, const double *dense,
                                    const double *value, agreement *a) {
  *a = (agreement){ .count = count, .size = size, .dense = dense, .value = value };
  a->gram = tb_allocate(context, count * count + count, sizeof *a->gram);
  if (!a->gram)
    return TB_NO_MEMORY;
  a->multipliers = a->gram + count * count;
  tb_gemm(false, true, count, count, size, 1, dense, dense, 0, a->gram);
  double norm = 0;
  for (size_t i = 0; i < count; i++) {
    double sum = 0;
    for (size_t j = 0; j < count; j++)
      sum += fabs(a->gram[i * count + j]);
    norm = fmax(norm, sum);
  }
  bool definite;
  tb_status status = tb_cholesky_factor(context, count, a->gram, &definite);
  if (status == TB_OK && !(definite && tb_cholesky_rcond(context, count, a->gram, norm) > 1e-12))
    status = tb_fail(context, TB_FAILED, "nuclear norm", NULL, "the measurements depend on one another");
  return status;
}

/* multipliers ← (AAᵀ)⁻¹(value − A x), or −(AAᵀ)⁻¹A x */
static void solve_gram(agreement *a, const double *x, bool with_value) {
  for (size_t k = 0; k < a->count; k++)
    a->multipliers[k] = with_value ? a->value[k] : 0;
  tb_gemv(false, a->count, a->size, -1, a->dense, x, 1, a->multipliers);
  tb_cholesky_solve(a->count, a->gram, 1, a->multipliers);
}

/* The nearest matrix that agrees; twice, so that a dense one agrees to rounding. */
static void agree(agreement *a, double *x) {
  for (size_t k = 0; a->place && k < a->count; k++)
    x[a->place[k]] = a->value[k];
  for (int twice = 0; !a->place && twice < 2; twice++) {
    solve_gram(a, x, true);
    tb_gemv(true, a->count, a->size, 1, a->dense, a->multipliers, 1, x);
  }
}

/* multipliers of the part of g in the span of the measurements, and that part. */
static void span_part(agreement *a, const double *g, double *multipliers, double *part) {
  memset(part, 0, a->size * sizeof *part);
  if (a->place) {
    for (size_t k = 0; k < a->count; k++) { /* an entry given again carries no second multiplier */
      multipliers[k] = part[a->place[k]] == 0 ? g[a->place[k]] : 0;
      part[a->place[k]] = g[a->place[k]];
    }
    return;
  }
  solve_gram(a, g, false);
  for (size_t k = 0; k < a->count; k++)
    multipliers[k] = -a->multipliers[k];
  tb_gemv(true, a->count, a->size, 1, a->dense, multipliers, 0, part);
}

static tb_status splitting_new(tb_context *context, size_t rows, size_t cols, splitting *s) {
  *s = (splitting){ .rows = rows, .cols = cols, .size = rows * cols, .least = rows < cols ? rows : cols };
  s->x = tb_allocate(context, 5 * s->size + s->least * (rows + cols + 1), sizeof *s->x);
  if (!s->x)
    return TB_NO_MEMORY;
  s->z = s->x + s->size, s->u = s->z + s->size, s->z_old = s->u + s->size, s->work = s->z_old + s->size;
  s->left = s->work + s->size, s->right = s->left + rows * s->least, s->values = s->right + cols * s->least;
  return TB_OK;
}

static tb_status spectrum(tb_context *context, splitting *s, const double *matrix) {
  memcpy(s->work, matrix, s->size * sizeof *s->work);
  return tb_singular_values(context, s->rows, s->cols, s->work, s->values, NULL, NULL);
}

/* z = shrink(u, 1/ρ), u −= z */
static tb_status shrink(tb_context *context, splitting *s) {
  memcpy(s->work, s->u, s->size * sizeof *s->work);
  tb_status status = tb_singular_values(context, s->rows, s->cols, s->work, s->values, s->left, s->right);
  if (status != TB_OK)
    return status;
  size_t rank = 0;
  while (rank < s->least && s->values[rank] > 1 / s->rho)
    rank++;
  /* left[rows×least] columns scaled, right[least×cols]: only the first `rank` count */
  for (size_t i = 0; i < s->rows; i++)
    for (size_t k = 0; k < rank; k++)
      s->work[i * rank + k] = s->left[i * s->least + k] * (s->values[k] - 1 / s->rho);
  tb_gemm(false, false, s->rows, s->cols, rank, 1, s->work, s->right, 0, s->z);
  for (size_t k = 0; k < s->size; k++)
    s->u[k] -= s->z[k];
  return TB_OK;
}

static tb_status iterate(tb_context *context, splitting *s, agreement *a, bool balance) {
  memcpy(s->z_old, s->z, s->size * sizeof *s->z);
  for (size_t k = 0; k < s->size; k++)
    s->x[k] = s->z[k] - s->u[k];
  agree(a, s->x);
  for (size_t k = 0; k < s->size; k++)
    s->u[k] += fma(RELAXATION, s->x[k] - s->z[k], s->z[k]);
  tb_status status = shrink(context, s);
  if (status != TB_OK || !balance)
    return status;
  /* primal residual ‖X − Z‖ against dual ρ‖Z − Z_old‖ */
  double apart = 0, moved = 0;
  for (size_t k = 0; k < s->size; k++) {
    apart += (s->x[k] - s->z[k]) * (s->x[k] - s->z[k]);
    moved += (s->z[k] - s->z_old[k]) * (s->z[k] - s->z_old[k]);
  }
  double ratio = sqrt(apart) / (sqrt(moved) + 1e-300), spread = tb_norm(s->size, s->z),
         strength = tb_norm(s->size, s->u);
  ratio *= strength / (spread + 1e-300); /* each relative to its own size: ‖Z‖ and ρ‖U‖ */
  double factor = ratio > 5 ? 2 : ratio < 0.2 ? 0.5 : 1;
  s->rho *= factor;
  for (size_t k = 0; k < s->size; k++)
    s->u[k] /= factor;
  return TB_OK;
}

/* Objective, dual bound and gap of the present point. */
static tb_status certify(tb_context *context, splitting *s, agreement *a, tb_nuclear *n) {
  tb_status status = spectrum(context, s, s->x);
  if (status != TB_OK)
    return status;
  n->objective = 0;
  for (size_t k = 0; k < s->least; k++)
    n->objective += s->values[k];
  span_part(a, s->u, n->dual, s->z_old);
  status = spectrum(context, s, s->z_old);
  if (status != TB_OK)
    return status;
  double scale = s->values[0] > 0 ? 1 / s->values[0] : 0;
  n->bound = 0;
  for (size_t k = 0; k < a->count; k++) {
    n->dual[k] *= scale;
    n->bound = fma(n->dual[k], a->value[k], n->bound);
  }
  n->gap = (n->objective - n->bound) / fmax(1, n->objective);
  return TB_OK;
}

static tb_status check_entries(tb_context *context, size_t rows, size_t cols, size_t count, const size_t *row,
                               const size_t *col, const double *value, size_t *place, double *seen) {
  for (size_t k = 0; k < rows * cols; k++)
    seen[k] = NAN;
  for (size_t k = 0; k < count; k++) {
    if (row[k] >= rows || col[k] >= cols || !isfinite(value[k]))
      return tb_fail(context, TB_FAILED, "nuclear norm", NULL, "observation %zu is outside the matrix or not finite",
                     k);
    place[k] = row[k] * cols + col[k];
    if (!isnan(seen[place[k]]) && seen[place[k]] != value[k])
      return tb_fail(context, TB_FAILED, "nuclear norm", NULL, "entry (%zu, %zu) is given twice with different values",
                     row[k], col[k]);
    seen[place[k]] = value[k];
  }
  return TB_OK;
}

void tb_nuclear_free(tb_context *context, tb_nuclear *n) {
  tb_release(context, n->matrix);
  tb_release(context, n->dual);
  n->matrix = n->dual = NULL;
}

static tb_status minimise(tb_context *context, size_t rows, size_t cols, agreement *a, double gap, size_t most,
                          tb_nuclear *n) {
  splitting s = { 0 };
  gap = gap > 0 ? gap : 1e-7;
  most = most ? most : 20000;
  tb_status status = splitting_new(context, rows, cols, &s);
  if (status == TB_OK) {
    agree(a, s.x);
    status = spectrum(context, &s, s.x);
    s.rho = s.values[0] > 0 ? 10 / s.values[0] : 1;
    n->gap = INFINITY;
  }
  while (status == TB_OK && n->gap > gap && n->iterations < most) {
    size_t k = ++n->iterations;
    status = iterate(context, &s, a, k % BALANCE_EVERY == 0 && k < BALANCE_UNTIL);
    if (status == TB_OK && (k % CERTIFY_EVERY == 0 || k == most))
      status = certify(context, &s, a, n);
  }
  if (status == TB_OK)
    memcpy(n->matrix, s.x, rows * cols * sizeof *s.x);
  if (status == TB_OK && !(n->gap <= gap))
    status = tb_fail(context, TB_FAILED, "nuclear norm", NULL, "gap %.3g after %zu iterations", n->gap, n->iterations);
  tb_release(context, s.x);
  return status;
}

static tb_status nuclear_new(tb_context *context, size_t size, size_t count, tb_nuclear *n) {
  *n = (tb_nuclear){ 0 };
  n->matrix = tb_allocate(context, size, sizeof *n->matrix);
  n->dual = tb_allocate(context, count, sizeof *n->dual);
  return n->matrix && n->dual ? TB_OK : TB_NO_MEMORY;
}

tb_status tb_nuclear_complete(tb_context *context, size_t rows, size_t cols, size_t count, const size_t *row,
                              const size_t *col, const double *value, double gap, size_t most, tb_nuclear *n) {
  size_t *place = tb_allocate(context, count, sizeof *place);
  tb_status status = nuclear_new(context, rows * cols, count, n);
  if (!place)
    status = TB_NO_MEMORY;
  if (status == TB_OK)
    status = check_entries(context, rows, cols, count, row, col, value, place, n->matrix);
  if (status == TB_OK && rows * cols > 0) {
    agreement a = { .count = count, .size = rows * cols, .place = place, .value = value };
    status = minimise(context, rows, cols, &a, gap, most, n);
  }
  tb_release(context, place);
  if (status != TB_OK)
    tb_nuclear_free(context, n);
  return status;
}

tb_status tb_nuclear_sense(tb_context *context, size_t rows, size_t cols, size_t count, const double *dense,
                           const double *value, double gap, size_t most, tb_nuclear *n) {
  agreement a = { 0 };
  tb_status status = nuclear_new(context, rows * cols, count, n);
  if (status == TB_OK)
    status = agreement_of_dense(context, count, rows * cols, dense, value, &a);
  if (status == TB_OK)
    status = minimise(context, rows, cols, &a, gap, most, n);
  tb_release(context, a.gram);
  if (status != TB_OK)
    tb_nuclear_free(context, n);
  return status;
}
