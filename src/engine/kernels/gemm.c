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
  DOT_ROWS = VECTOR_BYTES == 64 ? 4 : 2,
  DOT_COLS = VECTOR_BYTES == 64 ? 6 : 2,
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

/* c from the sums: times alpha, plus beta d, and so on. */
INLINE void finish(int rows, int vectors, bool part, const tile *t, vector acc[MAX_ROWS][PANEL_VECTORS]) {
#define EACH_VECTOR UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++)
#define PARTLY      (part && v == vectors - 1)
#define PUT(x)      store_last(t->c + (size_t)r * t->ldc + v * LANES, x, PARTLY, last)
#define D           load_last(t->d + (size_t)r * t->ldd + v * LANES, PARTLY, last)
  const size_t last = t->last;
  const vector alpha = spread(t->alpha), beta = spread(t->beta), zero = { 0 };
  const bool times = t->alpha != 1;
  if (times) {
    EACH_VECTOR acc[r][v] *= alpha;
  }
  if (t->with == TB_TIMES) {
    EACH_VECTOR PUT(acc[r][v] * D);
  } else if (t->with == TB_WHERE_POSITIVE) {
    EACH_VECTOR PUT(where_positive(D, acc[r][v]));
  } else if (t->with == TB_PLUS_POSITIVE && t->beta == 0) {
    EACH_VECTOR PUT(larger_of(zero, acc[r][v]));
  } else if (t->with == TB_PLUS_POSITIVE) {
    EACH_VECTOR PUT(larger_of(zero, fused_vector(beta, D, acc[r][v])));
  } else if (t->beta == 0) {
    EACH_VECTOR PUT(acc[r][v]);
  } else {
    EACH_VECTOR PUT(fused_vector(beta, D, acc[r][v]));
  }
}

/* c[rows × vectors] from Σ_p a[., p] b[p, .].  Rows of a are addressed from every third one, because x86 adds one or
 * two times a stride for nothing. */
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
  finish(rows, vectors, part, t, acc);
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

/* ---- few columns ---- */

/* One output from its sum. */
INLINE real one_output(real sum, real alpha, tb_gemm_with with, real beta, const real *d) {
  sum *= alpha;
  if (with == TB_TIMES)
    return sum * *d;
  if (with == TB_WHERE_POSITIVE)
    return *d > 0 ? sum : 0;
  sum = beta == 0 ? sum : fused(beta, *d, sum);
  return with == TB_PLUS_POSITIVE && sum < 0 ? 0 : sum;
}

/* Outputs rows × cols of dot products along k, both operands running on: MAX_LANES sums an output, then a fixed tree.
 */
INLINE void dots(int rows, int cols, size_t k, const real *a, size_t lda, const real *b, size_t ldb, real *sums,
                 size_t ld) {
  vector acc[DOT_ROWS][DOT_COLS][WIDE];
#define EACH_DOT                                                                                                       \
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int c = 0; c < cols; c++) UNROLL for (int w = 0; w < WIDE; w++)
  EACH_DOT acc[r][c][w] = (vector){ 0 };
  size_t p = 0;
  for (; p + MAX_LANES <= k; p += MAX_LANES) {
    EACH_DOT acc[r][c][w] = fused_vector(load(a + (size_t)r * lda + p + w * LANES),
                                         load(b + (size_t)c * ldb + p + w * LANES), acc[r][c][w]);
  }
  if (p < k)
    EACH_DOT {
      const size_t q = p + (size_t)w * LANES;
      if (q + LANES <= k)
        acc[r][c][w] = fused_vector(load(a + (size_t)r * lda + q), load(b + (size_t)c * ldb + q), acc[r][c][w]);
      else if (q < k)
        acc[r][c][w] = fused_vector(load_part(a + (size_t)r * lda + q, k - q),
                                    load_part(b + (size_t)c * ldb + q, k - q), acc[r][c][w]);
    }
  vector all[DOT_ROWS * DOT_COLS * WIDE];
  real out[DOT_ROWS * DOT_COLS];
  EACH_DOT all[(r * cols + c) * WIDE + w] = acc[r][c][w];
  UNROLL for (int i = 0; i < rows * cols; i += LANES)
      tree_sums(rows * cols - i < LANES ? rows * cols - i : LANES, all + i * WIDE, out + i);
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int c = 0; c < cols; c++) sums[(size_t)r * ld + (size_t)c] = out[r * cols + c];
  }
}

