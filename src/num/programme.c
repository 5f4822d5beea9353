/* Linear programmes by CLP's simplex, then to machine precision.
 *
 * CLP works to tolerances; its optimal basis is exact knowledge.  With B the basic columns and T the rows at a bound
 * (as many), A[T,B] x_B = bound_T − A[T,N] x_N and A[T,B]ᵀ y_T = c_B are solved by LU and refined with residuals in
 * long double.  Each call owns its model, so any number of threads may solve. */
#include "num/programme.h"
#include "num/blas.h"
#include "num/reference.h"

#include <coin/Clp_C_Interface.h>
#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

/* ---- polish ---- */

typedef struct basis {
  size_t size;
  size_t *column, *row;  /* size: basic columns, rows at a bound */
  double *matrix, *lu;   /* size×size: A[T,B], row-major, and its factors */
  lapack_int *pivot;     /* size */
  double *right, *delta; /* size */
} basis;

static void basis_free(tb_context *context, basis *b) {
  tb_release(context, b->delta);
  tb_release(context, b->right);
  tb_release(context, b->pivot);
  tb_release(context, b->lu);
  tb_release(context, b->matrix);
  tb_release(context, b->row);
  tb_release(context, b->column);
}

/* *regular false: the counts do not match or the matrix is singular, and CLP's own numbers must do. */
static tb_status basis_factor(tb_context *context, const tb_programme *p, const tb_place *place, basis *b,
                              bool *regular) {
  size_t columns = 0, rows = 0, m = p->m, n = p->n;
  *regular = false;
  b->column = tb_allocate(context, n, sizeof *b->column);
  b->row = tb_allocate(context, m, sizeof *b->row);
  if (!b->column || !b->row)
    return TB_NO_MEMORY;
  for (size_t j = 0; j < n; j++)
    if (place[j] == TB_BASIC)
      b->column[columns++] = j;
  for (size_t i = 0; i < m; i++)
    if (place[n + i] != TB_BASIC)
      b->row[rows++] = i;
  if (columns != rows)
    return TB_OK;
  size_t k = b->size = rows;
  b->matrix = tb_allocate(context, k * k, sizeof *b->matrix);
  b->lu = tb_allocate(context, k * k, sizeof *b->lu);
  b->pivot = tb_allocate(context, k, sizeof *b->pivot);
  b->right = tb_allocate(context, k, sizeof *b->right);
  b->delta = tb_allocate(context, k, sizeof *b->delta);
  if (!b->matrix || !b->lu || !b->pivot || !b->right || !b->delta)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < k; i++)
    for (size_t j = 0; j < k; j++)
      b->matrix[i * k + j] = p->a[b->row[i] * n + b->column[j]];
  memcpy(b->lu, b->matrix, k * k * sizeof *b->lu);
  lapack_int info = 0;
  if (k > 0)
    TB_BLAS(info = LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, (int)k, (int)k, b->lu, (int)k, b->pivot));
  *regular = info == 0;
  return TB_OK;
}

/* z = M⁻¹ right, or M⁻ᵀ right; three rounds with residuals in long double. */
static void basis_solve(basis *b, bool transposed, double *z) {
  size_t k = b->size;
  memset(z, 0, k * sizeof *z);
  for (int round = 0; round < 3 && k > 0; round++) {
    for (size_t i = 0; i < k; i++) {
      long double sum = b->right[i];
      for (size_t j = 0; j < k; j++)
        sum -= (long double)(transposed ? b->matrix[j * k + i] : b->matrix[i * k + j]) * z[j];
      b->delta[i] = (double)sum;
    }
    /* the factors are of the column-major reading, Mᵀ */
    TB_BLAS(LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, transposed ? 'N' : 'T', (int)k, 1, b->lu, (int)k, b->pivot, b->delta,
                                (int)k));
    for (size_t i = 0; i < k; i++)
      z[i] += b->delta[i];
  }
}

static double bound_of(tb_place place, double low, double high, double otherwise) {
  return place == TB_AT_LOW ? low : place == TB_AT_HIGH ? high : otherwise;
}

