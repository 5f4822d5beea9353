/* Values and derivatives of a deep factorisation on measurements.
 *
 * Up:    B_1 = I,  B_{l+1} = W_l B_l;  f = measurements of W_L B_L
 * Down:  R = Σ_k r_k M_k,  ∂/∂W_L: R B_Lᵀ,  H_{L} = W_LᵀR,  ∂/∂W_l: H_{l+1} B_lᵀ,  H_l = W_lᵀ H_{l+1}
 *
 * Where the measurements are few entries, the products with W_L, B_L and R go through these alone; at depth two nothing
 * dense is left.  Derivatives along a direction follow the same two walks by the product rule. */
#include "optim/factored_parts.h"

#include <math.h>
#include <string.h>

#include "num/linear.h"

/* ---- layout ---- */

size_t tb_factored_out(const tb_factored *s, size_t l) {
  return l == s->depth ? s->rows : s->width;
}

size_t tb_factored_in(const tb_factored *s, size_t l) {
  return l == 1 ? s->cols : s->width;
}

size_t tb_factored_offset(const tb_factored *s, size_t l) {
  return l == 1 ? 0 : s->width * s->cols + (l - 2) * s->width * s->width;
}

static const double *factor(const tb_factored *s, const double *theta, size_t l) {
  return theta + tb_factored_offset(s, l);
}

void tb_factored_gemm(tb_factored *s, bool ta, bool tb, size_t m, size_t n, size_t k, const double *a, const double *b,
                      double beta, double *c) {
  s->kernels->gemm(ta, tb, m, n, k, 1.0, a, ta ? m : k, b, tb ? k : n, TB_PLUS, beta, c, n, c, n, s->scratch);
}

/* ---- measurements ---- */

void tb_factored_measure(tb_factored *s, const double *w, double *f) {
  if (s->dense) {
    tb_gemv(false, s->count, s->size, 1.0, s->dense, w, 0.0, f);
    return;
  }
  for (size_t i = 0; i < s->rows; i++)
    for (int32_t e = s->start[i]; e < s->start[i + 1]; e++)
      f[e] = w[i * s->cols + (size_t)s->col[e]];
}

void tb_factored_spread(tb_factored *s, const double *r, double *w) {
  if (s->dense) {
    tb_gemv(true, s->count, s->size, 1.0, s->dense, r, 0.0, w);
    return;
  }
  memset(w, 0, s->size * sizeof *w);
  for (size_t i = 0; i < s->rows; i++)
    for (int32_t e = s->start[i]; e < s->start[i + 1]; e++)
      w[i * s->cols + (size_t)s->col[e]] = r[e];
}

/* ---- up ---- */

/* B_l, l = 2 … L, or with order 1 its derivative; B_2 is W_1 itself, of theta or of the direction. */
static const double *below(const tb_factored *s, int order, const double *theta, size_t l) {
  return l == 2 ? theta : s->below[order] + (l - 3) * s->width * s->cols;
}

const double *tb_factored_below(const tb_factored *s, const double *theta, size_t l) {
  return below(s, 0, theta, l);
}

static double *next_below(const tb_factored *s, int order, size_t l) { /* where B_{l+1} goes */
  return s->below[order] + (l - 2) * s->width * s->cols;
}

/* The two factors of the last product, W_L and B_L.  Sums over entries take their rows and columns at random, which
 * costs twice where a vector lies on two cache lines: so both are laid out by rows of whole vectors. */
static void take_ends(tb_factored *s, int order, const double *theta) {
  tb_factored_ends *e = &s->ends[order];
  e->w = factor(s, theta, s->depth);
  e->b = below(s, order, theta, s->depth);
  if (!s->sparse)
    return;
  for (size_t i = 0; i < s->rows; i++)
    memcpy(e->rows + i * s->stride, e->w + i * s->width, s->width * sizeof *e->w);
  s->kernels->move->transpose(s->width, s->cols, e->b, s->cols, e->columns, s->stride);
}