typedef void dot_block(size_t k, const real *a, size_t lda, const real *b, size_t ldb, real *sums);
#define DOT_BLOCK(cols)                                                                                                \
  static void dots_##cols(size_t k, const real *a, size_t lda, const real *b, size_t ldb, real *sums) {                \
    dots(DOT_ROWS, cols, k, a, lda, b, ldb, sums, GEMM_NARROW);                                                        \
  }
/* clang-format off */
DOT_BLOCK(1) DOT_BLOCK(2)
#if VECTOR_BYTES == 64
DOT_BLOCK(3) DOT_BLOCK(4) DOT_BLOCK(5) DOT_BLOCK(6)
static dot_block *const dot_blocks[DOT_COLS] = { dots_1, dots_2, dots_3, dots_4, dots_5, dots_6 };
#else
static dot_block *const dot_blocks[DOT_COLS] = { dots_1, dots_2 };
#endif
/* clang-format on */

/* b's columns in groups of nearly equal width, DOT_ROWS rows of a at a time. */
static void dot_product(size_t m, size_t n, size_t k, real alpha, const real *a, size_t lda, const real *b, size_t ldb,
                        tb_gemm_with with, real beta, const real *d, size_t ldd, real *c, size_t ldc) {
  real sums[DOT_ROWS * GEMM_NARROW];
  for (size_t i = 0; i < m; i += DOT_ROWS) {
    const size_t rows = m - i < DOT_ROWS ? m - i : DOT_ROWS;
    for (size_t j = 0; j < n;) {
      const size_t groups = (n - j + DOT_COLS - 1) / DOT_COLS, cols = (n - j + groups - 1) / groups;
      const real *x = a + i * lda, *y = b + j * ldb;
      if (rows < DOT_ROWS)
        for (size_t r = 0; r < rows; r++)
          for (size_t q = 0; q < cols; q++)
            dots(1, 1, k, x + r * lda, lda, y + q * ldb, ldb, sums + r * GEMM_NARROW + j + q, GEMM_NARROW);
      else
        dot_blocks[cols - 1](k, x, lda, y, ldb, sums + j);
      j += cols;
    }
    for (size_t r = 0; r < rows; r++)
      for (size_t j = 0; j < n; j++)
        c[(i + r) * ldc + j] = one_output(sums[r * GEMM_NARROW + j], alpha, with, beta, d + (i + r) * ldd + j);
  }
}

/* ---- one column: dot products ---- */

/* c[i] = alpha a[i, .]·x + beta d[i], or times d[i], DOT_COLS rows of a at a time. */
static void dot_rows(size_t m, size_t k, const real *a, size_t lda, const real *x, real alpha, tb_gemm_with with,
                     real beta, const real *d, size_t ldd, real *c, size_t ldc) {
  real sums[DOT_COLS];
  for (size_t i = 0; i < m; i += DOT_COLS) {
    const size_t rows = m - i < DOT_COLS ? m - i : DOT_COLS;
    if (rows == DOT_COLS)
      dots(1, DOT_COLS, k, x, 0, a + i * lda, lda, sums, DOT_COLS);
    else
      for (size_t r = 0; r < rows; r++)
        dots(1, 1, k, x, 0, a + (i + r) * lda, lda, sums + r, 1);
    for (size_t r = 0; r < rows; r++)
      c[(i + r) * ldc] = one_output(sums[r], alpha, with, beta, d + (i + r) * ldd);
  }
}

/* ---- the product ---- */

/* What is left of a product over nothing. */
static void product_of_nothing(size_t m, size_t n, tb_gemm_with with, real beta, const real *d, size_t ldd, real *c,
                               size_t ldc) {
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++)
      c[i * ldc + j] = one_output(0, 1, with, beta, d + i * ldd + j);
}

/* What the next panel is made of, fetched while this one is at work. */
typedef struct ahead {
  const real *from;
  size_t rows, width, ld; /* rows 0: nothing */
} ahead;

INLINE void fetch(const real *from, size_t width) {
  for (size_t j = 0; j < width; j += MAX_LANES)
    __builtin_prefetch(from + j, 0, 2);
}

