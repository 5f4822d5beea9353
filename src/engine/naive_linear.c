/* Plain loops: products, factorisations, solves.  All work in float64 and round once. */
#include "engine/naive.h"

#include <math.h>

typedef struct matrix_batch {
  size_t count, rows, columns;
} matrix_batch;

static matrix_batch batch_of(const tb_node *node) {
  matrix_batch b = { 1, node->dims[node->rank - 2], node->dims[node->rank - 1] };
  for (uint32_t i = 0; i + 2 < node->rank; i++)
    b.count *= node->dims[i];
  return b;
}

static void load(tb_dtype dtype, const void *data, size_t start, size_t count, double *to) {
  for (size_t i = 0; i < count; i++)
    to[i] = tb_get(dtype, data, start + i);
}

static void store(tb_dtype dtype, const double *from, size_t count, void *data, size_t start) {
  for (size_t i = 0; i < count; i++)
    tb_put(dtype, data, start + i, from[i]);
}

/* c[m×n] = op(a)[m×k] op(b)[k×n], summed over k in order */
tb_status tb_matmul_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                          void *out) {
  const tb_node *x = tb_node_operand(graph, node, 0), *y = tb_node_operand(graph, node, 1);
  matrix_batch a = batch_of(x), b = batch_of(y), c = batch_of(node);
  bool ta = node->attributes.transpose_a, tb = node->attributes.transpose_b;
  size_t inner = ta ? a.rows : a.columns, a_size = a.rows * a.columns, b_size = b.rows * b.columns;
  size_t a_row = ta ? 1 : a.columns, a_step = ta ? a.columns : 1; /* strides of op(a) along m and k */
  size_t b_row = tb ? 1 : b.columns, b_step = tb ? b.columns : 1; /* strides of op(b) along k and n */
  double *left = tb_allocate(context, a_size + b_size + c.columns + 1, sizeof *left);
  if (!left)
    return TB_NO_MEMORY;
  double *right = left + a_size, *row = right + b_size;
  for (size_t s = 0; s < c.count; s++) {
    load(node->dtype, operands[0], s * a_size, a_size, left);
    load(node->dtype, operands[1], s * b_size, b_size, right);
    for (size_t i = 0; i < c.rows; i++) {
      for (size_t j = 0; j < c.columns; j++)
        row[j] = 0;
      for (size_t k = 0; k < inner; k++)
        for (size_t j = 0; j < c.columns; j++)
          row[j] += left[i * a_row + k * a_step] * right[k * b_row + j * b_step];
      store(node->dtype, row, c.columns, out, (s * c.rows + i) * c.columns);
    }
  }
  tb_release(context, left);
  return TB_OK;
}

/* ---- one matrix in float64 ---- */

/* Lower factor in place, upper triangle zeroed; NaN in the lower triangle where a is not positive definite. */
static void cholesky(size_t n, double *a) {
  bool definite = true;
  for (size_t j = 0; j < n && definite; j++) {
    double pivot = a[j * n + j];
    for (size_t k = 0; k < j; k++)
      pivot -= a[j * n + k] * a[j * n + k];
    definite = pivot > 0;
    double root = sqrt(pivot);
    a[j * n + j] = root;
    for (size_t i = j + 1; i < n; i++) {
      double sum = a[i * n + j];
      for (size_t k = 0; k < j; k++)
        sum -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = sum / root;
    }
  }
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      a[i * n + j] = j > i ? 0 : definite ? a[i * n + j] : NAN;
}

/* b[n×k] ← L⁻¹ b or L⁻ᵀ b */
static void triangular_solve(size_t n, const double *l, bool transpose, size_t k, double *b) {
  for (size_t step = 0; step < n; step++) {
    size_t i = transpose ? n - 1 - step : step;
    for (size_t c = 0; c < k; c++) {
      double sum = b[i * k + c];
      for (size_t j = transpose ? i + 1 : 0; j < (transpose ? n : i); j++)
        sum -= l[transpose ? j * n + i : i * n + j] * b[j * k + c];
      b[i * k + c] = sum / l[i * n + i];
    }
  }
}