/* B_3 … B_L at theta, and along v (may be NULL) their derivatives. */
static void climb(tb_factored *s, const double *theta, const double *v) {
  const size_t h = s->width, c = s->cols;
  for (size_t l = 2; l < s->depth; l++) {
    const double *w = factor(s, theta, l), *b = below(s, 0, theta, l);
    tb_factored_gemm(s, false, false, h, c, h, w, b, 0.0, next_below(s, 0, l));
    if (!v)
      continue;
    double *next = next_below(s, 1, l);
    tb_factored_gemm(s, false, false, h, c, h, factor(s, v, l), b, 0.0, next);
    tb_factored_gemm(s, false, false, h, c, h, w, below(s, 1, v, l), 1.0, next);
  }
  if (s->depth > 1)
    take_ends(s, 0, theta);
  if (s->depth > 1 && v)
    take_ends(s, 1, v);
}

/* f (+)= measurements of W_L B_L, or of the product of their derivatives */
static void measure_product(tb_factored *s, int order_w, int order_b, bool add, double *f) {
  const tb_factored_ends *left = &s->ends[order_w], *right = &s->ends[order_b];
  double *into = add ? s->more : f;
  if (s->sparse)
    s->kernels->sampled->products(s->rows, s->width, s->start, s->col, left->rows, s->stride, right->columns, s->stride,
                                  into);
  else {
    tb_factored_gemm(s, false, false, s->rows, s->cols, s->width, left->w, right->b, 0.0, s->w);
    tb_factored_measure(s, s->w, into);
  }
  for (size_t k = 0; add && k < s->count; k++)
    f[k] += into[k];
}

static void outputs_after_climb(tb_factored *s, const double *theta, double *f) {
  if (s->depth == 1)
    tb_factored_measure(s, theta, f);
  else
    measure_product(s, 0, 0, false, f);
}

static void push_after_climb(tb_factored *s, const double *v, double *f_dot) {
  if (s->depth == 1) {
    tb_factored_measure(s, v, f_dot);
    return;
  }
  measure_product(s, 1, 0, false, f_dot);
  measure_product(s, 0, 1, true, f_dot);
}

void tb_factored_product(tb_factored *s, const double *theta, double *w) {
  climb(s, theta, NULL);
  if (s->depth == 1)
    memcpy(w, theta, s->size * sizeof *w);
  else
    tb_factored_gemm(s, false, false, s->rows, s->cols, s->width, s->ends[0].w, s->ends[0].b, 0.0, w);
}

void tb_factored_push(tb_factored *s, const double *theta, const double *v, double *w_dot) {
  climb(s, theta, v);
  if (s->depth == 1)
    memcpy(w_dot, v, s->size * sizeof *v);
  else {
    tb_factored_gemm(s, false, false, s->rows, s->cols, s->width, s->ends[1].w, s->ends[0].b, 0.0, w_dot);
    tb_factored_gemm(s, false, false, s->rows, s->cols, s->width, s->ends[0].w, s->ends[1].b, 1.0, w_dot);
  }
}

void tb_factored_push_outputs(tb_factored *s, const double *theta, const double *v, double *f_dot) {
  climb(s, theta, v);
  push_after_climb(s, v, f_dot);
}

/* ---- down ---- */

/* out[rows×width] = R B_Lᵀ, or with its derivative; R[rows×cols] dense, or its entries r */
static void residual_times(tb_factored *s, const double *r, const double *dense, int order, double *out) {
  if (s->sparse)
    s->kernels->sampled->combine(s->rows, s->width, s->start, NULL, s->col, r, s->ends[order].columns, s->stride, out,
                                 s->width);
  else
    tb_factored_gemm(s, false, true, s->rows, s->width, s->cols, dense, s->ends[order].b, 0.0, out);
}

/* out[width×cols] = W_LᵀR, or with its derivative */
static void times_residual(tb_factored *s, int order, const double *r, const double *dense, double *out) {
  if (s->sparse) {
    s->kernels->sampled->combine(s->cols, s->width, s->start_of_col, s->places, s->row_of, r, s->ends[order].rows,
                                 s->stride, s->turned, s->stride);
    s->kernels->move->transpose(s->cols, s->width, s->turned, s->stride, out, s->cols);
  } else
    tb_factored_gemm(s, true, false, s->width, s->cols, s->rows, s->ends[order].w, dense, 0.0, out);
}

