/* Products of matrices of which only some entries count: with few of them known, a factorisation's gradient needs a
 * fraction of the dense products.
 *
 * `products` takes a few entries of a row at once, so that the row is loaded once for all: each is a dot product in
 * MAX_LANES partial sums, added in a fixed tree.  `combine` makes a piece of a row of sums at a time, which stays in
 * registers over all entries of the row; pieces go from left to right and rows within them, so that the columns of b
 * in use stay in the first cache. */
#include "engine/kernels/real.h"

enum {
  GROUP = VECTOR_BYTES / 8,                  /* entries at once */
  MOST_VECTORS = VECTOR_BYTES == 64 ? 6 : 8, /* of a piece */
};

/* ---- dot products ---- */

#define EACH_PRODUCT UNROLL for (int v = 0; v < WIDE; v++) UNROLL for (int q = 0; q < count; q++)

/* out[q] = x·b[col[q], .], q < count ≤ GROUP; lane i of the widest vector takes the numbers i, i + MAX_LANES, … */
INLINE void dots(int count, size_t k, const int32_t *col, const real *x, const real *b, size_t ldb, real *out) {
  const real *y[GROUP];
  vector acc[GROUP][WIDE];
  UNROLL for (int q = 0; q < count; q++) y[q] = b + (size_t)col[q] * ldb;
  EACH_PRODUCT acc[q][v] = (vector){ 0 };
  size_t p = 0;
  for (; p + MAX_LANES <= k; p += MAX_LANES)
    EACH_PRODUCT acc[q][v] = fused_vector(load(x + p + v * LANES), load(y[q] + p + v * LANES), acc[q][v]);
  if (p < k)
    EACH_PRODUCT {
      const size_t at = p + (size_t)(v * LANES);
      if (at + LANES <= k)
        acc[q][v] = fused_vector(load(x + at), load(y[q] + at), acc[q][v]);
      else if (at < k)
        acc[q][v] = fused_vector(load_part(x + at, k - at), load_part(y[q] + at, k - at), acc[q][v]);
    }
  tree_sums(count, acc[0], out);
}

typedef void dot_group(size_t k, const int32_t *col, const real *x, const real *b, size_t ldb, real *out);
#define DOTS(count)                                                                                                    \
  static void dots_##count(size_t k, const int32_t *col, const real *x, const real *b, size_t ldb, real *out) {        \
    dots(count, k, col, x, b, ldb, out);                                                                               \
  }
/* clang-format off */
DOTS(1) DOTS(2)
#if VECTOR_BYTES == 64
DOTS(3) DOTS(4) DOTS(5) DOTS(6) DOTS(7) DOTS(8)
static dot_group *const dot_groups[GROUP] = { dots_1, dots_2, dots_3, dots_4, dots_5, dots_6, dots_7, dots_8 };
#elif VECTOR_BYTES == 32
DOTS(3) DOTS(4)
static dot_group *const dot_groups[GROUP] = { dots_1, dots_2, dots_3, dots_4 };
#else
static dot_group *const dot_groups[GROUP] = { dots_1, dots_2 };
#endif
/* clang-format on */

static void products(size_t rows, size_t k, const int32_t *start, const int32_t *col, const void *a_, size_t lda,
                     const void *b_, size_t ldb, void *out_) {
  const real *a = a_, *b = b_;
  real *out = out_;
  for (size_t i = 0; i < rows; i++)
    for (int32_t e = start[i]; e < start[i + 1];) { /* groups of nearly equal size */
      const int32_t left = start[i + 1] - e, groups = (left + GROUP - 1) / GROUP, count = (left + groups - 1) / groups;
      dot_groups[count - 1](k, col + e, a + i * lda, b, ldb, out + e);
      e += count;
    }
}

/* ---- sums of rows ---- */

/* Columns of the sums of all rows: so many vectors, the last of `last` lanes; b and out begin at the first of them. */
INLINE void combine_piece(int vectors, size_t last, size_t rows, const int32_t *start, const int32_t *order,
                          const int32_t *col, const real *value, const real *b, size_t ldb, real *out, size_t ldo) {
  const bool part = last < LANES;
  for (size_t i = 0; i < rows; i++, out += ldo) {
    vector acc[MOST_VECTORS];
    UNROLL for (int v = 0; v < vectors; v++) acc[v] = (vector){ 0 };
    for (int32_t e = start[i]; e < start[i + 1]; e++) {
      const vector x = spread(value[order ? order[e] : e]);
      const real *y = b + (size_t)col[e] * ldb;
      UNROLL for (int v = 0; v < vectors; v++) {
        const bool masked = part && v == vectors - 1;
        acc[v] = fused_vector(x, masked ? load_part(y + v * LANES, last) : load(y + v * LANES), acc[v]);
      }
    }
    UNROLL for (int v = 0; v < vectors; v++) {
      if (part && v == vectors - 1)
        store_part(out + v * LANES, acc[v], last);
      else
        store(out + v * LANES, acc[v]);
    }
  }
}

typedef void piece(size_t last, size_t rows, const int32_t *start, const int32_t *order, const int32_t *col,
                   const real *value, const real *b, size_t ldb, real *out, size_t ldo);
#define PIECE(vectors)                                                                                                 \
  static void piece_##vectors(size_t last, size_t rows, const int32_t *start, const int32_t *order,                    \
                              const int32_t *col, const real *value, const real *b, size_t ldb, real *out,             \
                              size_t ldo) {                                                                            \
    combine_piece(vectors, last, rows, start, order, col, value, b, ldb, out, ldo);                                    \
  }
/* clang-format off */
PIECE(1) PIECE(2) PIECE(3) PIECE(4) PIECE(5) PIECE(6)
#if VECTOR_BYTES == 64
static piece *const pieces[MOST_VECTORS] = { piece_1, piece_2, piece_3, piece_4, piece_5, piece_6 };
#else
PIECE(7) PIECE(8)
static piece *const pieces[MOST_VECTORS] = { piece_1, piece_2, piece_3, piece_4, piece_5, piece_6, piece_7, piece_8 };
#endif
/* clang-format on */

static void combine(size_t rows, size_t k, const int32_t *start, const int32_t *order, const int32_t *col,
                    const void *value, const void *b_, size_t ldb, void *out_, size_t ldo) {
  const real *b = b_;
  real *out = out_;
  for (size_t p = 0; p < k;) { /* pieces of nearly equal width */
    const size_t left = (k - p + LANES - 1) / LANES, count = (left + MOST_VECTORS - 1) / MOST_VECTORS;
    const size_t vectors = (left + count - 1) / count, width = vectors * LANES < k - p ? vectors * LANES : k - p;
    pieces[vectors - 1](width - (vectors - 1) * LANES, rows, start, order, col, value, b + p, ldb, out + p, ldo);
    p += width;
  }
}

const tb_kernel_sampled NAME(sampled) = { products, combine };