/* All rows of one panel of columns, cut into blocks of nearly equal height. */
static void panel(size_t m, size_t n, tile t, const ahead *next) {
  const size_t vectors = (n + LANES - 1) / LANES;
  const size_t tallest = max_rows[vectors - 1], count = (m + tallest - 1) / tallest;
  const size_t low = m / count, taller = m % count;
  t.last = n - (vectors - 1) * LANES;
  for (size_t i = 0; i < count; i++) {
    const size_t rows = low + (i < taller);
    if (next) { /* this block's part of the next panel, and its own outputs */
      for (size_t q = i * next->rows / count; q < (i + 1) * next->rows / count; q++)
        fetch(next->from + q * next->ld, next->width);
      for (size_t r = 0; r < rows; r++)
        fetch(t.d + r * t.ldd, n);
    }
    blocks[vectors - 1][rows - 1](&t);
    t.a += rows * t.a_row;
    t.c += rows * t.ldc;
    t.d += rows * t.ldd;
  }
}

/* Operands and outputs beyond this do not stay in the second cache: worth to be fetched ahead. */
enum { NEAR = 1 << 19 };

static void product(size_t m, size_t n, size_t k, real alpha, const real *a, size_t a_row, size_t a_step,
                    bool transpose_b, const real *b, size_t ldb, tb_gemm_with with, real beta, const real *d,
                    size_t ldd, real *c, size_t ldc, real *scratch) {
  const bool packed = transpose_b || (n > PANEL && m >= 48 && n * k * sizeof(real) > 32768);
  const bool far = packed && m >= 48 && (n * k + m * n) * sizeof(real) > NEAR;
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
      t.d = p ? c + j : d + j;
      t.ldd = p ? ldc : ldd;
      ahead next = { .ld = ldb };
      const size_t rest = n - j - width, more = rest < PANEL ? rest : PANEL;
      if (transpose_b) {
        NAME(transpose)(width, depth, b + j * ldb + p, ldb, scratch, PANEL);
        next.from = b + (j + width) * ldb + p, next.rows = more, next.width = depth;
      } else {
        if (packed)
          pack(depth, width, b + p * ldb + j, ldb, scratch);
        next.from = b + p * ldb + j + width, next.rows = more ? depth : 0, next.width = more;
      }
      t.b = packed ? scratch : b + p * ldb + j;
      t.ldb = packed ? PANEL : ldb;
      panel(m, width, t, far ? &next : NULL);
    }
  }
}

/* Few columns and a long sum: dot products, in blocks of DOT_BLOCK whose sums are added to c in order. */
static void narrow_product(size_t m, size_t n, size_t k, real alpha, const real *a, size_t lda, bool transpose_b,
                           const real *b, size_t ldb, tb_gemm_with with, real beta, const real *d, size_t ldd, real *c,
                           size_t ldc, real *scratch) {
  for (size_t p = 0; p < k; p += GEMM_DOT_BLOCK) {
    const size_t depth = k - p < GEMM_DOT_BLOCK ? k - p : GEMM_DOT_BLOCK;
    if (!transpose_b)
      NAME(transpose)(depth, n, b + p * ldb, ldb, scratch, depth);
    dot_product(m, n, depth, alpha, a + p, lda, transpose_b ? b + p : scratch, transpose_b ? ldb : depth, with,
                p ? 1 : beta, p ? c : d, p ? ldc : ldd, c, ldc);
  }
}