static tb_status polish(tb_context *context, const tb_programme *p, const tb_place *place, double *x, double *dual) {
  size_t m = p->m, n = p->n;
  bool regular;
  basis b = { 0 };
  double *z = tb_allocate(context, m + n, sizeof *z);
  tb_status status = z ? basis_factor(context, p, place, &b, &regular) : TB_NO_MEMORY;
  if (status != TB_OK || !regular)
    goto end;
  for (size_t j = 0; j < n; j++)
    if (place[j] != TB_BASIC)
      x[j] = bound_of(place[j], p->low[j], p->high[j], x[j]);
  for (size_t i = 0; i < b.size; i++) {
    size_t row = b.row[i];
    long double right = bound_of(place[n + row], p->row_low[row], p->row_high[row], 0);
    for (size_t j = 0; j < n; j++)
      if (place[j] != TB_BASIC)
        right -= (long double)p->a[row * n + j] * x[j];
    b.right[i] = (double)right;
  }
  basis_solve(&b, false, z);
  for (size_t j = 0; j < b.size; j++)
    x[b.column[j]] = z[j];
  for (size_t j = 0; j < b.size; j++)
    b.right[j] = p->c[b.column[j]];
  basis_solve(&b, true, z);
  memset(dual, 0, m * sizeof *dual);
  for (size_t i = 0; i < b.size; i++)
    dual[b.row[i]] = z[i];
end:
  basis_free(context, &b);
  tb_release(context, z);
  return status;
}

/* ---- CLP ---- */

static double clip_infinity(double x) {
  return x == INFINITY ? DBL_MAX : x == -INFINITY ? -DBL_MAX : x;
}

/* A model with A by columns; NULL without memory. */
static Clp_Simplex *model_new(tb_context *context, const tb_programme *p) {
  size_t m = p->m, n = p->n, filled = 0;
  Clp_Simplex *model = NULL;
  CoinBigIndex *start = tb_allocate(context, n + 1, sizeof *start);
  int *index = tb_allocate(context, m * n, sizeof *index);
  double *value = tb_allocate(context, m * n, sizeof *value);
  double *bounds = tb_allocate(context, 2 * (m + n), sizeof *bounds);
  if (!start || !index || !value || !bounds)
    goto end;
  for (size_t j = 0; j < n; j++) {
    start[j] = (CoinBigIndex)filled;
    for (size_t i = 0; i < m; i++)
      if (p->a[i * n + j] != 0) {
        index[filled] = (int)i;
        value[filled++] = p->a[i * n + j];
      }
    bounds[j] = clip_infinity(p->low[j]);
    bounds[n + j] = clip_infinity(p->high[j]);
  }
  start[n] = (CoinBigIndex)filled;
  for (size_t i = 0; i < m; i++) {
    bounds[2 * n + i] = clip_infinity(p->row_low[i]);
    bounds[2 * n + m + i] = clip_infinity(p->row_high[i]);
  }
  model = Clp_newModel();
  if (!model)
    goto end;
  Clp_setLogLevel(model, 0);
  Clp_loadProblem(model, (int)n, (int)m, start, index, value, bounds, bounds + n, p->c, bounds + 2 * n,
                  bounds + 2 * n + m);
  Clp_setPrimalTolerance(model, 1e-9);
  Clp_setDualTolerance(model, 1e-9);
end:
  tb_release(context, bounds);
  tb_release(context, value);
  tb_release(context, index);
  tb_release(context, start);
  return model;
}

enum { CLP_FREE, CLP_BASIC, CLP_AT_UPPER, CLP_AT_LOWER, CLP_SUPERBASIC, CLP_FIXED };

/* The nearer finite bound: CLP's own words for rows depend on the sign it gives their slacks. */
static tb_place place_of(int clp, double value, double low, double high) {
  if (clp == CLP_BASIC)
    return TB_BASIC;
  if (isinf(low) && isinf(high))
    return TB_FREE;
  if (clp == CLP_SUPERBASIC && value != low && value != high)
    return TB_FREE;
  return fabs(value - low) <= fabs(value - high) ? TB_AT_LOW : TB_AT_HIGH;
}

static tb_status run_clp(tb_context *context, const tb_programme *p, double *x, double *dual, tb_place *place,
                         tb_outcome *outcome) {
  size_t m = p->m, n = p->n;
  Clp_Simplex *model = model_new(context, p);
  if (!model)
    return tb_fail(context, TB_NO_MEMORY, "linear programme", NULL, "no memory for the linear programme");
  tb_status status = TB_OK;
  TB_BLAS(Clp_dual(model, 0));
  if (Clp_status(model) != 0) /* the dual simplex may take one misfortune for the other */
    TB_BLAS(Clp_primal(model, 0));
  int found = Clp_status(model);
  *outcome = found == 0 ? TB_OPTIMAL : found == 1 ? TB_INFEASIBLE : TB_UNBOUNDED;
  if (found > 2 || found < 0) {
    status = tb_fail(context, TB_FAILED, "linear programme", NULL, "the simplex method gave up (status %d)", found);
  } else if (found == 0) {
    const double *columns = Clp_primalColumnSolution(model), *rows = Clp_primalRowSolution(model);
    memcpy(x, columns, n * sizeof *x);
    memcpy(dual, Clp_dualRowSolution(model), m * sizeof *dual);
    for (size_t j = 0; j < n; j++)
      place[j] = place_of(Clp_getColumnStatus(model, (int)j), columns[j], p->low[j], p->high[j]);
    for (size_t i = 0; i < m; i++)
      place[n + i] = place_of(Clp_getRowStatus(model, (int)i), rows[i], p->row_low[i], p->row_high[i]);
  }
  Clp_deleteModel(model);
  return status;
}

