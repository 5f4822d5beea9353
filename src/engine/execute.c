/* The instructions of a plan: everything was decided before; here is only arithmetic on addresses and the kernels. */
#include "engine/plan.h"
#include "num/blas.h"

#include <tiebreak/random.h>

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

/* ---- pointwise programs ---- */

static void run_adam(const tb_step *s, char *const *at, const tb_lane *lanes, size_t rows, size_t cols) {
  const tb_adam_step *a = s->adam;
  void *out[TB_ADAM_OUTPUTS];
  const void *in[TB_ADAM_VECTORS], *scalars[TB_ADAM_SCALARS];
  size_t ldo[TB_ADAM_OUTPUTS], ldi[TB_ADAM_VECTORS], lds[TB_ADAM_SCALARS];
  for (int k = 0; k < TB_ADAM_OUTPUTS; k++) {
    out[k] = at[a->out[k]];
    ldo[k] = lanes[a->out[k]].row;
  }
  for (int k = 0; k < TB_ADAM_VECTORS; k++) {
    in[k] = at[a->in[k]];
    ldi[k] = lanes[a->in[k]].row;
  }
  for (int k = 0; k < TB_ADAM_SCALARS; k++) {
    scalars[k] = at[a->scalars[k]];
    lds[k] = lanes[a->scalars[k]].row;
  }
  s->f.adam(rows, cols, a->numbers, out, ldo, in, ldi, scalars, lds);
}

static void run_step(const tb_step *s, char *const *at, const tb_lane *lanes, size_t rows, size_t cols) {
  if (s->flat) {
    cols *= rows;
    rows = 1;
  }
  if (s->kind == TB_STEP_ADAM) {
    run_adam(s, at, lanes, rows, cols);
    return;
  }
  char *out = at[s->out], *a = at[s->a];
  const size_t ldo = lanes[s->out].row, lda = lanes[s->a].row;
  switch (s->kind) {
  case TB_STEP_UNARY:
    s->f.unary(rows, cols, out, ldo, a, lda);
    break;
  case TB_STEP_PAIR:
    s->f.pair(rows, cols, out, ldo, at[s->out1], lanes[s->out1].row, a, lda);
    break;
  case TB_STEP_BINARY:
    s->f.binary(rows, cols, out, ldo, a, lda, at[s->b], lanes[s->b].row);
    break;
  case TB_STEP_TERNARY:
    s->f.ternary(rows, cols, out, ldo, a, lda, at[s->b], lanes[s->b].row, at[s->c], lanes[s->c].row);
    break;
  case TB_STEP_ADAM:
    break;
  }
}

static void run_tile(const tb_pointwise *g, const tb_frame *frame, char **at, const size_t *outer, size_t row,
                     size_t rows, size_t col, size_t cols) {
  for (uint32_t l = 0; l < g->lane_count; l++) {
    const tb_lane *lane = &g->lanes[l];
    size_t offset = 0;
    if (!lane->temporary) {
      offset = row * lane->row + col * lane->col;
      for (uint32_t i = 0; i < g->outer_count; i++)
        offset += outer[i] * lane->outer[i];
    }
    at[l] = (char *)tb_at(frame, lane->at) + offset * g->element;
  }
  for (uint32_t s = 0; s < g->step_count; s++)
    run_step(&g->steps[s], at, g->lanes, rows, cols);
}

void tb_run_pointwise(const tb_instruction *instruction, tb_frame *frame) {
  const tb_pointwise *g = instruction->detail;
  char **at = tb_at(frame, g->pointers);
  if (g->outer_total == 1 && g->tile_rows == g->rows && g->tile_cols == g->cols) { /* one tile */
    for (uint32_t l = 0; l < g->lane_count; l++)
      at[l] = tb_at(frame, g->lanes[l].at);
    for (uint32_t s = 0; s < g->step_count; s++)
      run_step(&g->steps[s], at, g->lanes, g->rows, g->cols);
    return;
  }
  size_t outer[TB_OUTER] = { 0 };
  for (size_t o = 0; o < g->outer_total; o++) {
    for (size_t row = 0; row < g->rows; row += g->tile_rows) {
      const size_t rows = g->rows - row < g->tile_rows ? g->rows - row : g->tile_rows;
      for (size_t col = 0; col < g->cols; col += g->tile_cols)
        run_tile(g, frame, at, outer, row, rows, col, g->cols - col < g->tile_cols ? g->cols - col : g->tile_cols);
    }
    for (uint32_t i = g->outer_count; i-- > 0;) {
      if (++outer[i] < g->outer_dims[i])
        break;
      outer[i] = 0;
    }
  }
}

