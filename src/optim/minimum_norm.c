/* The solver of minimum_norm.h.
 *
 * Every row is divided by its size e^{M_i}, M_i = max(log ‖a_i‖, log δ_i): with u_i = a_i/‖a_i‖ it becomes g_i u_i and
 * h_i, g_i = ‖a_i‖ e^{−M_i}, h_i = δ_i e^{−M_i}, one of which is 1.  Where the ridge dominates g_i may be as small as
 * e^{−10⁶}: factors are kept as logarithms and the largest is taken out of the solution (log_scale). */
#include "optim/minimum_norm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "num/linear.h"

#define LEAST_RCOND 1e-6 /* of the equilibrated kernel, for Cholesky with refinement */

typedef struct column_size {
  double size;
  size_t column;
} column_size;

typedef enum route { NOT_FACTORED, DISJOINT, CHOLESKY, HOUSEHOLDER } route;

struct tb_minimum_norm {
  tb_context *context;
  size_t n, p;
  route route;
  bool ridge;
  const double *a;      /* the caller's a[n×p] */
  double *norm;         /* n: ‖a_i‖ */
  double *size, *log_g; /* n: M_i, log g_i */
  double *g, *h;        /* n */
  double *rhs, *lambda; /* n */
  double *residual;     /* n */
  double *kernel;       /* n×n: Cholesky factor of G U Uᵀ G + H² */
  double *image;        /* p */
  /* Householder QR, made when first needed: q = p columns, p + n with a ridge. */
  double *rows;            /* n×q: reflector k in row k from column k on; row i > k keeps L_ik in column k */
  double *diagonal, *beta; /* n */
  double *tail, *solution; /* q + 1, q */
  size_t *pivot;           /* n: which equation stands in row k */
  column_size *order;      /* q: columns by decreasing size */
};

tb_status tb_minimum_norm_new(tb_context *context, size_t n, size_t p, tb_minimum_norm **made) {
  *made = NULL;
  tb_minimum_norm *m = tb_allocate(context, 1, sizeof *m);
  if (!m)
    return TB_NO_MEMORY;
  *m = (tb_minimum_norm){ .context = context, .n = n, .p = p };
  double **const blocks[] = { &m->norm, &m->size,   &m->log_g,    &m->g,      &m->h,
                              &m->rhs,  &m->lambda, &m->residual, &m->kernel, &m->image };
  const size_t counts[] = { n, n, n, n, n, n, n, n, n * n, p };
  for (size_t k = 0; k < sizeof counts / sizeof *counts; k++)
    if (!(*blocks[k] = tb_allocate(context, counts[k], sizeof(double)))) {
      tb_minimum_norm_free(m);
      return TB_NO_MEMORY;
    }
  *made = m;
  return TB_OK;
}

void tb_minimum_norm_free(tb_minimum_norm *m) {
  if (!m)
    return;
  void *const blocks[] = { m->norm,   m->size,     m->log_g,    m->g,     m->h,    m->rhs,
                           m->lambda, m->residual, m->kernel,   m->image, m->rows, m->diagonal,
                           m->beta,   m->tail,     m->solution, m->pivot, m->order };
  for (size_t k = 0; k < sizeof blocks / sizeof *blocks; k++)
    tb_release(m->context, blocks[k]);
  tb_release(m->context, m);
}

/* Sizes and factors of the rows; returns whether none is zero. */
static bool equilibrate(tb_minimum_norm *m, const double *a, const double *log_delta) {
  bool none_zero = true;
  for (size_t i = 0; i < m->n; i++) {
    const double *row = a + i * m->p;
    const double norm = tb_norm(m->p, row), log_norm = log(norm);
    const double log_ridge = log_delta ? log_delta[i] : -INFINITY;
    const bool zero = norm == 0.0 && log_ridge == -INFINITY;
    m->norm[i] = norm;
    m->size[i] = zero ? 0.0 : fmax(log_norm, log_ridge);
    m->log_g[i] = log_norm - m->size[i];
    m->g[i] = m->log_g[i] == 0.0 ? 1.0 : exp(m->log_g[i]);
    m->h[i] = exp(log_ridge - m->size[i]);
    none_zero = none_zero && !zero;
  }
  return none_zero;
}

/* Whether no column has two entries: then rows are orthogonal. */
static bool disjoint_rows(const tb_minimum_norm *m) {
  for (size_t k = 0; k < m->p; k++) {
    int found = 0;
    for (size_t i = 0; i < m->n; i++)
      if (m->a[i * m->p + k] != 0.0 && ++found > 1)
        return false;
  }
  return true;
}

/* ---- Cholesky of the kernel ---- */

/* What a_i is multiplied by: g_i / ‖a_i‖ */
static double share_of(const tb_minimum_norm *m, size_t i) {
  return m->norm[i] > 0 ? m->g[i] / m->norm[i] : 0.0;
}