/* gradient = Jᵀ r after climb */
static void descend(tb_factored *s, const double *theta, const double *r, double *gradient) {
  const size_t last = s->depth, h = s->width, c = s->cols;
  if (last == 1) {
    tb_factored_spread(s, r, gradient);
    return;
  }
  if (!s->sparse)
    tb_factored_spread(s, r, s->w);
  residual_times(s, r, s->w, 0, gradient + tb_factored_offset(s, last));
  double *down = s->h[0][0], *next = s->h[0][1];
  times_residual(s, 0, r, s->w, last == 2 ? gradient : down);
  for (size_t l = last - 1; l >= 2; l--) {
    tb_factored_gemm(s, false, true, h, h, c, down, below(s, 0, theta, l), 0.0, gradient + tb_factored_offset(s, l));
    tb_factored_gemm(s, true, false, h, c, h, factor(s, theta, l), down, 0.0, l == 2 ? gradient : next);
    double *swap = down;
    down = next;
    next = swap;
  }
}

void tb_factored_pull_residual(tb_factored *s, const double *theta, const double *r, double *gradient) {
  climb(s, theta, NULL);
  descend(s, theta, r, gradient);
}

static void add(size_t count, const double *a, double *b) {
  for (size_t k = 0; k < count; k++)
    b[k] += a[k];
}

/* product = d/dε Jᵀr at theta + ε v, where r too moves by r_dot.  more[p], and where products are dense size
 * more, is scratch. */
static void descend_derivative(tb_factored *s, const double *theta, const double *v, const double *r,
                               const double *r_dot, double *product, double *more) {
  const size_t last = s->depth, h = s->width, c = s->cols;
  if (last == 1) {
    tb_factored_spread(s, r_dot, product);
    return;
  }
  double *dense = s->w, *dense_dot = more + s->parameters;
  if (!s->sparse) {
    tb_factored_spread(s, r, dense);
    tb_factored_spread(s, r_dot, dense_dot);
  }
  double *at = product + tb_factored_offset(s, last), *part = more + tb_factored_offset(s, last);
  residual_times(s, r_dot, dense_dot, 0, at);
  residual_times(s, r, dense, 1, part);
  add(s->rows * h, part, at);
  double *down = s->h[0][0], *next = s->h[0][1], *down_dot = s->h[1][0], *next_dot = s->h[1][1];
  times_residual(s, 0, r, dense, down);
  times_residual(s, 1, r, dense, down_dot);
  times_residual(s, 0, r_dot, dense_dot, next);
  add(h * c, next, down_dot);
  for (size_t l = last - 1; l >= 2; l--) {
    at = product + tb_factored_offset(s, l);
    tb_factored_gemm(s, false, true, h, h, c, down_dot, below(s, 0, theta, l), 0.0, at);
    tb_factored_gemm(s, false, true, h, h, c, down, below(s, 1, v, l), 1.0, at);
    tb_factored_gemm(s, true, false, h, c, h, factor(s, v, l), down, 0.0, next_dot);
    tb_factored_gemm(s, true, false, h, c, h, factor(s, theta, l), down_dot, 1.0, next_dot);
    tb_factored_gemm(s, true, false, h, c, h, factor(s, theta, l), down, 0.0, next);
    double *swap = down, *swap_dot = down_dot;
    down = next;
    down_dot = next_dot;
    next = swap;
    next_dot = swap_dot;
  }
  memcpy(product, down_dot, h * c * sizeof *product);
}

/* ---- the functions of structure.h ---- */

static tb_status outputs(void *self, const double *theta, double *f) {
  tb_factored *s = self;
  climb(s, theta, NULL);
  outputs_after_climb(s, theta, f);
  return TB_OK;
}

static tb_status pullback(void *self, const double *theta, const double *c, double *f, double *gradient) {
  tb_factored *s = self;
  climb(s, theta, NULL);
  if (f)
    outputs_after_climb(s, theta, f);
  descend(s, theta, c, gradient);
  return TB_OK;
}

static tb_status push(void *self, const double *theta, const double *v, double *f_dot) {
  tb_factored_push_outputs(self, theta, v, f_dot);
  return TB_OK;
}

