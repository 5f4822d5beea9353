#include "differences.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct bundle {
  size_t count, start[MOST_INPUTS + 1];
} bundle; /* all inputs end to end in one vector */

/* A program of x, v, w (each like the inputs) and u (like the output). */
typedef struct checked {
  const function_case *f;
  tb_context *context;
  tb_graph *graph;
  tb_value x[MOST_INPUTS], v[MOST_INPUTS], w[MOST_INPUTS], u, y;
  bundle in;
  size_t outputs; /* elements of y */
} checked;

static double uniform(unsigned *state) {
  *state = *state * 1664525u + 1013904223u;
  return (*state >> 8) / 16777216.0;
}

static void build(checked *c, const function_case *f) {
  *c = (checked){ .f = f, .context = tb_context_new(NULL, NULL) };
  assert_int_equal(tb_graph_new(c->context, &c->graph), TB_OK);
  for (size_t i = 0; i < f->inputs; i++) {
    size_t rank = f->shapes[i].rank, n = 1;
    const size_t *dims = f->shapes[i].dims;
    c->x[i] = tb_input(c->graph, "x", TB_FLOAT64, rank, dims);
    c->v[i] = tb_input(c->graph, "v", TB_FLOAT64, rank, dims);
    c->w[i] = tb_input(c->graph, "w", TB_FLOAT64, rank, dims);
    for (size_t k = 0; k < rank; k++)
      n *= dims[k];
    c->in.start[i + 1] = c->in.start[i] + n;
  }
  c->in.count = c->in.start[f->inputs];
  c->y = f->build(c->graph, c->x);
  if (tb_graph_status(c->graph) != TB_OK)
    fail_msg("%s: %s: %s", f->name, tb_context_place(c->context), tb_context_message(c->context));
  size_t dims[TB_MAX_RANK];
  for (size_t k = 0; k < tb_rank(c->graph, c->y); k++)
    dims[k] = tb_dim(c->graph, c->y, k);
  c->u = tb_input(c->graph, "u", TB_FLOAT64, tb_rank(c->graph, c->y), dims);
  c->outputs = tb_elements(c->graph, c->y);
}

/* Evaluates values whose elements end to end have the length of result. */
static void evaluate(const checked *c, size_t n, const tb_value *values, const double *x, const double *v,
                     const double *w, const double *u, double *result) {
  const void *inputs[3 * MOST_INPUTS + 1];
  void *outputs[MOST_INPUTS];
  size_t count = 0;
  for (size_t i = 0; i < c->f->inputs; i++) {
    inputs[count++] = x + c->in.start[i];
    inputs[count++] = v + c->in.start[i];
    inputs[count++] = w + c->in.start[i];
  }
  inputs[count++] = u;
  for (size_t i = 0; i < n; i++) {
    outputs[i] = result;
    result += tb_elements(c->graph, values[i]);
  }
  tb_program *program;
  tb_status status = tb_program_new(c->context, c->graph, n, values, &(tb_program_options){ TB_NAIVE }, &program);
  if (status == TB_OK)
    status = tb_program_run(program, count, inputs, n, outputs);
  if (status != TB_OK)
    fail_msg("%s: %s", c->f->name, tb_context_message(c->context));
  tb_program_free(program);
}

static double dot(size_t n, const double *a, const double *b) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}

static double largest(size_t n, const double *a) {
  double most = 0;
  for (size_t i = 0; i < n; i++)
    most = fmax(most, fabs(a[i]));
  return most;
}

static void assert_close(const checked *c, const char *what, size_t n, const double *a, const double *b, double scale,
                         double tolerance) {
  scale = fmax(scale, fmax(largest(n, a), largest(n, b)));
  for (size_t i = 0; i < n; i++)
    if (!(fabs(a[i] - b[i]) <= tolerance * scale))
      fail_msg("%s: %s: element %zu: %.17g and %.17g (scale %g)", c->f->name, what, i, a[i], b[i], scale);
}

/* Derivative of the values along v by a five-point difference. */
static void difference(const checked *c, size_t n, const tb_value *values, const double *x, const double *v,
                       const double *w, const double *u, size_t length, double *result) {
  static const double at[4] = { -2, -1, 1, 2 }, weight[4] = { 1.0 / 12, -8.0 / 12, 8.0 / 12, -1.0 / 12 };
  const double h = 1e-3;
  double *moved = calloc(c->in.count + length + 1, sizeof *moved), *value = moved + c->in.count;
  memset(result, 0, length * sizeof *result);
  for (int s = 0; s < 4; s++) {
    for (size_t i = 0; i < c->in.count; i++)
      moved[i] = x[i] + at[s] * h * v[i];
    evaluate(c, n, values, moved, v, w, u, value);
    for (size_t i = 0; i < length; i++)
      result[i] += weight[s] / h * value[i];
  }
  free(moved);
}

