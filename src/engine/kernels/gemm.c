/* Matrix products: c = alpha·op(a)·op(b) + beta·d or times d, blocked by hand for the registers.
 *
 * One block holds rows × vectors accumulators and walks k: a row of b is loaded, an element of a spread, and every
 * output gains one fused multiply-add a step.  Each output therefore sums in order of k, whatever the block: blocks of
 * K_BLOCK steps, their sums added to c in order.  Odd columns use a masked last vector, odd rows a lower block; nothing
 * is padded.  b is packed into a panel where it is transposed or too wide for its rows to stay in cache. */
#include "engine/kernels/real.h"

#include <assert.h>

enum {
  K_BLOCK = GEMM_K_BLOCK,
  PANEL_VECTORS = GEMM_PANEL_VECTORS,
  PANEL = GEMM_PANEL, /* columns of b taken at once */
  MAX_ROWS = 12,
};

typedef struct tile {
  size_t k;
  const real *a; /* a[i, p] = a[i·a_row + p·a_step] */
  size_t a_row, a_step;
  const real *b; /* b[p, j] = b[p·ldb + j] */
  size_t ldb;
  size_t last; /* columns in the last vector, 1 … LANES */
  real *c;
  size_t ldc;
  const real *d; /* added, or multiplied by */
  size_t ldd;
  tb_gemm_with with;
  real alpha, beta;
} tile;

INLINE vector load_last(const real *p, bool part, size_t count) {
  return part ? load_part(p, count) : load(p);
}

INLINE void store_last(real *p, vector v, bool part, size_t count) {
  if (part)
    store_part(p, v, count);
  else
    store(p, v);
}

/* c[rows × vectors] = alpha Σ_p a[., p] b[p, .] + beta d, or times d.  Rows of a are addressed from every third one,
 * because x86 adds one or two times a stride for nothing. */
INLINE void block(int rows, int vectors, bool part, const tile *t) {
  vector acc[MAX_ROWS][PANEL_VECTORS];
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int v = 0; v < vectors; v++) acc[r][v] = (vector){ 0 };
  }
  const size_t a_row = t->a_row, a_step = t->a_step, ldb = t->ldb, last = t->last;
  const real *a[(MAX_ROWS + 2) / 3];
  UNROLL for (int r = 0; r < rows; r += 3) a[r / 3] = t->a + (size_t)r * a_row;
  const real *b = t->b;
  for (size_t p = t->k; p; p--) {
    vector y[PANEL_VECTORS];
    UNROLL for (int v = 0; v < vectors; v++) y[v] = load_last(b + v * LANES, part && v == vectors - 1, last);
    UNROLL for (int r = 0; r < rows; r++) {
      const vector x = spread(a[r / 3][(size_t)(r % 3) * a_row]);
      UNROLL for (int v = 0; v < vectors; v++) acc[r][v] = fused_vector(x, y[v], acc[r][v]);
    }
    UNROLL for (int r = 0; r < rows; r += 3) a[r / 3] += a_step;
    b += ldb;
  }
  const vector alpha = spread(t->alpha), beta = spread(t->beta);
  if (t->with == TB_TIMES) {
    UNROLL for (int r = 0; r < rows; r++) {
      UNROLL for (int v = 0; v < vectors; v++) {
        const real *d = t->d + (size_t)r * t->ldd + v * LANES;
        const bool p = part && v == vectors - 1;
        store_last(t->c + (size_t)r * t->ldc + v * LANES, alpha * acc[r][v] * load_last(d, p, last), p, last);
      }
    }
  } else if (t->beta == 0) {
    UNROLL for (int r = 0; r < rows; r++) {
      UNROLL for (int v = 0; v < vectors; v++)
          store_last(t->c + (size_t)r * t->ldc + v * LANES, alpha * acc[r][v], part && v == vectors - 1, last);
    }
  } else {
    UNROLL for (int r = 0; r < rows; r++) {
      UNROLL for (int v = 0; v < vectors; v++) {
        const real *d = t->d + (size_t)r * t->ldd + v * LANES;
        const bool p = part && v == vectors - 1;
        store_last(t->c + (size_t)r * t->ldc + v * LANES, fused_vector(beta, load_last(d, p, last), alpha * acc[r][v]),
                   p, last);
      }
    }
  }
}

