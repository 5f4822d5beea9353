/* The kernel JJᵀ of a deep factorisation, from the squares of the products around each factor.
 *
 *     K_{kk'} = Σ_l ⟨M_k, S_l M_k' T_l⟩,   S_l = A_lA_lᵀ [rows×rows],   T_l = B_lᵀB_l [cols×cols]
 *
 * For entries (i, j), (i', j') a term is S_l[i,i'] T_l[j,j'].  S_L and T_1 are identities, so the last term lives in
 * pairs of one row, the first in pairs of one column, and only those between are dense: count² numbers each. */
#include <string.h>

#include "num/linear.h"
#include "optim/factored_parts.h"

/* out[n×n] = 1 */
static void identity(size_t n, double *out) {
  memset(out, 0, n * n * sizeof *out);
  for (size_t i = 0; i < n; i++)
    out[i * n + i] = 1.0;
}

void tb_factored_squares(tb_factored *s, const double *theta, double *around, double *above, double *below) {
  const size_t rows = s->rows, cols = s->cols, depth = s->depth;
  const size_t most = (rows > cols ? rows : cols) * (s->width > rows ? s->width : rows);
  double *chain = around, *next = around + most;
  identity(rows, above + (depth - 1) * rows * rows);
  for (size_t l = depth; l > 1; l--) { /* A_{l−1} = A_l W_l [rows × in_l] */
    const double *w = theta + tb_factored_offset(s, l);
    const size_t in = tb_factored_in(s, l), out = tb_factored_out(s, l);
    if (l == depth)
      memcpy(next, w, out * in * sizeof *w);
    else
      tb_factored_gemm(s, false, false, rows, in, out, chain, w, 0.0, next);
    tb_factored_gemm(s, false, true, rows, rows, in, next, next, 0.0, above + (l - 2) * rows * rows);
    double *swap = chain;
    chain = next;
    next = swap;
  }
  identity(cols, below);
  for (size_t l = 1; l < depth; l++) { /* B_{l+1} = W_l B_l [out_l × cols] */
    const double *w = theta + tb_factored_offset(s, l);
    const size_t in = tb_factored_in(s, l), out = tb_factored_out(s, l);
    if (l == 1)
      memcpy(next, w, out * in * sizeof *w);
    else
      tb_factored_gemm(s, false, false, out, cols, in, w, chain, 0.0, next);
    tb_factored_gemm(s, true, false, cols, cols, out, next, next, 0.0, below + l * cols * cols);
    double *swap = chain;
    chain = next;
    next = swap;
  }
}

void tb_factored_metric(tb_factored *s, const double *above, const double *below, const double *x, double *work,
                        double *image) {
  const size_t rows = s->rows, cols = s->cols, depth = s->depth;
  if (depth == 1) {
    memcpy(image, x, s->size * sizeof *x);
    return;
  }
  tb_factored_gemm(s, false, false, rows, cols, rows, above, x, 0.0, image); /* S_1 X */
  for (size_t l = 2; l < depth; l++) {
    tb_factored_gemm(s, false, false, rows, cols, rows, above + (l - 1) * rows * rows, x, 0.0, work);
    tb_factored_gemm(s, false, false, rows, cols, cols, work, below + (l - 1) * cols * cols, 1.0, image);
  }
  tb_factored_gemm(s, false, false, rows, cols, cols, x, below + (depth - 1) * cols * cols, 1.0, image); /* X T_L */
}

/* Rows first … last − 1 of the entries' kernel in one row of W against those of another. */
static void row_pair(tb_factored *s, const double *above, const double *below, size_t i, size_t k, double *kernel) {
  const size_t rows = s->rows, cols = s->cols, n = s->count;
  const int32_t *col = s->col;
  const int32_t first = s->start[k], last = s->start[k + 1];
  for (int32_t e = s->start[i]; e < s->start[i + 1]; e++) {
    double *out = kernel + (size_t)e * n;
    const int32_t end = i == k ? e + 1 : last;
    for (size_t l = i == k ? s->depth : s->depth - 1; l >= 2; l--) {
      const double scale = above[(l - 1) * rows * rows + i * rows + k];
      const double *t = below + (l - 1) * cols * cols + (size_t)col[e] * cols;
      for (int32_t a = first; a < end; a++)
        out[a] += scale * t[col[a]];
    }
  }
}

static void kernel_of_entries(tb_factored *s, const double *above, const double *below, double *kernel) {
  const size_t n = s->count;
  for (size_t e = 0; e < n; e++)
    memset(kernel + e * n, 0, (e + 1) * sizeof *kernel);
  for (size_t i = 0; i < s->rows; i++)
    for (size_t k = s->depth == 2 ? i : 0; k <= i; k++)
      row_pair(s, above, below, i, k, kernel);
  for (size_t j = 0; j < s->cols; j++) /* rows, and so places, ascend in a column */
    for (int32_t e = s->start_of_col[j]; e < s->start_of_col[j + 1]; e++)
      for (int32_t a = s->start_of_col[j]; a <= e; a++)
        kernel[(size_t)s->places[e] * n + (size_t)s->places[a]] +=
            above[(size_t)s->row_of[e] * s->rows + (size_t)s->row_of[a]];
}

tb_status tb_factored_kernel(tb_factored *s, const double *above, const double *below, double *kernel) {
  if (!s->dense) {
    kernel_of_entries(s, above, below, kernel);
    return TB_OK;
  }
  double *image = tb_allocate(s->context, s->count * s->size, sizeof *image);
  if (!image)
    return TB_NO_MEMORY;
  for (size_t k = 0; k < s->count; k++)
    tb_factored_metric(s, above, below, s->dense + k * s->size, s->w, image + k * s->size);
  tb_gemm(false, true, s->count, s->count, s->size, 1.0, s->dense, image, 0.0, kernel);
  tb_release(s->context, image);
  return TB_OK;
}