/* Σ_i a[i]·b[i] as a node */
static tb_value inner(tb_graph *g, size_t n, const tb_value *a, const tb_value *b) {
  tb_value sum = tb_scalar(g, TB_FLOAT64, 0);
  for (size_t i = 0; i < n; i++)
    sum = tb_add(g, sum, tb_sum(g, tb_multiply(g, a[i], b[i])));
  return sum;
}

static void draw(unsigned *state, size_t n, double low, double high, double *a) {
  for (size_t i = 0; i < n; i++)
    a[i] = low + (high - low) * uniform(state);
}

static void compare(checked *c, unsigned seed) {
  tb_graph *g = c->graph;
  size_t k = c->f->inputs, n = c->in.count, m = c->outputs;
  double *memory = calloc(11 * n + 5 * m + 1, sizeof *memory);
  double *x = memory, *v = x + n, *w = v + n, *pull = w + n, *hv[4] = { pull + n, pull + 2 * n, pull + 3 * n },
         *hw = pull + 4 * n, *third = pull + 5 * n, *numeric = pull + 6 * n, *u = pull + 7 * n, *push = u + m,
         *push_numeric = u + 2 * m;
  unsigned state = seed;
  draw(&state, n, c->f->low, c->f->high, x);
  draw(&state, n, -1, 1, v);
  draw(&state, n, -1, 1, w);
  draw(&state, m, -1, 1, u);

  tb_value y_dot, x_bar[MOST_INPUTS], h[3][MOST_INPUTS], h_w[MOST_INPUTS], h_dot[MOST_INPUTS];
  tb_jvp(g, 1, &c->y, k, c->x, c->v, &y_dot);
  tb_vjp(g, 1, &c->y, &c->u, k, c->x, x_bar);
  tb_jvp(g, k, x_bar, k, c->x, c->v, h[0]);
  tb_gradient(g, inner(g, k, x_bar, c->v), k, c->x, h[1]);
  tb_vjp(g, 1, &y_dot, &c->u, k, c->x, h[2]);
  tb_jvp(g, k, x_bar, k, c->x, c->w, h_w);
  tb_jvp(g, k, h[0], k, c->x, c->v, h_dot);
  if (tb_graph_status(g) != TB_OK)
    fail_msg("%s: %s: %s", c->f->name, tb_context_place(c->context), tb_context_message(c->context));

  evaluate(c, 1, &y_dot, x, v, w, u, push);
  difference(c, 1, &c->y, x, v, w, u, m, push_numeric);
  assert_close(c, "Jv and differences", m, push, push_numeric, 1e-3, 1e-6);
  evaluate(c, k, x_bar, x, v, w, u, pull);
  double forward = dot(m, u, push), reverse = dot(n, pull, v);
  double scale = fmax(largest(m, push) * sqrt((double)m), largest(n, pull) * sqrt((double)n));
  assert_close(c, "u·Jv and v·Jᵀu", 1, &forward, &reverse, scale, 1e-13);

  for (int i = 0; i < 3; i++)
    evaluate(c, k, h[i], x, v, w, u, hv[i]);
  difference(c, k, x_bar, x, v, w, u, n, numeric);
  assert_close(c, "Hv and differences", n, hv[0], numeric, 1e-3, 1e-6);
  assert_close(c, "Hv by reverse over reverse", n, hv[0], hv[1], 1e-3, 1e-10);
  assert_close(c, "Hv by reverse over forward", n, hv[0], hv[2], 1e-3, 1e-10);
  evaluate(c, k, h_w, x, v, w, u, hw);
  double whv = dot(n, w, hv[0]), vhw = dot(n, v, hw);
  assert_close(c, "w·Hv and v·Hw", 1, &whv, &vhw, fmax(largest(n, hw), largest(n, hv[0])), 1e-12);

  evaluate(c, k, h_dot, x, v, w, u, third);
  difference(c, k, h[0], x, v, w, u, n, numeric);
  assert_close(c, "third derivative and differences", n, third, numeric, 1e-3, 2e-6);
  free(memory);
}

void check_differences(const function_case *f, unsigned seed) {
  checked c;
  build(&c, f);
  compare(&c, seed);
  tb_graph_free(c.graph);
  tb_context_free(c.context);
}
