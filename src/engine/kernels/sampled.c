/* Products of matrices of which only some entries count: with few of them known, a factorisation's gradient needs a
 * fraction of the dense products.
 *
 * `products` takes entries one by one: a dot product of two rows in MAX_LANES partial sums, added in a fixed tree.
 * `combine` makes a row of sums at a time, in blocks that stay in registers over all entries of the row. */
#include "engine/kernels/real.h"

enum { BLOCK_VECTORS = 4 };

/* Partial sums of a·b over `count` ≤ MAX_LANES numbers from p on: lane i of the widest vector takes number i. */
INLINE void add_products(vector acc[WIDE], const real *a, const real *b, size_t count) {
  UNROLL for (int v = 0; v < WIDE; v++) {
    const size_t from = (size_t)v * LANES;
    if (count >= from + LANES)
      acc[v] = fused_vector(load(a + from), load(b + from), acc[v]);
    else if (count > from)
      acc[v] = fused_vector(load_part(a + from, count - from), load_part(b + from, count - from), acc[v]);
  }
}

static void products(size_t rows, size_t k, const int32_t *start, const int32_t *col, const void *a_, size_t lda,
                     const void *b_, size_t ldb, void *out_) {
  const real *a = a_, *b = b_;
  real *out = out_;
  const size_t whole = k / MAX_LANES * MAX_LANES;
  for (size_t i = 0; i < rows; i++)
    for (int32_t e = start[i]; e < start[i + 1]; e++) {
      const real *x = a + i * lda, *y = b + (size_t)col[e] * ldb;
      vector acc[WIDE] = { { 0 } };
      for (size_t p = 0; p < whole; p += MAX_LANES)
        add_products(acc, x + p, y + p, MAX_LANES);
      if (whole < k)
        add_products(acc, x + whole, y + whole, k - whole);
      out[e] = tree_sum(acc);
    }
}

/* A block of `vectors` vectors, the last of `last` lanes. */
INLINE void combine_block(int vectors, size_t last, int32_t from, int32_t to, const int32_t *order, const int32_t *col,
                          const real *value, const real *b, size_t ldb, real *out) {
  const bool part = last < LANES;
  vector acc[BLOCK_VECTORS];
  UNROLL for (int v = 0; v < vectors; v++) acc[v] = (vector){ 0 };
  for (int32_t e = from; e < to; e++) {
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

static void combine(size_t rows, size_t k, const int32_t *start, const int32_t *order, const int32_t *col,
                    const void *value_, const void *b_, size_t ldb, void *out_, size_t ldo) {
  const real *value = value_, *b = b_;
  real *out = out_;
  for (size_t i = 0; i < rows; i++) {
    size_t p = 0;
    for (; p + BLOCK_VECTORS * LANES <= k; p += BLOCK_VECTORS * LANES)
      combine_block(BLOCK_VECTORS, LANES, start[i], start[i + 1], order, col, value, b + p, ldb, out + i * ldo + p);
    for (; p + LANES <= k; p += LANES)
      combine_block(1, LANES, start[i], start[i + 1], order, col, value, b + p, ldb, out + i * ldo + p);
    if (p < k)
      combine_block(1, k - p, start[i], start[i + 1], order, col, value, b + p, ldb, out + i * ldo + p);
  }
}

const tb_kernel_sampled NAME(sampled) = { products, combine };