static tb_status descent(void *self, const double *theta, double scale, const double *v, double *out, double *product) {
  tb_factored *s = self;
  climb(s, theta, v);
  outputs_after_climb(s, theta, s->f[0]);
  for (size_t k = 0; k < s->count; k++)
    s->r[0][k] = scale * (s->y[k] - s->f[0][k]);
  if (!v) {
    descend(s, theta, s->r[0], out);
    return TB_OK;
  }
  push_after_climb(s, v, s->f[1]);
  for (size_t k = 0; k < s->count; k++)
    s->r[1][k] = -scale * s->f[1][k];
  double *more = tb_allocate(s->context, s->parameters + (s->sparse ? 0 : s->size), sizeof *more);
  if (!more)
    return TB_NO_MEMORY;
  descend_derivative(s, theta, v, s->r[0], s->r[1], product, more);
  tb_release(s->context, more);
  return TB_OK;
}

static tb_status predictor(void *self, const double *theta, double *beta) {
  tb_factored_product(self, theta, beta);
  return TB_OK;
}

static tb_status predictor_push(void *self, const double *theta, const double *v, double *beta_dot) {
  tb_factored_push(self, theta, v, beta_dot);
  return TB_OK;
}

/* ---- life ---- */

static void factored_free(void *self) {
  tb_factored *s = self;
  if (s)
    tb_arena_free(s->arena);
}

tb_status tb_factored_rooms(tb_factored *s, size_t n, const tb_factored_room *rooms) {
  for (size_t k = 0; k < n; k++)
    if (!(*rooms[k].array = tb_arena_allocate(s->arena, rooms[k].count, sizeof(double))))
      return TB_NO_MEMORY;
  return TB_OK;
}

static tb_status make_room(tb_factored *s) {
  const size_t middle = s->width * s->cols, levels = s->depth > 2 ? s->depth - 2 : 0;
  const size_t rows = s->sparse ? s->rows * s->stride : 0, columns = s->sparse ? s->cols * s->stride : 0;
  const tb_factored_room rooms[] = { { &s->y, s->count },
                                     { &s->scratch, s->kernels->gemm_scratch },
                                     { &s->below[0], levels * middle },
                                     { &s->below[1], levels * middle },
                                     { &s->ends[0].rows, rows },
                                     { &s->ends[1].rows, rows },
                                     { &s->ends[0].columns, columns },
                                     { &s->ends[1].columns, columns },
                                     { &s->turned, columns },
                                     { &s->h[0][0], middle },
                                     { &s->h[0][1], middle },
                                     { &s->h[1][0], middle },
                                     { &s->h[1][1], middle },
                                     { &s->f[0], s->count },
                                     { &s->f[1], s->count },
                                     { &s->more, s->count },
                                     { &s->r[0], s->count },
                                     { &s->r[1], s->count },
                                     { &s->w, s->size } };
  return tb_factored_rooms(s, sizeof rooms / sizeof *rooms, rooms);
}

/* Entries by row and by column. */
static tb_status take_entries(tb_factored *s, const tb_measurements *m) {
  s->start = tb_arena_allocate(s->arena, s->rows + 1, sizeof *s->start);
  s->col = tb_arena_allocate(s->arena, s->count, sizeof *s->col);
  s->start_of_col = tb_arena_allocate(s->arena, s->cols + 1, sizeof *s->start_of_col);
  s->row_of = tb_arena_allocate(s->arena, s->count, sizeof *s->row_of);
  s->places = tb_arena_allocate(s->arena, s->count, sizeof *s->places);
  if (!s->start || !s->col || !s->start_of_col || !s->row_of || !s->places)
    return TB_NO_MEMORY;
  for (size_t k = 0; k < s->count; k++) {
    s->col[k] = (int32_t)m->col[k];
    s->start[m->row[k] + 1]++;
    s->start_of_col[m->col[k] + 1]++;
  }
  for (size_t i = 0; i < s->rows; i++)
    s->start[i + 1] += s->start[i];
  for (size_t j = 0; j < s->cols; j++)
    s->start_of_col[j + 1] += s->start_of_col[j];
  for (size_t k = s->count; k-- > 0;) { /* filled from the end of each column, so that rows ascend */
    const int32_t place = --s->start_of_col[m->col[k] + 1];
    s->row_of[place] = (int32_t)m->row[k];
    s->places[place] = (int32_t)k;
  }
  for (size_t j = 0; j < s->cols; j++) /* the ends have become the starts */
    s->start_of_col[j] = s->start_of_col[j + 1];
  s->start_of_col[s->cols] = (int32_t)s->count;
  return TB_OK;
}

