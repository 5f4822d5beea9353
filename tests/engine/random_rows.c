#include "random_rows.h"

#include <math.h>

enum { PARAMETERS = 400, MOST_WIDTH = 6, MOST_STEPS = 4 };

typedef struct maker {
  uint64_t state;
  size_t rows, steps, taken;
  tb_dtype dtype;
} maker;

static size_t below(maker *m, size_t n) {
  uint64_t z = (m->state += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (size_t)((z ^ z >> 31) >> 33) % n;
}

static size_t width_of(const tb_graph *g, tb_value a) {
  return tb_dim(g, a, 1);
}

/* [rows × cols] of the parameters, not too large */
static tb_value weights(maker *m, tb_graph *g, tb_value theta, size_t rows, size_t cols) {
  const size_t count = rows * cols, start = m->taken % (PARAMETERS - count);
  m->taken += count;
  const tb_value flat = tb_slice(g, theta, 0, start, count);
  return tb_scale(g, tb_reshape(g, flat, 2, (size_t[]){ rows, cols }), 1 / sqrt((double)cols));
}

/* One more operation on a value [rows, width]; theta [PARAMETERS], key [3]. */
static tb_value grow(maker *m, tb_graph *g, tb_value a, tb_value theta, tb_value key) {
  const size_t rows = m->rows, width = width_of(g, a), other = 1 + below(m, MOST_WIDTH);
  switch (below(m, 12)) {
  case 0:
    return tb_gelu(
        g, tb_add(g, tb_matmul(g, a, false, weights(m, g, theta, other, width), true), weights(m, g, theta, 1, other)));
  case 1:
    return tb_tanh(g, tb_matmul(g, a, false, weights(m, g, theta, width, other), false));
  case 2: /* rows last */
    return tb_transpose(g, tb_sin(g, tb_add(g, tb_transpose(g, a, NULL), weights(m, g, theta, width, 1))), NULL);
  case 3: /* rows and columns as one axis */
    return tb_reshape(g, tb_tanh(g, tb_reshape(g, a, 1, (size_t[]){ rows * width })), 2, (size_t[]){ rows, width });
  case 4:
    return tb_softmax(g, a);
  case 5:
    return width > 1 ? tb_concat(g, 1, 2, (tb_value[]){ tb_slice(g, a, 1, 1, width - 1), tb_slice(g, a, 1, 0, 1) }) : a;
  case 6:
    return tb_add(
        g, a, tb_scale(g, tb_normal(g, key, (uint32_t)below(m, 1000), m->dtype, 2, (size_t[]){ rows, width }), 0.1));
  case 7: { /* products of each row's own matrices */
    const tb_value column = tb_reshape(g, a, 3, (size_t[]){ rows, width, 1 });
    const tb_value square = tb_matmul(g, column, false, column, true);
    return tb_tanh(g, tb_reshape(g, tb_matmul(g, square, true, column, false), 2, (size_t[]){ rows, width }));
  }
  case 8:
    return tb_multiply(g, a, tb_reduce(g, TB_MEAN, tb_cos(g, a), 1u << 1, true));
  case 9: { /* a table's rows */
    double index[16];
    for (size_t i = 0; i < rows; i++)
      index[i] = (double)below(m, 4);
    const tb_value which = tb_constant(g, TB_INT32, 1, &rows, index);
    return tb_add(g, a, tb_gather(g, weights(m, g, theta, 4, width), 0, which));
  }
  case 10: /* the first of each row is told to all */
    return tb_add(g, a, tb_sin(g, tb_slice(g, a, 1, 0, 1)));
  default:
    return tb_maximum(g, a, tb_scale(g, tb_sin(g, a), 0.9));
  }
}

/* ---- loops ---- */

typedef struct body {
  maker *m;
  bool inner;
} body;

static tb_value loop(maker *m, tb_graph *g, tb_value a, tb_value stack, tb_value theta, tb_value key, bool inner,
                     tb_value *out);

/* carry: rows, a sum of each row; slices: rows, and numbers for all rows; consts: parameters, key */
static tb_status step(void *user, tb_graph *g, tb_value k, size_t n_carry, const tb_value *carry, size_t n_slice,
                      const tb_value *slices, size_t n_const, const tb_value *consts, tb_value *carry_out, size_t n_out,
                      tb_value *outs) {
  const body *b = user;
  maker *m = b->m;
  const size_t width = width_of(g, carry[0]);
  const tb_value word = tb_add(g, tb_slice(g, consts[1], 0, 2, 1), k);
  const tb_value key = tb_concat(g, 0, 2, (tb_value[]){ tb_slice(g, consts[1], 0, 0, 2), word });
  tb_value z = tb_matmul(g, slices[0], false, weights(m, g, consts[0], width, width_of(g, slices[0])), true);
  z = tb_add(g, tb_add(g, z, carry[0]), slices[1]);
  for (size_t i = 1 + below(m, 3); i-- > 0;)
    z = grow(m, g, z, consts[0], key);
  if (b->inner)
    z = loop(m, g, z, tb_broadcast(g, z, 3, (size_t[]){ 2, m->rows, width_of(g, z) }), consts[0], key, false, NULL);
  z = tb_matmul(g, z, false, weights(m, g, consts[0], width, width_of(g, z)), true);
  carry_out[0] = tb_tanh(g, z);
  carry_out[1] = tb_add(g, carry[1], tb_reduce(g, TB_SUM, tb_square(g, z), 1u << 1, false));
  outs[0] = tb_sin(g, z);
  outs[1] = tb_reduce(g, TB_SUM, z, 1u << 0, false); /* over rows */
  return TB_OK;
}

static tb_value loop(maker *m, tb_graph *g, tb_value a, tb_value stack, tb_value theta, tb_value key, bool inner,
                     tb_value *out) {
  const size_t steps = tb_dim(g, stack, 0), width = width_of(g, a);
  const tb_value shift = tb_reshape(g, weights(m, g, theta, steps, width), 3, (size_t[]){ steps, 1, width });
  const tb_value start[2] = { a, tb_fill(g, m->dtype, 1, &m->rows, 0) };
  const tb_value slices[2] = { stack, shift }, consts[2] = { theta, key };
  tb_value end[2], outs[2];
  body b = { m, inner };
  tb_scan(g, steps, below(m, 2), step, &b, 2, start, 2, slices, 2, consts, end, 2, outs);
  if (out) { /* all that a loop gives is read, sums over rows of each step, too */
    out[0] = outs[1];
    return tb_add(g, end[0],
                  tb_add(g, tb_reduce(g, TB_MEAN, outs[0], 1u << 0, false),
                         tb_reshape(g, tb_tanh(g, end[1]), 2, (size_t[]){ m->rows, 1 })));
  }
  return end[0];
}

/* ---- the graph ---- */

tb_status random_rows_make(tb_context *context, uint64_t seed, random_rows *r) {
  maker m = { .state = seed * 7919, .dtype = TB_FLOAT64 };
  tb_graph *g;
  tb_status status = tb_graph_new(context, &g);
  *r = (random_rows){ .graph = g, .n_in = ROWS_INPUTS };
  if (status != TB_OK)
    return status;
  m.rows = 2 + below(&m, 8);
  m.steps = 1 + below(&m, MOST_STEPS);
  const size_t count = PARAMETERS, width = 1 + below(&m, MOST_WIDTH), deep = 1 + below(&m, 3);
  const tb_value theta = r->in[0] = tb_input(g, "theta", m.dtype, 1, &count);
  const tb_value x = r->in[1] = tb_input(g, "x", m.dtype, 2, (size_t[]){ m.rows, width });
  const tb_value stack = r->in[2] = tb_input(g, "stack", m.dtype, 3, (size_t[]){ m.steps, m.rows, deep });
  r->in[3] = tb_input(g, "direction", m.dtype, 1, &count);
  const tb_value key = r->in[4] = tb_input(g, "key", TB_INT32, 1, (size_t[]){ 3 });
  tb_value a = x, sums = tb_reduce(g, TB_SUM, x, 1u << 0, false);
  for (size_t i = 1 + below(&m, 4); i-- > 0;)
    a = grow(&m, g, a, theta, key);
  if (below(&m, 4) == 0) /* a mean over rows that rows depend on */
    a = tb_subtract(g, a, tb_reduce(g, TB_MEAN, a, 1u << 0, true));
  if (below(&m, 4))
    a = loop(&m, g, a, stack, theta, key, below(&m, 3) == 0, &sums);
  for (size_t i = below(&m, 4); i-- > 0;)
    a = grow(&m, g, a, theta, key);
  tb_value by_row = tb_reduce(g, TB_SUM, tb_square(g, tb_shift(g, a, -0.2)), 1u << 1, false), gradients[3];
  if (below(&m, 3) == 0) /* weighted by what comes with the rows */
    by_row = tb_multiply(g, by_row, tb_reduce(g, TB_SUM, tb_square(g, x), 1u << 1, false));
  const tb_value loss = tb_add(g, tb_mean(g, by_row), tb_scale(g, tb_sum(g, tb_sin(g, sums)), 0.1));
  tb_gradient(g, loss, 3, r->in, gradients);
  tb_value product;
  tb_gradient(g, tb_sum(g, tb_multiply(g, gradients[0], r->in[3])), 1, &theta, &product);
  const tb_value out[ROWS_OUTPUTS] = { loss, a, gradients[0], gradients[1], gradients[2], product, sums };
  for (size_t i = 0; i < ROWS_OUTPUTS; i++)
    r->out[r->n_out++] = out[i];
  return tb_graph_status(g);
}
