/* Cholesky factors and triangular solves, blocked: products between blocks, substitution within one.
 *
 * A block of columns of L takes L[j:, j:j+w] ← A[j:, j:j+w] − L[j:, :j] L[j:j+w, :j]ᵀ as a product, then is turned, so
 * that what is left, the rows of one triangle solved against many columns, runs along vectors: HEIGHT rows at a time
 * stay in registers while the rows above them pass by.  The same substitution serves solves with many right-hand sides.
 * Blocks have one size for every table, so that every output sums in the same order. */
#include "engine/kernels/real.h"

enum { BLOCK = TB_FACTOR_BLOCK, HEIGHT = 8 };

/* HEIGHT rows of a triangle T with those of its columns that stand before and under its diagonal. */
typedef struct strip {
  real minus[BLOCK][HEIGHT]; /* [p][r] = −T[r, p] */
  real diagonal[HEIGHT];
} strip;

/* x[r, .] ← (x[r, .] − Σ_{p<before} T[r, p] above[p, .] − Σ_{q<r} T[r, q] x[q, .]) / T[r, r] for one vector of columns;
 * without solve only what comes from above. */
INLINE void substitute(int rows, bool solve, bool part, const strip *t, size_t before, const real *above, real *x,
                       ptrdiff_t ldx, size_t count) {
  vector acc[HEIGHT];
  UNROLL for (int r = 0; r < rows; r++) acc[r] = part ? load_part(x + r * ldx, count) : load(x + r * ldx);
  for (size_t p = 0; p < before; p++) {
    const vector y = part ? load_part(above, count) : load(above);
    UNROLL for (int r = 0; r < rows; r++) acc[r] = fused_vector(spread(t->minus[p][r]), y, acc[r]);
    above += ldx;
  }
  UNROLL for (int r = 0; r < rows && solve; r++) {
    acc[r] /= spread(t->diagonal[r]);
    UNROLL for (int q = r + 1; q < rows; q++) acc[q] =
        fused_vector(spread(t->minus[before + (size_t)r][q]), acc[r], acc[q]);
  }
  UNROLL for (int r = 0; r < rows; r++) {
    if (part)
      store_part(x + r * ldx, acc[r], count);
    else
      store(x + r * ldx, acc[r]);
  }
}

INLINE void along(int rows, bool solve, const strip *t, size_t before, const real *above, real *x, ptrdiff_t ldx,
                  size_t cols) {
  size_t j = 0;
  for (; j + LANES <= cols; j += LANES)
    substitute(rows, solve, false, t, before, above + j, x + j, ldx, LANES);
  if (j < cols)
    substitute(rows, solve, true, t, before, above + j, x + j, ldx, cols - j);
}

/* A full strip is worth its own code; the last rows go one by one. */
static void run_strip(size_t rows, bool solve, const strip *t, size_t before, const real *above, real *x, ptrdiff_t ldx,
                      size_t cols) {
  if (rows == HEIGHT && solve)
    along(HEIGHT, true, t, before, above, x, ldx, cols);
  else if (rows == HEIGHT)
    along(HEIGHT, false, t, before, above, x, ldx, cols);
  else
    for (size_t r = 0; r < rows; r++) {
      strip one;
      const size_t passed = before + (solve ? r : 0);
      for (size_t p = 0; p < passed; p++)
        one.minus[p][0] = t->minus[p][r];
      one.diagonal[0] = t->diagonal[r];
      along(1, solve, &one, passed, above, x + (ptrdiff_t)r * ldx, ldx, cols);
    }
}

static void take_strip(const real *t, ptrdiff_t row, ptrdiff_t column, size_t rows, size_t from, size_t to, strip *s) {
  for (size_t p = from; p < to; p++)
    for (size_t r = 0; r < rows; r++)
      s->minus[p][r] = -t[(ptrdiff_t)r * row + (ptrdiff_t)p * column];
}

/* ---- triangular solves ---- */

/* x[n×cols] ← T⁻¹ x, n ≤ BLOCK, T[r, p] = t[r·row + p·column]; with negative strides Lᵀ from its last row up. */
static void solve_block(size_t n, const real *t, ptrdiff_t row, ptrdiff_t column, real *x, ptrdiff_t ldx, size_t cols) {
  strip s;
  for (size_t i = 0; i < n; i += HEIGHT) {
    const size_t rows = n - i < HEIGHT ? n - i : HEIGHT;
    const real *first = t + (ptrdiff_t)i * row;
    take_strip(first, row, column, rows, 0, i + rows, &s);
    for (size_t r = 0; r < rows; r++)
      s.diagonal[r] = first[(ptrdiff_t)r * row + (ptrdiff_t)(i + r) * column];
    run_strip(rows, true, &s, i, x, x + (ptrdiff_t)i * ldx, ldx, cols);
  }
}