static tb_status check(tb_context *context, const tb_factorisation_shape *shape, const tb_measurements *m) {
  tb_status status = tb_factorisation_check(context, shape);
  if (status != TB_OK)
    return status;
  if (m->count == 0)
    return tb_fail(context, TB_BAD_DATA, NULL, "give at least one", "no measurements of the matrix");
  for (size_t k = 0; !m->dense && k < m->count; k++) {
    const bool inside = m->row[k] < m->rows && m->col[k] < m->cols;
    const bool ascends =
        k == 0 || m->row[k] > m->row[k - 1] || (m->row[k] == m->row[k - 1] && m->col[k] > m->col[k - 1]);
    if (!inside || !ascends)
      return tb_fail(context, TB_BAD_DATA, NULL, "entries are distinct, by row and then column",
                     "entry (%zu, %zu) is out of place", m->row[k], m->col[k]);
  }
  return TB_OK;
}

/* Do products through the entries alone cost less than dense ones?  Measured: up to three entries in five where factors
 * and entries stay in a core's second cache, two in five beyond. */
static bool entries_are_few(const tb_factored *s) {
  enum { CACHE = 1 << 20, ENTRY = 2 * sizeof(double) + 3 * sizeof(int32_t) };
  const size_t bytes = (s->rows + s->cols) * s->width * sizeof(double) + s->count * ENTRY;
  return 5 * s->count <= (bytes <= CACHE ? 3 : 2) * s->size;
}

tb_status tb_factored_objective(tb_context *context, const tb_factorisation_shape *shape, const tb_measurements *m,
                                const double *y, tb_objective **objective) {
  *objective = NULL;
  tb_status status = check(context, shape, m);
  if (status != TB_OK)
    return status;
  tb_arena *arena = tb_arena_new(context);
  tb_factored *s = arena ? tb_arena_allocate(arena, 1, sizeof *s) : NULL;
  if (!s) {
    tb_arena_free(arena);
    return TB_NO_MEMORY;
  }
  *s = (tb_factored){ .context = context,
                      .arena = arena,
                      .shape = *shape,
                      .depth = shape->depth,
                      .rows = m->rows,
                      .cols = m->cols,
                      .width = shape->depth == 1 ? m->rows : shape->width,
                      .count = m->count,
                      .size = m->rows * m->cols,
                      .parameters = tb_factorisation_parameters(shape) };
  s->sparse = !m->dense && entries_are_few(s);
  s->stride = (s->width + 7) / 8 * 8;
  status = tb_kernels_choose(context, TB_FLOAT64, &s->kernels);
  if (status == TB_OK)
    status = make_room(s);
  if (status == TB_OK && m->dense) {
    if ((s->dense = tb_arena_allocate(arena, s->count * s->size, sizeof *s->dense)) != NULL)
      memcpy(s->dense, m->dense, s->count * s->size * sizeof *s->dense);
    else
      status = TB_NO_MEMORY;
  } else if (status == TB_OK)
    status = take_entries(s, m);
  if (status != TB_OK) {
    factored_free(s);
    return status;
  }
  memcpy(s->y, y, s->count * sizeof *y);
  const tb_structure structure = { .rows = s->count,
                                   .inputs = s->size,
                                   .parameters = s->parameters,
                                   .self = s,
                                   .outputs = outputs,
                                   .pullback = pullback,
                                   .push = push,
                                   .descent = descent,
                                   .predictor = predictor,
                                   .predictor_push = predictor_push,
                                   .accepts = tb_factored_accepts,
                                   .natural = tb_factored_evaluate,
                                   .free = factored_free };
  return tb_objective_structured(context, &structure, y, objective);
}