static tb_status factor_kernel(tb_minimum_norm *m, bool *good, double *condition) {
  const size_t n = m->n, p = m->p;
  *good = false;
  tb_gemm(false, true, n, n, p, 1.0, m->a, m->a, 0.0, m->kernel);
  double norm = 0.0;
  for (size_t i = 0; i < n; i++) {
    double sum = 0.0;
    for (size_t j = 0; j < n; j++) {
      double *entry = &m->kernel[i * n + j];
      *entry = share_of(m, i) * share_of(m, j) * *entry + (i == j ? m->h[i] * m->h[i] : 0.0);
      sum += fabs(*entry);
    }
    norm = fmax(norm, sum);
  }
  bool definite;
  const tb_status status = tb_cholesky_factor(m->context, n, m->kernel, &definite);
  if (status != TB_OK || !definite)
    return status;
  const double rcond = tb_cholesky_rcond(m->context, n, m->kernel, norm);
  *good = rcond >= LEAST_RCOND;
  *condition = 1.0 / sqrt(rcond);
  return TB_OK;
}

/* lambda = (G U Uᵀ G + H²)⁻¹ rhs with one step of refinement */
static void solve_kernel(tb_minimum_norm *m) {
  const size_t n = m->n, p = m->p;
  memcpy(m->lambda, m->rhs, n * sizeof *m->rhs);
  tb_cholesky_solve(n, m->kernel, 1, m->lambda);
  for (size_t i = 0; i < n; i++)
    m->residual[i] = share_of(m, i) * m->lambda[i];
  tb_gemv(true, n, p, 1.0, m->a, m->residual, 0.0, m->image);
  tb_gemv(false, n, p, 1.0, m->a, m->image, 0.0, m->residual);
  for (size_t i = 0; i < n; i++)
    m->residual[i] = m->rhs[i] - share_of(m, i) * m->residual[i] - m->h[i] * m->h[i] * m->lambda[i];
  tb_cholesky_solve(n, m->kernel, 1, m->residual);
  for (size_t i = 0; i < n; i++)
    m->lambda[i] += m->residual[i];
}

/* x = Uᵀ G lambda, the largest factor taken out; its logarithm is returned. */
static double image_of_lambda(tb_minimum_norm *m, double *x) {
  double most = -INFINITY;
  for (size_t i = 0; i < m->n; i++)
    most = fmax(most, m->log_g[i]);
  if (!isfinite(most))
    most = 0.0;
  for (size_t i = 0; i < m->n; i++)
    m->residual[i] = m->norm[i] > 0 ? exp(m->log_g[i] - most) * m->lambda[i] / m->norm[i] : 0.0;
  tb_gemv(true, m->n, m->p, 1.0, m->a, m->residual, 0.0, x);
  return most;
}

/* ---- Householder QR of the transpose ---- */

static size_t columns_of(const tb_minimum_norm *m) {
  return m->p + (m->ridge ? m->n : 0);
}

static tb_status make_room(tb_minimum_norm *m) {
  const size_t n = m->n, q = m->p + n;
  double **const blocks[] = { &m->rows, &m->diagonal, &m->beta, &m->tail, &m->solution };
  const size_t counts[] = { n * q, n, n, q + 1, q };
  for (size_t k = 0; k < sizeof counts / sizeof *counts; k++)
    if (!*blocks[k] && !(*blocks[k] = tb_allocate(m->context, counts[k], sizeof(double))))
      return TB_NO_MEMORY;
  if (!m->pivot && !(m->pivot = tb_allocate(m->context, n, sizeof *m->pivot)))
    return TB_NO_MEMORY;
  if (!m->order && !(m->order = tb_allocate(m->context, q, sizeof *m->order)))
    return TB_NO_MEMORY;
  return TB_OK;
}

static int by_decreasing_size(const void *a, const void *b) {
  const column_size *p = a, *q = b;
  if (p->size != q->size)
    return p->size < q->size ? 1 : -1;
  return p->column < q->column ? -1 : 1;
}

/* Entry (i, column) of [G U, H]. */
static double entry_of(const tb_minimum_norm *m, size_t i, size_t column) {
  if (column < m->p)
    return m->g[i] == 0.0 ? 0.0 : m->g[i] * (m->a[i * m->p + column] / m->norm[i]);
  return column - m->p == i ? m->h[i] : 0.0;
}

/* The rows with their columns in order of size; tail[k] = ‖(sizes of columns k, k + 1, …)‖. */
static void lay_out(tb_minimum_norm *m, size_t q) {
  for (size_t c = 0; c < q; c++) {
    m->order[c] = (column_size){ .column = c };
    for (size_t i = 0; i < m->n; i++)
      m->order[c].size = fmax(m->order[c].size, fabs(entry_of(m, i, c)));
  }
  qsort(m->order, q, sizeof *m->order, by_decreasing_size);
  m->tail[q] = 0.0;
  for (size_t c = q; c-- > 0;)
    m->tail[c] = hypot(m->tail[c + 1], m->order[c].size);
  for (size_t i = 0; i < m->n; i++) {
    m->pivot[i] = i;
    for (size_t c = 0; c < q; c++)
      m->rows[i * q + c] = entry_of(m, i, m->order[c].column);
  }
}

