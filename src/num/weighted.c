/* Weighted least squares for weights of any spread.
 *
 *     argmin_x Σ_i w_i (a_i·x − b_i)²,   w_i = e^{ω_i},   minimum norm
 *
 * 1. Rows in order of weight.  Reflections from the right turn A into a staircase A = L Vᵀ: a row that adds no
 * direction to those before it (relative to its own size) is exactly zero beyond them, so that the rounding of heavy
 * rows never poses as a light row, and x = V p has minimum norm.
 * 2. Reflections from the left, from the last column to the first.  Column k touches only the rows from the one that
 *    opened it on: heavy rows never see what lighter ones decide, and what light rows have to say about directions
 *    already decided fades with their weight.
 *
 * The weights are never multiplied in.  Row i keeps its own unit e^{ω_i/2}; the reflection with v = x ± ‖x‖ e_p changes
 * row i ≠ p by −x_i c, c = (2/vᵀv) vᵀL, which in row i's own unit reads l_i −= l_ik c: only the common row c mixes
 * units, relative to the pivot's, and what underflows there is rightly nothing.  With the largest entry of a column as
 * pivot this is row-wise backward stable (Powell & Reid 1969; Cox & Higham 1998); as the spread grows to infinity the
 * same code becomes the lexicographic limit. */
#include "num/blas.h"
#include "num/linear.h"

#include <cblas.h>
#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct place {
  double half_log; /* ω_i / 2 plus the log of the row's first size */
  size_t index;    /* of the row as given */
} place;

typedef struct staircase {
  size_t m, n, width; /* width = n + 1: the right-hand side is the last column */
  size_t rank;
  place *order;    /* m: by descending weight */
  double *row;     /* m×width, in that order; rows used as pivots become R */
  size_t *reach;   /* m: columns [0, reach) of the row may differ from zero */
  size_t *opener;  /* n: the row that opened column k */
  double *right;   /* n×n: row k is the unit vector of the k-th reflection from the right, zero before k */
  double *share;   /* m: weight of a row relative to the pivot */
  double *mixture; /* width: c */
  size_t *pivot;   /* n: the row that became row k of R */
  bool *used;      /* m */
} staircase;

static int heavier_first(const void *left, const void *right) {
  const place *a = left, *b = right;
  if (a->half_log != b->half_log)
    return a->half_log > b->half_log ? -1 : 1;
  return a->index < b->index ? -1 : a->index > b->index;
}

/* Rows to their own units (largest entry about 1), by weight; rows of no weight or no entries are left out. */
static tb_status load(tb_context *context, staircase *q, const double *a, const double *b, const double *log_weight) {
  size_t n = q->n, kept = 0;
  for (size_t i = 0; i < q->m; i++) {
    double largest = 0;
    bool finite = isfinite(b[i]) && !isnan(log_weight[i]) && log_weight[i] < INFINITY;
    for (size_t j = 0; j < n; j++) {
      finite = finite && isfinite(a[i * n + j]);
      largest = fmax(largest, fabs(a[i * n + j]));
    }
    if (!finite)
      return tb_fail(context, TB_FAILED, "weighted least squares", NULL, "row %zu or its weight is not finite", i);
    if (largest == 0 || log_weight[i] == -INFINITY)
      continue;
    int exponent;
    frexp(largest, &exponent);
    q->order[kept++] = (place){ 0.5 * log_weight[i] + exponent * M_LN2, i };
  }
  q->m = kept;
  qsort(q->order, kept, sizeof *q->order, heavier_first);
  for (size_t r = 0; r < kept; r++) {
    size_t i = q->order[r].index;
    double *row = q->row + r * q->width, largest = 0;
    for (size_t j = 0; j < n; j++)
      largest = fmax(largest, fabs(a[i * n + j]));
    int exponent;
    frexp(largest, &exponent);
    for (size_t j = 0; j < n; j++)
      row[j] = ldexp(a[i * n + j], -exponent);
    row[n] = ldexp(b[i], -exponent);
  }
  return TB_OK;
}

/* y −= 2 u (u·y) over [from, n) */
static void apply_right(const double *u, size_t from, size_t n, double *y) {
  int count = (int)(n - from);
  cblas_daxpy(count, -2 * cblas_ddot(count, u + from, 1, y + from, 1), u + from, 1, y + from, 1);
}

static double plain_norm(size_t n, const double *x) { /* entries are at most 1 */
  return sqrt(cblas_ddot((int)n, x, 1, x, 1));
}

/* A = L Vᵀ, row by row. */
static void build_staircase(staircase *q, double rcond) {
  size_t n = q->n;
  for (size_t i = 0; i < q->m; i++) {
    double *row = q->row + i * q->width, size = plain_norm(n, row);
    for (size_t k = 0; k < q->rank; k++)
      apply_right(q->right + k * n, k, n, row);
    double rest = plain_norm(n - q->rank, row + q->rank);
    q->reach[i] = q->rank;
    if (q->rank < n && rest > rcond * size) {
      size_t k = q->rank++;
      double *u = q->right + k * n, head = row[k] + copysign(rest, row[k]);
      double length = sqrt(2 * rest * fabs(head)); /* of x ± ‖x‖ e */
      memcpy(u + k, row + k, (n - k) * sizeof *u);
      u[k] = head;
      for (size_t j = k; j < n; j++)
        u[j] /= length;
      row[k] = -copysign(rest, row[k]);
      q->reach[i] = k + 1;
      q->opener[k] = i;
    }
    for (size_t j = q->reach[i]; j < n; j++)
      row[j] = 0;
  }
}