typedef void block_function(const tile *);

/* Masked loads cost nothing with AVX-512: there the last vector is always masked. */
#define BLOCK(rows, vectors)                                                                                           \
  static void block_##rows##_##vectors(const tile *t) {                                                                \
    if (VECTOR_BYTES == 64 || t->last < LANES)                                                                         \
      block(rows, vectors, true, t);                                                                                   \
    else                                                                                                               \
      block(rows, vectors, false, t);                                                                                  \
  }
#define BLOCKS_1_6(vectors)                                                                                            \
  BLOCK(1, vectors) BLOCK(2, vectors) BLOCK(3, vectors) BLOCK(4, vectors) BLOCK(5, vectors) BLOCK(6, vectors)
#define NAMES_1_6(vectors)                                                                                             \
  block_1_##vectors, block_2_##vectors, block_3_##vectors, block_4_##vectors, block_5_##vectors, block_6_##vectors

/* clang-format off */
BLOCKS_1_6(1) BLOCK(7, 1) BLOCK(8, 1)
BLOCKS_1_6(2)
#if VECTOR_BYTES == 64
BLOCK(9, 1) BLOCK(10, 1) BLOCK(11, 1) BLOCK(12, 1)
BLOCK(7, 2) BLOCK(8, 2) BLOCK(9, 2) BLOCK(10, 2) BLOCK(11, 2) BLOCK(12, 2)
BLOCKS_1_6(3) BLOCK(7, 3) BLOCK(8, 3)
BLOCKS_1_6(4)
static const size_t max_rows[PANEL_VECTORS] = { 12, 12, 8, 6 };
static block_function *const blocks[PANEL_VECTORS][MAX_ROWS] = {
  { NAMES_1_6(1), block_7_1, block_8_1, block_9_1, block_10_1, block_11_1, block_12_1 },
  { NAMES_1_6(2), block_7_2, block_8_2, block_9_2, block_10_2, block_11_2, block_12_2 },
  { NAMES_1_6(3), block_7_3, block_8_3 },
  { NAMES_1_6(4) },
};
#else
static const size_t max_rows[PANEL_VECTORS] = { 8, 6 };
static block_function *const blocks[PANEL_VECTORS][MAX_ROWS] = {
  { NAMES_1_6(1), block_7_1, block_8_1 },
  { NAMES_1_6(2) },
};
#endif
/* clang-format on */

/* ---- packing ---- */

static void pack(size_t k, size_t n, const real *b, size_t ldb, real *out) {
  for (size_t p = 0; p < k; p++)
    memcpy(out + p * PANEL, b + p * ldb, n * sizeof(real));
}

/* ---- one column: dot products ---- */

/* c[i] = alpha a[i, .]·x + beta d[i], or times d[i]: MAX_LANES sums an output, then a fixed tree */
static void dot_rows(size_t m, size_t k, const real *a, size_t lda, const real *x, real alpha, tb_gemm_with with,
                     real beta, const real *d, size_t ldd, real *c, size_t ldc) {
  for (size_t i = 0; i < m; i++) {
    const real *row = a + i * lda;
    vector acc[WIDE];
    UNROLL for (int w = 0; w < WIDE; w++) acc[w] = (vector){ 0 };
    size_t p = 0;
    for (; p + MAX_LANES <= k; p += MAX_LANES) {
      UNROLL for (int w = 0; w < WIDE; w++) acc[w] =
          fused_vector(load(row + p + w * LANES), load(x + p + w * LANES), acc[w]);
    }
    UNROLL for (int w = 0; w < WIDE; w++) {
      const size_t q = p + (size_t)w * LANES;
      if (q + LANES <= k)
        acc[w] = fused_vector(load(row + q), load(x + q), acc[w]);
      else if (q < k)
        acc[w] = fused_vector(load_part(row + q, k - q), load_part(x + q, k - q), acc[w]);
    }
    const real sum = alpha * tree_sum(acc);
    c[i * ldc] = with == TB_TIMES ? sum * d[i * ldd] : beta == 0 ? sum : fused(beta, d[i * ldd], sum);
  }
}