/* ---- products, reductions, rows ---- */

/* c = alpha·op(a)·op(a)ᵀ, or that times a symmetric d: blocks of rows up to the diagonal, each mirrored above it. */
static void symmetric_product(const tb_product *g, const char *a, const char *b, const char *d, char *c,
                              void *scratch) {
  enum { ROWS = 96 };
  const size_t element = g->move->element, row_of_a = g->transpose_a ? element : g->lda * element;
  for (size_t i = 0; i < g->m; i += ROWS) {
    const size_t rows = g->m - i < ROWS ? g->m - i : ROWS;
    char *block = c + i * g->ldc * element;
    g->gemm(g->transpose_a, g->transpose_b, rows, i + rows, g->k, g->alpha, a + i * row_of_a, g->lda, b, g->ldb,
            g->with, 0, d ? d + i * g->ldd * element : NULL, g->ldd, block, g->ldc, scratch);
    g->move->transpose(rows, i, block, g->ldc, c + i * element, g->ldc);
  }
}

static void one_product(const tb_product *g, const char *a, const char *b, const char *d, char *c, void *scratch) {
  if (g->symmetric)
    symmetric_product(g, a, b, d, c, scratch);
  else
    g->gemm(g->transpose_a, g->transpose_b, g->m, g->n, g->k, g->alpha, a, g->lda, b, g->ldb, g->with, g->beta, d,
            g->ldd, c, g->ldc, scratch);
}

void tb_run_product(const tb_instruction *instruction, tb_frame *frame) {
  const tb_product *g = instruction->detail;
  const char *a = tb_at(frame, g->a), *b = tb_at(frame, g->b), *d = g->has_d ? tb_at(frame, g->d) : NULL;
  char *c = tb_at(frame, g->c);
  void *scratch = tb_at(frame, g->scratch);
  if (g->batch_rank == 0) {
    one_product(g, a, b, d, c, scratch);
    return;
  }
  size_t index[TB_MAX_RANK] = { 0 };
  for (size_t s = 0; s < g->batch; s++) {
    size_t at_a = 0, at_b = 0, at_c = 0, at_d = 0;
    for (uint32_t i = 0; i < g->batch_rank; i++) {
      at_a += index[i] * g->stride_a[i];
      at_b += index[i] * g->stride_b[i];
      at_c += index[i] * g->stride_c[i];
      at_d += index[i] * g->stride_d[i];
    }
    one_product(g, a + at_a, b + at_b, d ? d + at_d : NULL, c + at_c, scratch);
    for (uint32_t i = g->batch_rank; i-- > 0;) {
      if (++index[i] < g->batch_dims[i])
        break;
      index[i] = 0;
    }
  }
}

void tb_run_attention(const tb_instruction *instruction, tb_frame *frame) {
  const tb_attend *d = instruction->detail;
  const tb_attention *shape = &d->shape;
  char *at[TB_ATTENTION_ARRAYS];
  for (int k = 0; k < TB_ATTENTION_ARRAYS; k++)
    at[k] = tb_at(frame, d->at[k]);
  void *scratch = tb_at(frame, d->scratch);
  size_t index[TB_MAX_RANK] = { 0 };
  for (size_t s = 0; s < d->batch; s++) {
    const char *bias = d->biased ? at[TB_ATTENTION_BIAS] : NULL;
    if (d->reverse)
      d->kernel->backward(shape, at[TB_ATTENTION_Q], at[TB_ATTENTION_K], at[TB_ATTENTION_V], bias, at[TB_ATTENTION_BAR],
                          at[TB_ATTENTION_Q_BAR], at[TB_ATTENTION_K_BAR], at[TB_ATTENTION_V_BAR], scratch);
    else
      d->kernel->forward(shape, at[TB_ATTENTION_Q], at[TB_ATTENTION_K], at[TB_ATTENTION_V], bias, at[TB_ATTENTION_OUT],
                         scratch);
    for (uint32_t i = d->batch_rank; i-- > 0;) {
      const bool carry = ++index[i] == d->batch_dims[i];
      for (int k = 0; k < TB_ATTENTION_ARRAYS; k++)
        at[k] += carry ? -(ptrdiff_t)((d->batch_dims[i] - 1) * d->strides[k][i]) : (ptrdiff_t)d->strides[k][i];
      if (!carry)
        break;
      index[i] = 0;
    }
  }
}