static void triangular_solve(bool transpose, size_t n, size_t k, const void *l_, void *b_, void *scratch) {
  const real *l = l_;
  real *b = b_;
  const size_t blocks = (n + BLOCK - 1) / BLOCK;
  for (size_t s = 0; s < blocks; s++) {
    const size_t j = (transpose ? blocks - 1 - s : s) * BLOCK, w = n - j < BLOCK ? n - j : BLOCK, end = j + w;
    real *x = b + j * k;
    if (transpose && end < n)
      NAME(gemm)(true, false, w, k, n - end, -1, l + end * n + j, n, b + end * k, k, TB_PLUS, 1, x, k, x, k, scratch);
    else if (!transpose && j)
      NAME(gemm)(false, false, w, k, j, -1, l + j * n, n, b, k, TB_PLUS, 1, x, k, x, k, scratch);
    if (transpose)
      solve_block(w, l + (end - 1) * (n + 1), -1, -(ptrdiff_t)n, x + (w - 1) * k, -(ptrdiff_t)k, k);
    else
      solve_block(w, l + j * (n + 1), (ptrdiff_t)n, 1, x, (ptrdiff_t)k, k);
  }
}

/* ---- Cholesky ---- */

/* u[r, c], c ≥ r: the factor of HEIGHT × HEIGHT or less, uᵀu = a. */
static bool factor_small(size_t n, real *u, size_t ldu) {
  for (size_t r = 0; r < n; r++) {
    for (size_t q = 0; q < r; q++)
      for (size_t c = r; c < n; c++)
        u[r * ldu + c] = fused(-u[q * ldu + r], u[q * ldu + c], u[r * ldu + c]);
    const real pivot = u[r * ldu + r];
    if (!(pivot > 0))
      return false;
    const real root = TB_REAL_BITS == 32 ? (real)sqrtf((float)pivot) : (real)sqrt((double)pivot);
    u[r * ldu + r] = root;
    for (size_t c = r + 1; c < n; c++)
      u[r * ldu + c] /= root;
  }
  return true;
}

/* The turned block u[w×m], w ≤ BLOCK: its first w columns hold a symmetric matrix; u ← its factor's transpose. */
static bool factor_block(size_t w, size_t m, real *u) {
  strip s;
  for (size_t i = 0; i < w; i += HEIGHT) {
    const size_t rows = w - i < HEIGHT ? w - i : HEIGHT, right = i + rows;
    real *corner = u + i * m + i;
    take_strip(u + i, 1, (ptrdiff_t)m, rows, 0, i, &s);
    run_strip(rows, false, &s, i, u + i, corner, (ptrdiff_t)m, rows);
    if (!factor_small(rows, corner, m))
      return false;
    take_strip(u + i, 1, (ptrdiff_t)m, rows, i, right, &s);
    for (size_t r = 0; r < rows; r++)
      s.diagonal[r] = corner[r * m + r];
    run_strip(rows, true, &s, i, u + right, u + i * m + right, (ptrdiff_t)m, m - right);
  }
  return true;
}

static bool cholesky(size_t n, void *a_, void *scratch) {
  real *a = a_, *turned = scratch, *rest = turned + BLOCK * n;
  bool definite = true;
  for (size_t j = 0; j < n && definite; j += BLOCK) {
    const size_t w = n - j < BLOCK ? n - j : BLOCK, m = n - j;
    real *c = a + j * n + j;
    if (j)
      NAME(gemm)(false, true, m, w, j, -1, a + j * n, n, a + j * n, n, TB_PLUS, 1, c, n, c, n, rest);
    NAME(transpose)(m, w, c, n, turned, m);
    definite = factor_block(w, m, turned);
    NAME(transpose)(w, m, turned, m, c, n);
  }
  for (size_t i = 0; i < n; i++)
    memset(a + i * n + i + 1, 0, (n - i - 1) * sizeof *a);
  return definite;
}

const tb_kernel_factor NAME(factor) = { .cholesky = cholesky, .triangular_solve = triangular_solve };