/* No rows: each column goes where its cost sends it. */
static void solve_without_rows(const tb_programme *p, double *x, tb_place *place, tb_outcome *outcome) {
  *outcome = TB_OPTIMAL;
  for (size_t j = 0; j < p->n; j++) {
    double wish = p->c[j] > 0 ? p->low[j] : p->c[j] < 0 ? p->high[j] : fmin(fmax(0, p->low[j]), p->high[j]);
    if (p->low[j] > p->high[j])
      *outcome = TB_INFEASIBLE;
    else if (isinf(wish) && *outcome == TB_OPTIMAL)
      *outcome = TB_UNBOUNDED;
    x[j] = wish;
    place[j] = wish == p->low[j] ? TB_AT_LOW : wish == p->high[j] ? TB_AT_HIGH : TB_FREE;
  }
}

/* Farkas ray: the duals of min Σ (s + t) s.t. row_low ≤ A x + s − t ≤ row_high, s, t ≥ 0.  *feasible when that is 0. */
static tb_status farkas(tb_context *context, const tb_programme *p, double *ray, bool *feasible) {
  size_t m = p->m, n = p->n, wide = n + 2 * m;
  double *a = tb_allocate(context, m * wide, sizeof *a), *rest = tb_allocate(context, 4 * wide, sizeof *rest);
  tb_place *place = tb_allocate(context, m + wide, sizeof *place);
  tb_status status = a && rest && place ? TB_OK : TB_NO_MEMORY;
  if (status == TB_OK) {
    double *c = rest, *low = rest + wide, *high = low + wide, *x = high + wide, sum = 0;
    for (size_t i = 0; i < m; i++) {
      memcpy(a + i * wide, p->a + i * n, n * sizeof *a);
      a[i * wide + n + i] = 1;
      a[i * wide + n + m + i] = -1;
    }
    memcpy(low, p->low, n * sizeof *low);
    memcpy(high, p->high, n * sizeof *high);
    for (size_t j = n; j < wide; j++)
      c[j] = 1, high[j] = INFINITY;
    tb_programme elastic = { m, wide, c, a, p->row_low, p->row_high, low, high };
    tb_outcome outcome = TB_UNBOUNDED;
    status = run_clp(context, &elastic, x, ray, place, &outcome);
    if (status == TB_OK && outcome == TB_OPTIMAL)
      status = polish(context, &elastic, place, x, ray);
    for (size_t j = n; j < wide; j++)
      sum += x[j];
    *feasible = outcome == TB_OPTIMAL && sum < 1e-10;
  }
  tb_release(context, place);
  tb_release(context, rest);
  tb_release(context, a);
  return status;
}

tb_status tb_programme_solve(tb_context *context, const tb_programme *p, double *x, double *dual, tb_place *place,
                             tb_outcome *outcome) {
  if (p->m == 0) {
    solve_without_rows(p, x, place, outcome);
    return TB_OK;
  }
  for (size_t i = 0; i < p->m * p->n; i++)
    if (!isfinite(p->a[i]))
      return tb_fail(context, TB_FAILED, "linear programme", NULL, "row %zu has an entry that is not finite", i / p->n);
  tb_status status = run_clp(context, p, x, dual, place, outcome);
  if (status == TB_OK && *outcome == TB_INFEASIBLE) {
    bool feasible = false;
    status = farkas(context, p, dual, &feasible);
    if (status == TB_OK && feasible)
      status = tb_fail(context, TB_FAILED, "linear programme", NULL, "feasible only within rounding");
  }
  if (status == TB_OK && *outcome == TB_OPTIMAL)
    status = polish(context, p, place, x, dual);
  return status;
}

tb_status tb_linear_programme(tb_context *context, size_t m, size_t n, const double *c, const double *a,
                              const double *row_low, const double *row_high, const double *low, const double *high,
                              double *x, double *dual, int *outcome) {
  tb_programme p = { m, n, c, a, row_low, row_high, low, high };
  tb_place *place = tb_allocate(context, m + n, sizeof *place);
  if (!place)
    return TB_NO_MEMORY;
  tb_outcome found = TB_OPTIMAL;
  tb_status status = tb_programme_solve(context, &p, x, dual, place, &found);
  *outcome = (int)found;
  tb_release(context, place);
  return status;
}

/* ---- uniqueness ---- */

/* One active constraint g·x ≥ bound (sign −1: ≤; 0: an equation): row i of A, or column j's bound. */
typedef struct active {
  size_t index;
  bool is_row;
  int sign;
  double multiplier;
} active;