/* ---- the product ---- */

/* What is left of a product over nothing. */
static void product_of_nothing(size_t m, size_t n, tb_gemm_with with, real beta, const real *d, size_t ldd, real *c,
                               size_t ldc) {
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++)
      c[i * ldc + j] = with == TB_TIMES ? 0 * d[i * ldd + j] : beta == 0 ? 0 : beta * d[i * ldd + j];
}

/* All rows of one panel of columns, cut into blocks of nearly equal height. */
static void panel(size_t m, size_t n, tile t) {
  const size_t vectors = (n + LANES - 1) / LANES;
  const size_t tallest = max_rows[vectors - 1], count = (m + tallest - 1) / tallest;
  const size_t low = m / count, taller = m % count;
  t.last = n - (vectors - 1) * LANES;
  for (size_t i = 0; i < count; i++) {
    const size_t rows = low + (i < taller);
    blocks[vectors - 1][rows - 1](&t);
    t.a += rows * t.a_row;
    t.c += rows * t.ldc;
    t.d += rows * t.ldd;
  }
}

static void product(size_t m, size_t n, size_t k, real alpha, const real *a, size_t a_row, size_t a_step,
                    bool transpose_b, const real *b, size_t ldb, tb_gemm_with with, real beta, const real *d,
                    size_t ldd, real *c, size_t ldc, real *scratch) {
  const bool packed = transpose_b || (n > PANEL && m >= 48 && n * k * sizeof(real) > 32768);
  for (size_t p = 0; p < k; p += K_BLOCK) {
    const size_t depth = k - p < K_BLOCK ? k - p : K_BLOCK;
    for (size_t j = 0; j < n; j += PANEL) {
      const size_t width = n - j < PANEL ? n - j : PANEL;
      tile t = { .k = depth,
                 .a = a + p * a_step,
                 .a_row = a_row,
                 .a_step = a_step,
                 .c = c + j,
                 .ldc = ldc,
                 .alpha = alpha,
                 .with = with,
                 .beta = p ? 1 : beta };
      t.d = p || (with == TB_PLUS && beta == 0) ? c + j : d + j;
      t.ldd = p ? ldc : ldd;
      if (transpose_b)
        NAME(transpose)(width, depth, b + j * ldb + p, ldb, scratch, PANEL);
      else if (packed)
        pack(depth, width, b + p * ldb + j, ldb, scratch);
      t.b = packed ? scratch : b + p * ldb + j;
      t.ldb = packed ? PANEL : ldb;
      panel(m, width, t);
    }
  }
}

void NAME(gemm)(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, double alpha_, const void *a_,
                size_t lda, const void *b_, size_t ldb, tb_gemm_with with, double beta_, const void *d_, size_t ldd,
                void *c_, size_t ldc, void *scratch) {
  const real alpha = (real)alpha_, beta = (real)beta_, *a = a_, *b = b_, *d = d_;
  real *c = c_;
  assert(with == TB_PLUS || k <= TB_GEMM_DEPTH);
  if (!m || !n)
    return;
  if (!k) {
    product_of_nothing(m, n, with, beta, d, ldd, c, ldc);
    return;
  }
  const size_t a_row = transpose_a ? 1 : lda, a_step = transpose_a ? lda : 1;
  const size_t b_step = transpose_b ? 1 : ldb, b_column = transpose_b ? ldb : 1;
  if (n == 1 && !transpose_a && (b_step == 1 || k == 1))
    dot_rows(m, k, a, lda, b, alpha, with, beta, d, ldd, c, ldc);
  else if (m == 1 && transpose_b && (a_step == 1 || k == 1))
    dot_rows(n, k, b, ldb, a, alpha, with, beta, d, 1, c, 1);
  else if (n == 1 && ldc == 1 && (ldd == 1 || (with == TB_PLUS && beta == 0))) /* cᵀ = bᵀ aᵀ: one row */
    product(1, m, k, alpha, b, b_column, b_step, !transpose_a, a, lda, with, beta, d, m, c, m, scratch);
  else
    product(m, n, k, alpha, a, a_row, a_step, transpose_b, b, ldb, with, beta, d, ldd, c, ldc, scratch);
}
