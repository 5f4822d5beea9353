/* Values and derivatives of a deep factorisation on measurements.
 *
 * Up:    B_1 = I,  B_{l+1} = W_l B_l;  f = measurements of W_L B_L
 * Down:  R = Σ_k r_k M_k,  ∂/∂W_L: R B_Lᵀ,  H_{L} = W_LᵀR,  ∂/∂W_l: H_{l+1} B_lᵀ,  H_l = W_lᵀ H_{l+1}
 *
 * Where the measurements are entries, the two products with R go through its entries alone; at depth two nothing dense
 * is left.  Derivatives along a direction follow the same two walks by the product rule. */
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

/* B_l, l = 2 … L; B_2 = W_1. */
static double *below(const tb_factored *s, int order, size_t l) {
  return s->below[order] + (l - 2) * s->width * s->cols;
}

/* B_2 … B_L at theta, and along v (may be NULL) their derivatives. */
static void climb(tb_factored *s, const double *theta, const double *v) {
  const size_t h = s->width, c = s->cols;
  for (size_t l = 1; l < s->depth; l++) {
    if (l == 1) {
      memcpy(below(s, 0, 2), theta, h * c * sizeof *theta);
      if (v)
        memcpy(below(s, 1, 2), v, h * c * sizeof *v);
      continue;
    }
    tb_factored_gemm(s, false, false, h, c, h, factor(s, theta, l), below(s, 0, l), 0.0, below(s, 0, l + 1));
    if (!v)
      continue;
    tb_factored_gemm(s, false, false, h, c, h, factor(s, v, l), below(s, 0, l), 0.0, below(s, 1, l + 1));
    tb_factored_gemm(s, false, false, h, c, h, factor(s, theta, l), below(s, 1, l), 1.0, below(s, 1, l + 1));
  }
}

/* f (+)= measurements of left[rows×width] right[width×cols] */
static void measure_product(tb_factored *s, const double *left, const double *right, bool add, double *f) {
  if (s->dense) {
    tb_factored_gemm(s, false, false, s->rows, s->cols, s->width, left, right, 0.0, s->w);
    tb_gemv(false, s->count, s->size, 1.0, s->dense, s->w, add ? 1.0 : 0.0, f);
    return;
  }
  double *into = add ? s->w : f; /* count ≤ size */
  s->kernels->move->transpose(s->width, s->cols, right, s->cols, s->across, s->width);
  s->kernels->sampled->products(s->rows, s->width, s->start, s->col, left, s->width, s->across, s->width, into);
  for (size_t k = 0; add && k < s->count; k++)
    f[k] += into[k];
}

static void outputs_after_climb(tb_factored *s, const double *theta, double *f) {
  if (s->depth == 1)
    tb_factored_measure(s, theta, f);
  else
    measure_product(s, factor(s, theta, s->depth), below(s, 0, s->depth), false, f);
}

static void push_after_climb(tb_factored *s, const double *theta, const double *v, double *f_dot) {
  const size_t last = s->depth;
  if (last == 1) {
    tb_factored_measure(s, v, f_dot);
    return;
  }
  measure_product(s, factor(s, v, last), below(s, 0, last), false, f_dot);
  measure_product(s, factor(s, theta, last), below(s, 1, last), true, f_dot);
}

void tb_factored_product(tb_factored *s, const double *theta, double *w) {
  climb(s, theta, NULL);
  if (s->depth == 1)
    memcpy(w, theta, s->size * sizeof *w);
  else
    tb_factored_gemm(s, false, false, s->rows, s->cols, s->width, factor(s, theta, s->depth), below(s, 0, s->depth),
                     0.0, w);
}

void tb_factored_push(tb_factored *s, const double *theta, const double *v, double *w_dot) {
  const size_t last = s->depth;
  if (last == 1) {
    memcpy(w_dot, v, s->size * sizeof *v);
    return;
  }
  climb(s, theta, v);
  tb_factored_gemm(s, false, false, s->rows, s->cols, s->width, factor(s, v, last), below(s, 0, last), 0.0, w_dot);
  tb_factored_gemm(s, false, false, s->rows, s->cols, s->width, factor(s, theta, last), below(s, 1, last), 1.0, w_dot);
}