void tb_run_norm(const tb_instruction *instruction, tb_frame *frame) {
  const tb_normalise *d = instruction->detail;
  char *at[TB_NORM_ARRAYS];
  for (int k = 0; k < TB_NORM_ARRAYS; k++)
    at[k] = d->wanted[k] ? tb_at(frame, d->at[k]) : NULL;
  void *scratch = tb_at(frame, d->scratch);
  for (size_t s = 0; s < d->batch; s++) {
    if (d->reverse)
      d->kernel->backward(&d->shape, at[TB_NORM_X], at[TB_NORM_GAIN], at[TB_NORM_BAR], at[TB_NORM_REST],
                          at[TB_NORM_X_BAR], at[TB_NORM_GAIN_BAR], at[TB_NORM_SHIFT_BAR], scratch);
    else
      d->kernel->forward(&d->shape, at[TB_NORM_X], at[TB_NORM_GAIN], at[TB_NORM_SHIFT], at[TB_NORM_OUT], scratch);
    for (int k = 0; k < TB_NORM_ARRAYS; k++)
      at[k] = at[k] ? at[k] + d->strides[k] : NULL;
  }
}

void tb_run_feed(const tb_instruction *instruction, tb_frame *frame) {
  const tb_feed *d = instruction->detail;
  char *at[TB_FEED_ARRAYS];
  for (int k = 0; k < TB_FEED_ARRAYS; k++)
    at[k] = d->used[k] ? tb_at(frame, d->at[k]) : NULL;
  void *scratch = tb_at(frame, d->scratch);
  for (size_t s = 0; s < d->batch; s++) {
    if (d->reverse)
      d->kernel->backward(&d->shape, at[TB_FEED_X], at[TB_FEED_FIRST], at[TB_FEED_BIAS], at[TB_FEED_SECOND],
                          at[TB_FEED_BACK], at[TB_FEED_BAR], at[TB_FEED_X_BAR], at[TB_FEED_FIRST_BAR],
                          at[TB_FEED_BIAS_BAR], at[TB_FEED_SECOND_BAR], scratch);
    else
      d->kernel->forward(&d->shape, at[TB_FEED_X], at[TB_FEED_FIRST], at[TB_FEED_BIAS], at[TB_FEED_SECOND],
                         at[TB_FEED_OUT], scratch);
    for (int k = 0; k < TB_FEED_ARRAYS; k++)
      at[k] = at[k] ? at[k] + d->strides[k] : NULL;
  }
}

void tb_run_fold(const tb_instruction *instruction, tb_frame *frame) {
  const tb_fold *f = instruction->detail;
  f->reduce(f->outer, f->count, f->inner, tb_at(frame, f->a), f->stride_outer, f->stride_count, tb_at(frame, f->out));
}

void tb_run_rows(const tb_instruction *instruction, tb_frame *frame) {
  const tb_rows *r = instruction->detail;
  r->f(r->rows, r->cols, tb_at(frame, r->a), tb_at(frame, r->out));
}

/* ---- moves ---- */