/* One reflection from the left: the pivot row becomes row k of R, column k vanishes in the other rows from its opener
 * on. */
static void reflect(staircase *q, size_t k) {
  size_t first = q->opener[k], pivot = first, n = q->n;
  double top = q->order[first].half_log; /* the heaviest row here, and its entry is above rcond */
  for (size_t i = first; i < q->m; i++) {
    q->share[i] = q->used[i] ? 0 : exp(q->order[i].half_log - top);
    if (q->share[i] * fabs(q->row[i * q->width + k]) > q->share[pivot] * fabs(q->row[pivot * q->width + k]))
      pivot = i;
  }
  double *row = q->row + pivot * q->width, unit = q->share[pivot], square = row[k] * row[k];
  for (size_t i = first; i < q->m; i++) {
    q->share[i] /= unit;
    double entry = q->share[i] * q->row[i * q->width + k];
    square = i == pivot ? square : fma(entry, entry, square);
  }
  double norm = sqrt(square), head = row[k] + copysign(norm, row[k]); /* v_p; vᵀv = 2 ‖x‖ |v_p| */
  double scale = 1 / (norm * fabs(head));
  for (size_t j = 0; j < k; j++)
    q->mixture[j] = scale * head * row[j];
  q->mixture[n] = scale * head * row[n];
  for (size_t i = first; i < q->m; i++) {
    const double *other = q->row + i * q->width;
    double factor = i == pivot ? 0 : scale * (q->share[i] * other[k]) * q->share[i];
    if (factor == 0)
      continue;
    cblas_daxpy((int)k, factor, other, 1, q->mixture, 1);
    q->mixture[n] = fma(factor, other[n], q->mixture[n]);
  }
  for (size_t i = first; i < q->m; i++) {
    double *other = q->row + i * q->width, entry = i == pivot ? head : other[k];
    if (q->used[i] || entry == 0)
      continue;
    cblas_daxpy((int)k, -entry, q->mixture, 1, other, 1);
    other[n] = fma(-entry, q->mixture[n], other[n]);
    other[k] = 0;
  }
  row[k] = copysign(norm, -head);
  q->used[pivot] = true;
  q->pivot[k] = pivot;
}

/* R p = c, R lower triangular with rows in their own units; then x = V p. */
static tb_status solve(tb_context *context, staircase *q, double *x, double *condition) {
  size_t n = q->n, rank = q->rank;
  double rcond = 1;
  double *r = tb_allocate(context, rank * rank, sizeof *r), *work = tb_allocate(context, 3 * rank, sizeof *work);
  lapack_int *iwork = tb_allocate(context, rank, sizeof *iwork);
  tb_status status = r && work && iwork ? TB_OK : TB_NO_MEMORY;
  memset(x, 0, n * sizeof *x);
  for (size_t k = 0; k < rank && status == TB_OK; k++) {
    const double *row = q->row + q->pivot[k] * q->width;
    double sum = row[n];
    for (size_t j = 0; j <= k; j++) {
      r[k * rank + j] = row[j] / row[k];
      if (j < k)
        sum = fma(-row[j], x[j], sum);
    }
    x[k] = sum / row[k];
  }
  if (status == TB_OK && rank > 0) { /* row-major lower = column-major upper, transposed */
    TB_BLAS(LAPACKE_dtrcon_work(LAPACK_COL_MAJOR, 'I', 'U', 'N', (int)rank, r, (int)rank, &rcond, work, iwork));
    for (size_t k = rank; k-- > 0;)
      apply_right(q->right + k * n, k, n, x);
  }
  if (condition)
    *condition = 1 / rcond;
  tb_release(context, iwork);
  tb_release(context, work);
  tb_release(context, r);
  return status;
}

tb_status tb_weighted_least_squares(tb_context *context, size_t m, size_t n, const double *a, const double *b,
                                    const double *log_weight, double rcond, double *x, size_t *rank,
                                    double *condition) {
  tb_status status = TB_NO_MEMORY;
  if (rcond <= 0)
    rcond = 10 * (double)(m < n ? n : m) * DBL_EPSILON;
  staircase q = { .m = m, .n = n, .width = n + 1 };
  q.order = tb_allocate(context, m, sizeof *q.order);
  q.row = tb_allocate(context, m * q.width, sizeof *q.row);
  q.reach = tb_allocate(context, m, sizeof *q.reach);
  q.opener = tb_allocate(context, n, sizeof *q.opener);
  q.right = tb_allocate(context, n * n, sizeof *q.right);
  q.share = tb_allocate(context, m, sizeof *q.share);
  q.mixture = tb_allocate(context, q.width, sizeof *q.mixture);
  q.pivot = tb_allocate(context, n, sizeof *q.pivot);
  q.used = tb_allocate(context, m, sizeof *q.used);
  if (!q.order || !q.row || !q.reach || !q.opener || !q.right || !q.share || !q.mixture || !q.pivot || !q.used)
    goto end;
  status = load(context, &q, a, b, log_weight);
  if (status != TB_OK)
    goto end;
  build_staircase(&q, rcond);
  for (size_t k = q.rank; k-- > 0;)
    reflect(&q, k);
  status = solve(context, &q, x, condition);
  if (rank)
    *rank = q.rank;
end:
  tb_release(context, q.used);
  tb_release(context, q.pivot);
  tb_release(context, q.mixture);
  tb_release(context, q.share);
  tb_release(context, q.right);
  tb_release(context, q.opener);
  tb_release(context, q.reach);
  tb_release(context, q.row);
  tb_release(context, q.order);
  return status;
}