static size_t collect_active(const tb_programme *p, const double *x, const double *dual, active *list) {
  size_t count = 0, m = p->m, n = p->n;
  for (size_t k = 0; k < m + n; k++) {
    bool is_row = k < m;
    size_t i = is_row ? k : k - m;
    long double value = is_row ? 0 : x[i], size = is_row ? 0 : fabs(x[i]), multiplier = is_row ? dual[i] : p->c[i];
    for (size_t j = 0; j < n && is_row; j++) {
      value += (long double)p->a[i * n + j] * x[j];
      size += fabs(p->a[i * n + j] * x[j]);
    }
    for (size_t r = 0; r < m && !is_row; r++)
      multiplier -= (long double)p->a[r * n + i] * dual[r];
    double low = is_row ? p->row_low[i] : p->low[i], high = is_row ? p->row_high[i] : p->high[i];
    double slack = 1e-9 * (1 + (double)size);
    bool at_low = value - low <= slack, at_high = high - value <= slack;
    if (at_low || at_high)
      list[count++] = (active){ i, is_row, at_low && at_high ? 0 : at_low ? 1 : -1, (double)multiplier };
  }
  return count;
}

/* max Σ t  s.t.  Σ_active u g = κ c,  u of the right sign, t ≤ |u| for weak ones, 0 ≤ t ≤ 1, κ ≥ 1 */
static tb_status all_strong(tb_context *context, const tb_programme *p, const active *list, size_t count,
                            const bool *weak, size_t n_weak, bool *strong) {
  size_t n = p->n, wide = count + 1 + n_weak, tall = n + n_weak;
  double *a = tb_allocate(context, tall * wide, sizeof *a), *rest = tb_allocate(context, 4 * wide, sizeof *rest);
  double *row = tb_allocate(context, 3 * tall, sizeof *row);
  tb_place *place = tb_allocate(context, tall + wide, sizeof *place);
  tb_status status = a && rest && row && place ? TB_OK : TB_NO_MEMORY;
  if (status == TB_OK) {
    double *c = rest, *low = rest + wide, *high = low + wide, *x = high + wide;
    size_t w = 0;
    for (size_t k = 0; k < count; k++) {
      for (size_t j = 0; j < n; j++)
        a[j * wide + k] = list[k].is_row ? p->a[list[k].index * n + j] : j == list[k].index;
      low[k] = list[k].sign > 0 ? 0 : -INFINITY;
      high[k] = list[k].sign < 0 ? 0 : INFINITY;
      if (!weak[k])
        continue;
      a[(n + w) * wide + k] = list[k].sign;
      a[(n + w) * wide + count + 1 + w] = -1;
      row[tall + n + w] = INFINITY;
      c[count + 1 + w] = -1;
      high[count + 1 + w++] = 1;
    }
    for (size_t j = 0; j < n; j++)
      a[j * wide + count] = -p->c[j];
    low[count] = 1;
    high[count] = INFINITY;
    tb_programme support = { tall, wide, c, a, row, row + tall, low, high };
    tb_outcome outcome;
    status = tb_programme_solve(context, &support, x, row + 2 * tall, place, &outcome);
    *strong = status == TB_OK && outcome == TB_OPTIMAL;
    for (size_t k = 0; k < n_weak && *strong; k++)
      *strong = x[count + 1 + k] > 1 - 1e-6;
  }
  tb_release(context, place);
  tb_release(context, row);
  tb_release(context, rest);
  tb_release(context, a);
  return status;
}

tb_status tb_programme_unique(tb_context *context, const tb_programme *p, const double *x, const double *dual,
                              const tb_place *place, bool *unique) {
  *unique = false;
  size_t nonbasic = 0;
  for (size_t k = 0; k < p->n + p->m; k++) {
    if (place[k] == TB_FREE)
      return TB_OK; /* not a vertex */
    nonbasic += place[k] != TB_BASIC;
  }
  if (nonbasic < p->n)
    return TB_OK;
  tb_status status = TB_OK;
  active *list = tb_allocate(context, p->m + p->n, sizeof *list);
  bool *weak = tb_allocate(context, p->m + p->n, sizeof *weak);
  if (!list || !weak) {
    status = TB_NO_MEMORY;
    goto end;
  }
  size_t count = collect_active(p, x, dual, list), n_weak = 0;
  double largest = 0;
  for (size_t k = 0; k < count; k++)
    largest = fmax(largest, fabs(list[k].multiplier));
  for (size_t k = 0; k < count; k++) {
    weak[k] = list[k].sign != 0 && fabs(list[k].multiplier) <= 1e-9 * largest;
    n_weak += weak[k];
  }
  *unique = true;
  if (n_weak > 0)
    status = all_strong(context, p, list, count, weak, n_weak, unique);
end:
  tb_release(context, weak);
  tb_release(context, list);
  return status;
}