void tb_factored_push_outputs(tb_factored *s, const double *theta, const double *v, double *f_dot) {
  climb(s, theta, v);
  push_after_climb(s, theta, v, f_dot);
}

/* ---- down ---- */

/* out[rows×width] (+)= R right[width×cols]ᵀ; R[rows×cols] dense, or its entries r */
static void residual_times(tb_factored *s, const double *r, const double *dense, const double *right, double *out) {
  if (dense) {
    tb_factored_gemm(s, false, true, s->rows, s->width, s->cols, dense, right, 0.0, out);
    return;
  }
  s->kernels->move->transpose(s->width, s->cols, right, s->cols, s->across, s->width);
  s->kernels->sampled->combine(s->rows, s->width, s->start, NULL, s->col, r, s->across, s->width, out, s->width);
}

/* out[width×cols] = left[rows×width]ᵀ R */
static void times_residual(tb_factored *s, const double *left, const double *r, const double *dense, double *out) {
  if (dense) {
    tb_factored_gemm(s, true, false, s->width, s->cols, s->rows, left, dense, 0.0, out);
    return;
  }
  s->kernels->sampled->combine(s->cols, s->width, s->start_of_col, s->places, s->row_of, r, left, s->width, s->across,
                               s->width);
  s->kernels->move->transpose(s->cols, s->width, s->across, s->width, out, s->cols);
}