/* b[n×k] ← a⁻¹ b by elimination with row pivoting; a is destroyed; NaN where a is singular. */
static void general_solve(size_t n, double *a, size_t k, double *b) {
  for (size_t j = 0; j < n; j++) {
    size_t pivot = j;
    for (size_t i = j + 1; i < n; i++)
      if (fabs(a[i * n + j]) > fabs(a[pivot * n + j]))
        pivot = i;
    if (a[pivot * n + j] == 0) {
      for (size_t i = 0; i < n * k; i++)
        b[i] = NAN;
      return;
    }
    for (size_t c = 0; pivot != j && c < n + k; c++) {
      double *x = c < n ? &a[j * n + c] : &b[j * k + c - n], *y = c < n ? &a[pivot * n + c] : &b[pivot * k + c - n];
      double swap = *x;
      *x = *y;
      *y = swap;
    }
    for (size_t i = j + 1; i < n; i++) {
      double factor = a[i * n + j] / a[j * n + j];
      for (size_t c = j + 1; c < n; c++)
        a[i * n + c] -= factor * a[j * n + c];
      for (size_t c = 0; c < k; c++)
        b[i * k + c] -= factor * b[j * k + c];
    }
  }
  for (size_t i = n; i-- > 0;)
    for (size_t c = 0; c < k; c++) {
      double sum = b[i * k + c];
      for (size_t j = i + 1; j < n; j++)
        sum -= a[i * n + j] * b[j * k + c];
      b[i * k + c] = sum / a[i * n + i];
    }
}

static void transpose_square(size_t n, double *a) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < i; j++) {
      double swap = a[i * n + j];
      a[i * n + j] = a[j * n + i];
      a[j * n + i] = swap;
    }
}

/* ---- batches of them ---- */

tb_status tb_cholesky_naive(tb_context *context, const tb_graph *graph, const tb_node *node,
                            const void *const *operands, void *out) {
  matrix_batch a = batch_of(node);
  size_t size = a.rows * a.rows;
  double *work = tb_allocate(context, size + 1, sizeof *work);
  if (!work)
    return TB_NO_MEMORY;
  for (size_t s = 0; s < a.count; s++) {
    load(node->dtype, operands[0], s * size, size, work);
    cholesky(a.rows, work);
    store(node->dtype, work, size, out, s * size);
  }
  tb_release(context, work);
  return TB_OK;
}

tb_status tb_lower_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                         void *out) {
  size_t n = node->dims[node->rank - 1];
  for (size_t i = 0; i < node->elements; i++) {
    size_t row = i / n % n, column = i % n;
    double x = tb_get(node->dtype, operands[0], i);
    tb_put(node->dtype, out, i, column > row ? 0 : column == row ? node->attributes.value * x : x);
  }
  return TB_OK;
}

static tb_status solve_batch(tb_context *context, const tb_graph *graph, const tb_node *node,
                             const void *const *operands, void *out) {
  matrix_batch b = batch_of(node);
  bool transpose = node->attributes.transpose_a;
  size_t size = b.rows * b.rows, right = b.rows * b.columns;
  double *a = tb_allocate(context, size + right + 1, sizeof *a), *x = a + size;
  if (!a)
    return TB_NO_MEMORY;
  for (size_t s = 0; s < b.count; s++) {
    load(node->dtype, operands[0], s * size, size, a);
    load(node->dtype, operands[1], s * right, right, x);
    if (node->op == TB_OP_TRIANGULAR_SOLVE) {
      triangular_solve(b.rows, a, transpose, b.columns, x);
    } else {
      if (transpose)
        transpose_square(b.rows, a);
      general_solve(b.rows, a, b.columns, x);
    }
    store(node->dtype, x, right, out, s * right);
  }
  tb_release(context, a);
  return TB_OK;
}

tb_status tb_triangular_solve_naive(tb_context *context, const tb_graph *graph, const tb_node *node,
                                    const void *const *operands, void *out) {
  return solve_batch(context, graph, node, operands, out);
}

tb_status tb_solve_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                         void *out) {
  return solve_batch(context, graph, node, operands, out);
}