static void copy_axis(const tb_copy *c, uint32_t axis, const char *a, char *out) {
  if (axis == c->rank) {
    memcpy(out, a, c->element);
    return;
  }
  const size_t n = c->dims[axis], from = c->from[axis], to = c->to[axis];
  if (axis + 2 == c->rank && c->transpose) {
    c->transpose(c->dims[axis + 1], n, a, c->from[axis + 1] / c->element, out, to / c->element);
  } else if (axis + 1 == c->rank && from == c->element && to == c->element) {
    memcpy(out, a, n * c->element);
  } else if (axis + 1 == c->rank && c->element == 4) {
    for (size_t i = 0; i < n; i++)
      memcpy(out + i * to, a + i * from, 4);
  } else if (axis + 1 == c->rank) {
    for (size_t i = 0; i < n; i++)
      memcpy(out + i * to, a + i * from, 8);
  } else {
    for (size_t i = 0; i < n; i++)
      copy_axis(c, axis + 1, a + i * from, out + i * to);
  }
}

void tb_run_copy(const tb_instruction *instruction, tb_frame *frame) {
  const tb_copy *c = instruction->detail;
  copy_axis(c, 0, tb_at(frame, c->a), tb_at(frame, c->out));
}

void tb_run_zero(const tb_instruction *instruction, tb_frame *frame) {
  const tb_zero *z = instruction->detail;
  memset(tb_at(frame, z->out), 0, z->bytes);
}

void tb_run_index(const tb_instruction *instruction, tb_frame *frame) {
  const tb_index_move *m = instruction->detail;
  const int32_t *index = tb_at(frame, m->index);
  for (size_t j = 0; j < m->count; j++)
    if ((index[j] < 0 || (size_t)index[j] >= m->length) && frame->status == TB_OK)
      frame->status = tb_fail(frame->context, TB_BAD_DATA, NULL, NULL, "%s: index %d lies outside [0,%zu)", m->name,
                              index[j], m->length);
  m->f(m->outer, m->length, m->inner, tb_at(frame, m->a), m->count, index, tb_at(frame, m->out));
}

/* ---- dense linear algebra ----
 *
 * Factors and triangular solves are kernels of the type.  A float32 matrix that is not definite to float32 arithmetic
 * (a Gram matrix with little damping) is factored again in float64.  General solves are LAPACK in float64, rounded
 * once. */

static void widen(tb_dtype dtype, const void *from, size_t start, size_t count, double *to) {
  if (dtype == TB_FLOAT64)
    memcpy(to, (const double *)from + start, count * sizeof(double));
  else
    for (size_t i = 0; i < count; i++)
      to[i] = ((const float *)from)[start + i];
}

static void narrow(tb_dtype dtype, const double *from, size_t count, void *to, size_t start) {
  if (dtype == TB_FLOAT64)
    memcpy((double *)to + start, from, count * sizeof(double));
  else
    for (size_t i = 0; i < count; i++)
      ((float *)to)[start + i] = (float)from[i];
}

static void set_nan(double *x, size_t count) {
  for (size_t i = 0; i < count; i++)
    x[i] = NAN;
}

/* b[n×k] ← op(a)⁻¹ b by LU; a is destroyed. */
static void general_solve(size_t n, size_t k, bool transpose, double *a, double *b, int *pivots) {
  /* the column-major a is our aᵀ */
  if (LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, (int)n, (int)n, a, (int)n, pivots) != 0) {
    set_nan(b, n * k);
    return;
  }
  if (transpose) { /* aᵀ x = b: P L U x = b */
    for (size_t i = 0; i < n; i++)
      if ((size_t)pivots[i] - 1 != i)
        cblas_dswap((int)k, b + i * k, 1, b + ((size_t)pivots[i] - 1) * k, 1);
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasUpper, CblasTrans, CblasUnit, (int)n, (int)k, 1, a, (int)n, b, (int)k);
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, (int)n, (int)k, 1, a, (int)n, b,
                (int)k);
  } else { /* a x = b: Uᵀ Lᵀ Pᵀ x = b */
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (int)n, (int)k, 1, a, (int)n, b,
                (int)k);
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasUnit, (int)n, (int)k, 1, a, (int)n, b, (int)k);
    for (size_t i = n; i-- > 0;)
      if ((size_t)pivots[i] - 1 != i)
        cblas_dswap((int)k, b + i * k, 1, b + ((size_t)pivots[i] - 1) * k, 1);
  }
}