static void swap_equations(tb_minimum_norm *m, size_t q, size_t i, size_t k) {
  if (i == k)
    return;
  for (size_t c = 0; c < q; c++) {
    const double keep = m->rows[i * q + c];
    m->rows[i * q + c] = m->rows[k * q + c];
    m->rows[k * q + c] = keep;
  }
  const size_t keep = m->pivot[i];
  m->pivot[i] = m->pivot[k];
  m->pivot[k] = keep;
}

/* v ← v − β (w·v) w */
static void reflect(size_t count, double beta, const double *w, double *v) {
  const double c = beta * tb_dot(count, w, v);
  for (size_t i = 0; i < count; i++)
    v[i] = fma(-c, w[i], v[i]);
}

/* Returns the rank.  What is left of a row is zero when it is small against the columns that are left, so that small
 * columns keep a rank of their own. */
static size_t factor_rows(tb_minimum_norm *m, size_t q, double tolerance, double *condition) {
  const size_t n = m->n;
  *condition = 1.0;
  for (size_t k = 0; k < n; k++) {
    size_t best = k;
    double largest = 0.0;
    for (size_t i = k; i < n && k < q; i++) {
      const double norm = tb_norm(q - k, m->rows + i * q + k);
      if (norm > largest) {
        largest = norm;
        best = i;
      }
    }
    if (k >= q || !(largest > tolerance * m->tail[k]))
      return k;
    *condition = fmax(*condition, m->tail[k] / largest);
    swap_equations(m, q, best, k);
    double *v = m->rows + k * q + k;
    m->diagonal[k] = v[0] > 0 ? -largest : largest;
    v[0] -= m->diagonal[k];
    m->beta[k] = 1.0 / (largest * fabs(v[0]));
    for (size_t i = k + 1; i < n; i++)
      reflect(q - k, m->beta[k], v, m->rows + i * q + k);
  }
  return n;
}

/* x = Q L⁻¹ rhs */
static void solve_rows(tb_minimum_norm *m, size_t q, double *x) {
  double *z = m->solution;
  memset(z, 0, q * sizeof *z);
  for (size_t k = 0; k < m->n; k++)
    z[k] = (m->rhs[m->pivot[k]] - tb_dot(k, m->rows + k * q, z)) / m->diagonal[k];
  for (size_t k = m->n; k-- > 0;)
    reflect(q - k, m->beta[k], m->rows + k * q + k, z + k);
  for (size_t c = 0; c < q; c++)
    if (m->order[c].column < m->p)
      x[m->order[c].column] = z[c];
}

/* ---- both ---- */

tb_status tb_minimum_norm_factor(tb_minimum_norm *m, const double *a, const double *log_delta, double epsilon,
                                 size_t *rank, double *condition) {
  double unused;
  if (!condition)
    condition = &unused;
  *condition = 1.0;
  *rank = m->n;
  m->a = a;
  m->ridge = log_delta != NULL;
  m->route = NOT_FACTORED;
  const bool none_zero = equilibrate(m, a, log_delta);
  if (none_zero && !m->ridge && disjoint_rows(m)) {
    m->route = DISJOINT;
    return TB_OK;
  }
  const size_t q = columns_of(m);
  if (none_zero && m->n <= q) {
    bool good;
    const tb_status status = factor_kernel(m, &good, condition);
    if (status != TB_OK)
      return status;
    if (good) {
      m->route = CHOLESKY;
      return TB_OK;
    }
  }
  const tb_status status = make_room(m);
  if (status != TB_OK)
    return status;
  lay_out(m, q);
  *rank = factor_rows(m, q, 10.0 * (double)(m->n > m->p ? m->n : m->p) * epsilon, condition);
  if (*rank == m->n)
    m->route = HOUSEHOLDER;
  else
    *condition = INFINITY;
  return TB_OK;
}

/* rhs_i = b_i e^{−M_i}, with a ridge in units of its largest entry, whose logarithm is returned. */
static double scale_rhs(tb_minimum_norm *m, const double *b, const double *log_b) {
  double most = -INFINITY;
  for (size_t i = 0; i < m->n; i++) {
    m->rhs[i] = (log_b ? log_b[i] : log(fabs(b[i]))) - m->size[i];
    most = fmax(most, m->rhs[i]);
  }
  if (!m->ridge || !isfinite(most))
    most = 0.0;
  for (size_t i = 0; i < m->n; i++)
    m->rhs[i] = m->ridge ? copysign(exp(m->rhs[i] - most), b[i]) : b[i] / m->norm[i];
  return most;
}

void tb_minimum_norm_solve(tb_minimum_norm *m, const double *b, const double *log_b, double *x, double *log_scale) {
  *log_scale = scale_rhs(m, b, log_b);
  if (m->route == DISJOINT) {
    for (size_t i = 0; i < m->n; i++)
      m->rhs[i] /= m->norm[i];
    tb_gemv(true, m->n, m->p, 1.0, m->a, m->rhs, 0.0, x);
  } else if (m->route == CHOLESKY) {
    solve_kernel(m);
    *log_scale += image_of_lambda(m, x);
  } else if (m->route == HOUSEHOLDER)
    solve_rows(m, columns_of(m), x);
}