/* Few columns and a that runs on along m: cᵀ = op(b)ᵀ a, a panel of columns of which is turned into rows of c. */
static void turned_product(size_t m, size_t n, size_t k, real alpha, const real *a, size_t lda, const real *b,
                           size_t b_step, size_t b_column, tb_gemm_with with, real beta, const real *d, size_t ldd,
                           real *c, size_t ldc) {
  real turned[GEMM_NARROW * PANEL] __attribute__((aligned(64))), rows[GEMM_NARROW * PANEL] __attribute__((aligned(64)));
  const size_t count = (k + 2 * K_BLOCK - 1) / (2 * K_BLOCK), height = (k + count - 1) / count;
  for (size_t p = 0; p < k; p += height) {
    const size_t depth = k - p < height ? k - p : height;
    const real factor = p ? 1 : beta, *added = p ? c : d;
    const size_t ld = p ? ldc : ldd;
    for (size_t j = 0; j < m; j += PANEL) {
      const size_t width = m - j < PANEL ? m - j : PANEL;
      const tile t = { .k = depth,
                       .a = b + p * b_step,
                       .a_row = b_column,
                       .a_step = b_step,
                       .b = a + p * lda + j,
                       .ldb = lda,
                       .c = turned,
                       .ldc = PANEL,
                       .d = turned,
                       .ldd = PANEL,
                       .with = TB_PLUS,
                       .alpha = 1 };
      panel(n, width, t, NULL);
      if (alpha == 1 && factor == 0 && with == TB_PLUS) {
        NAME(transpose)(n, width, turned, PANEL, c + j * ldc, ldc);
        continue;
      }
      NAME(transpose)(n, width, turned, PANEL, rows, GEMM_NARROW);
      for (size_t i = 0; i < width; i++)
        for (size_t q = 0; q < n; q++)
          c[(j + i) * ldc + q] = one_output(rows[i * GEMM_NARROW + q], alpha, with, factor, added + (j + i) * ld + q);
    }
  }
}

static void few_columns(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, real alpha, const real *a,
                        size_t lda, const real *b, size_t ldb, tb_gemm_with with, real beta, const real *d, size_t ldd,
                        real *c, size_t ldc, real *scratch) {
  if (!tb_gemm_multiplies(with) && beta == 0) { /* not read, but addressed */
    d = c;
    ldd = ldc;
  }
  if (transpose_a)
    turned_product(m, n, k, alpha, a, lda, b, transpose_b ? 1 : ldb, transpose_b ? ldb : 1, with, beta, d, ldd, c, ldc);
  else
    narrow_product(m, n, k, alpha, a, lda, transpose_b, b, ldb, with, beta, d, ldd, c, ldc, scratch);
}

void NAME(gemm)(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, double alpha_, const void *a_,
                size_t lda, const void *b_, size_t ldb, tb_gemm_with with, double beta_, const void *d_, size_t ldd,
                void *c_, size_t ldc, void *scratch) {
  const real alpha = (real)alpha_, beta = (real)beta_, *a = a_, *b = b_, *d = d_;
  real *c = c_;
  enum { LONG = 8 * MAX_LANES }; /* sums that are worth a tree of their own */
  assert(with == TB_PLUS || k <= TB_GEMM_DEPTH);
  const size_t rest = n % MAX_LANES, most = transpose_a ? MAX_LANES / 2 : MAX_LANES / 4;
  if (n > MAX_LANES && rest > 0 && rest <= most && k >= LONG / 2 && m >= 2 * MAX_LANES) {
    /* columns that would fill little of a vector, by themselves */
    const size_t main = n - rest, b_rest = main * (transpose_b ? ldb : 1);
    const real *d_rest = d_ ? (const real *)d_ + main : NULL;
    NAME(gemm)(transpose_a, transpose_b, m, main, k, alpha_, a_, lda, b_, ldb, with, beta_, d_, ldd, c_, ldc, scratch);
    few_columns(transpose_a, transpose_b, m, rest, k, alpha, a, lda, b + b_rest, ldb, with, beta, d_rest, ldd, c + main,
                ldc, scratch);
    return;
  }
  if (!m || !n)
    return;
  if (!tb_gemm_multiplies(with) && beta == 0) { /* not read, but addressed */
    d = c;
    ldd = ldc;
  }
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
  else if (n > 1 && n <= GEMM_NARROW && m > 1 && (transpose_a ? m >= 2 * MAX_LANES && k >= 2 * MAX_LANES : k >= LONG))
    few_columns(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, with, beta, d, ldd, c, ldc, scratch);
  else if (n == 1 && ldc == 1 && ldd == 1) /* cᵀ = bᵀ aᵀ: one row */
    product(1, m, k, alpha, b, b_column, b_step, !transpose_a, a, lda, with, beta, d, m, c, m, scratch);
  else
    product(m, n, k, alpha, a, a_row, a_step, transpose_b, b, ldb, with, beta, d, ldd, c, ldc, scratch);
}