void tb_run_cholesky(const tb_instruction *instruction, tb_frame *frame) {
  const tb_dense *d = instruction->detail;
  const char *a = tb_at(frame, d->a);
  char *out = tb_at(frame, d->out);
  double *work = tb_at(frame, d->work);
  const size_t square = d->n * d->n, bytes = square * tb_dtype_size(d->dtype);
  for (size_t s = 0; s < d->batch; s++) {
    memcpy(out + s * bytes, a + s * bytes, bytes);
    if (d->factor->cholesky(d->n, out + s * bytes, work))
      continue;
    widen(d->dtype, a, s * square, square, work);
    if (d->dtype == TB_FLOAT64 || !d->wide->cholesky(d->n, work, work + square))
      for (size_t i = 0; i < d->n; i++) {
        set_nan(work + i * d->n, i + 1);
        memset(work + i * d->n + i + 1, 0, (d->n - i - 1) * sizeof *work);
      }
    narrow(d->dtype, work, square, out, s * square);
  }
}

void tb_run_triangular_solve(const tb_instruction *instruction, tb_frame *frame) {
  const tb_dense *d = instruction->detail;
  const char *a = tb_at(frame, d->a), *b = tb_at(frame, d->b);
  char *out = tb_at(frame, d->out);
  void *work = tb_at(frame, d->work);
  const size_t size = tb_dtype_size(d->dtype), square = d->n * d->n * size, bytes = d->n * d->k * size;
  memcpy(out, b, d->batch * bytes);
  for (size_t s = 0; s < d->batch; s++)
    d->factor->triangular_solve(d->transpose, d->n, d->k, a + s * square, out + s * bytes, work);
}

void tb_run_solve(const tb_instruction *instruction, tb_frame *frame) {
  const tb_dense *d = instruction->detail;
  const void *a = tb_at(frame, d->a), *b = tb_at(frame, d->b);
  void *out = tb_at(frame, d->out);
  double *matrix = tb_at(frame, d->work), *right = matrix + d->n * d->n;
  const size_t square = d->n * d->n, size = d->n * d->k;
  tb_blas_enter();
  for (size_t s = 0; s < d->batch; s++) {
    widen(d->dtype, a, s * square, square, matrix);
    widen(d->dtype, b, s * size, size, right);
    general_solve(d->n, d->k, d->transpose, matrix, right, tb_at(frame, d->pivots));
    narrow(d->dtype, right, size, out, s * size);
  }
  tb_blas_leave();
}

/* ---- draws, plain loops ---- */

void tb_run_draw(const tb_instruction *instruction, tb_frame *frame) {
  const tb_draw *d = instruction->detail;
  const int32_t *words = tb_at(frame, d->key);
  void *out = tb_at(frame, d->out);
  const tb_key key = { .seed = (uint64_t)(uint32_t)words[0] | (uint64_t)(uint32_t)words[1] << 32,
                       .step = (uint32_t)words[2],
                       .use = d->use };
  uint64_t first = 0;
  for (uint32_t i = 0; i < d->tiles; i++)
    first += d->row_elements[i] * (uint64_t)(*(const int32_t *)tb_at(frame, d->rows[i]));
  if (d->dtype == TB_FLOAT64)
    (d->normal ? tb_random_normal : tb_random_uniform)(key, first, d->count, out);
  else
    (d->normal ? tb_random_normal_float : tb_random_uniform_float)(key, first, d->count, out);
}

void tb_run_plain(const tb_instruction *instruction, tb_frame *frame) {
  const tb_plain *p = instruction->detail;
  const void *operands[TB_PLAIN_OPERANDS];
  for (uint32_t k = 0; k < p->operand_count; k++)
    operands[k] = tb_at(frame, p->operands[k]);
  const tb_status status = tb_ops[p->node->op].naive(frame->context, p->graph, p->node, operands, tb_at(frame, p->out));
  frame->status = frame->status == TB_OK ? status : frame->status;
}