/* gradient = Jᵀ r after climb */
static void descend(tb_factored *s, const double *theta, const double *r, double *gradient) {
  const size_t last = s->depth, h = s->width, c = s->cols;
  if (last == 1) {
    tb_factored_spread(s, r, gradient);
    return;
  }
  if (s->dense)
    tb_factored_spread(s, r, s->w);
  const double *dense = s->dense ? s->w : NULL;
  residual_times(s, r, dense, below(s, 0, last), gradient + tb_factored_offset(s, last));
  double *down = s->h[0][0], *next = s->h[0][1];
  times_residual(s, factor(s, theta, last), r, dense, last == 2 ? gradient : down);
  for (size_t l = last - 1; l >= 2; l--) {
    tb_factored_gemm(s, false, true, h, h, c, down, below(s, 0, l), 0.0, gradient + tb_factored_offset(s, l));
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

/* product = d/dε Jᵀr at theta + ε v, where r too moves by r_dot.  `more` [p] is scratch. */
static void descend_derivative(tb_factored *s, const double *theta, const double *v, const double *r,
                               const double *r_dot, double *product, double *more) {
  const size_t last = s->depth, h = s->width, c = s->cols;
  if (last == 1) {
    tb_factored_spread(s, r_dot, product);
    return;
  }
  double *dense = NULL, *dense_dot = NULL;
  if (s->dense) { /* two matrices of the residual: in w and in `more`, which has room (p ≥ size unless width is small)
                   */
    dense = s->w;
    dense_dot = more + s->parameters;
    tb_factored_spread(s, r, dense);
    tb_factored_spread(s, r_dot, dense_dot);
  }
  double *at = product + tb_factored_offset(s, last), *part = more + tb_factored_offset(s, last);
  residual_times(s, r_dot, dense_dot, below(s, 0, last), at);
  residual_times(s, r, dense, below(s, 1, last), part);
  add(s->rows * h, part, at);
  double *down = s->h[0][0], *next = s->h[0][1], *down_dot = s->h[1][0], *next_dot = s->h[1][1];
  times_residual(s, factor(s, theta, last), r, dense, down);
  times_residual(s, factor(s, v, last), r, dense, down_dot);
  times_residual(s, factor(s, theta, last), r_dot, dense_dot, next);
  add(h * c, next, down_dot);
  for (size_t l = last - 1; l >= 2; l--) {
    at = product + tb_factored_offset(s, l);
    tb_factored_gemm(s, false, true, h, h, c, down_dot, below(s, 0, l), 0.0, at);
    tb_factored_gemm(s, false, true, h, h, c, down, below(s, 1, l), 1.0, at);
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
  push_after_climb(s, theta, v, s->f[1]);
  for (size_t k = 0; k < s->count; k++)
    s->r[1][k] = -scale * s->f[1][k];
  double *more = tb_allocate(s->context, s->parameters + (s->dense ? s->size : 0), sizeof *more);
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
  if (!s)
    return;
  void *const blocks[] = { s->start,   s->col,      s->start_of_col, s->row_of, s->places,  s->dense,   s->y,
                           s->scratch, s->below[0], s->below[1],     s->across, s->h[0][0], s->h[0][1], s->h[1][0],
                           s->h[1][1], s->f[0],     s->f[1],         s->r[0],   s->r[1],    s->w };
  tb_factored_natural_free(s);
  for (size_t k = 0; k < sizeof blocks / sizeof *blocks; k++)
    tb_release(s->context, blocks[k]);
  tb_release(s->context, s);
}

static tb_status make_room(tb_factored *s) {
  const size_t middle = s->width * s->cols, levels = s->depth > 1 ? s->depth - 1 : 1;
  const size_t most = s->size > s->count ? s->size : s->count;
  struct {
    double **array;
    size_t count;
  } rooms[] = { { &s->y, s->count },
                { &s->scratch, s->kernels->gemm_scratch },
                { &s->below[0], levels * middle },
                { &s->below[1], levels * middle },
                { &s->across, middle },
                { &s->h[0][0], middle },
                { &s->h[0][1], middle },
                { &s->h[1][0], middle },
                { &s->h[1][1], middle },
                { &s->f[0], s->count },
                { &s->f[1], s->count },
                { &s->r[0], s->count },
                { &s->r[1], s->count },
                { &s->w, most } };
  for (size_t k = 0; k < sizeof rooms / sizeof *rooms; k++)
    if (!(*rooms[k].array = tb_allocate(s->context, rooms[k].count, sizeof(double))))
      return TB_NO_MEMORY;
  return TB_OK;
}

/* Entries by row and by column. */
static tb_status take_entries(tb_factored *s, const tb_measurements *m) {
  s->start = tb_allocate(s->context, s->rows + 1, sizeof *s->start);
  s->col = tb_allocate(s->context, s->count, sizeof *s->col);
  s->start_of_col = tb_allocate(s->context, s->cols + 1, sizeof *s->start_of_col);
  s->row_of = tb_allocate(s->context, s->count, sizeof *s->row_of);
  s->places = tb_allocate(s->context, s->count, sizeof *s->places);
  if (!s->start || !s->col || !s->start_of_col || !s->row_of || !s->places)
    return TB_NO_MEMORY;
  memset(s->start, 0, (s->rows + 1) * sizeof *s->start);
  memset(s->start_of_col, 0, (s->cols + 1) * sizeof *s->start_of_col);
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

tb_status tb_factored_objective(tb_context *context, const tb_factorisation_shape *shape, const tb_measurements *m,
                                const double *y, tb_objective **objective) {
  *objective = NULL;
  tb_status status = check(context, shape, m);
  tb_factored *s = status == TB_OK ? tb_allocate(context, 1, sizeof *s) : NULL;
  if (!s)
    return status == TB_OK ? TB_NO_MEMORY : status;
  *s = (tb_factored){ .context = context,
                      .shape = *shape,
                      .depth = shape->depth,
                      .rows = m->rows,
                      .cols = m->cols,
                      .width = shape->depth == 1 ? m->rows : shape->width,
                      .count = m->count,
                      .size = m->rows * m->cols,
                      .parameters = tb_factorisation_parameters(shape) };
  status = tb_kernels_choose(context, TB_FLOAT64, &s->kernels);
  if (status == TB_OK)
    status = make_room(s);
  if (status == TB_OK && m->dense) {
    if ((s->dense = tb_allocate(context, s->count * s->size, sizeof *s->dense)) != NULL)
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
