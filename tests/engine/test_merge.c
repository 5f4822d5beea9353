/* Loops that are one: a value with its directional derivative runs one loop, a Hessian product with value and gradient
 * one loop each way; what depends on the loop itself stays apart.  Values against the naive executor, tangents also
 * against central differences. */
#include "engine/plan.h"

#include <tiebreak/tiebreak.h>

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 9, ROWS = 3, WIDTH = 4, INPUTS = 3, MOST = 6 };

static tb_context *context;

static void check(tb_status status) {
  if (status != TB_OK)
    fail_msg("%s: %s", tb_context_place(context), tb_context_message(context));
}

/* Two carries that start alike and part: h ← tanh(h W + x), c ← c σ(h) + x; outs: ⟨sin h, c⟩, and the entry of c. */
static tb_status step(void *user, tb_graph *g, tb_value k, size_t n_carry, const tb_value *carry, size_t n_slice,
                      const tb_value *slices, size_t n_const, const tb_value *consts, tb_value *carry_out, size_t n_out,
                      tb_value *outs) {
  carry_out[0] = tb_tanh(g, tb_add(g, tb_matmul(g, carry[0], false, consts[0], false), slices[0]));
  carry_out[1] = tb_add(g, tb_multiply(g, carry[1], tb_sigmoid(g, carry[0])), slices[0]);
  outs[0] = tb_sum(g, tb_multiply(g, tb_sin(g, carry[0]), carry[1]));
  outs[1] = carry[1];
  return tb_graph_status(g);
}

typedef struct model {
  tb_graph *graph;
  tb_value w, h, xs, loss, last[2], outs[2];
} model;

static model make(bool reverse) {
  model m;
  check(tb_graph_new(context, &m.graph));
  m.w = tb_input(m.graph, "w", TB_FLOAT64, 2, ((size_t[]){ WIDTH, WIDTH }));
  m.h = tb_input(m.graph, "h", TB_FLOAT64, 2, ((size_t[]){ ROWS, WIDTH }));
  m.xs = tb_input(m.graph, "xs", TB_FLOAT64, 3, ((size_t[]){ STEPS, ROWS, WIDTH }));
  const tb_value start[2] = { m.h, m.h };
  check(tb_scan(m.graph, STEPS, reverse, step, NULL, 2, start, 1, &m.xs, 1, &m.w, m.last, 2, m.outs));
  m.loss = tb_add(m.graph, tb_sum(m.graph, m.outs[0]),
                  tb_sum(m.graph, tb_multiply(m.graph, m.last[0], tb_square(m.graph, m.last[1]))));
  return m;
}

static const size_t sizes[INPUTS] = { WIDTH * WIDTH, ROWS *WIDTH, STEPS *ROWS *WIDTH };

static void run(const model *m, tb_executor executor, size_t n, const tb_value *out, double along, double **results) {
  tb_program *program;
  double *in[INPUTS];
  for (int i = 0; i < INPUTS; i++) {
    in[i] = malloc(sizes[i] * sizeof(double));
    for (size_t k = 0; k < sizes[i]; k++)
      in[i][k] = 0.7 * sin(1.3 * (double)k + i) + (i == 0 ? along * cos(0.7 * (double)k) : 0);
  }
  check(tb_program_new(context, m->graph, n, out, &(tb_program_options){ executor, .threads = 1 }, &program));
  for (size_t i = 0; i < n; i++)
    results[i] = calloc(tb_elements(m->graph, out[i]), sizeof(double));
  check(tb_program_run(program, INPUTS, (const void *const *)in, n, (void *const *)results));
  for (int i = 0; i < INPUTS; i++)
    free(in[i]);
  tb_program_free(program);
}

/* Loops of the simplified graph; planned values against plain ones. */
static size_t loops_of(const model *m, size_t n, const tb_value *out) {
  uint32_t wanted[MOST], found[MOST];
  double *naive[MOST], *planned[MOST];
  tb_graph *simple;
  size_t loops = 0;
  for (size_t i = 0; i < n; i++)
    wanted[i] = tb_index(m->graph, out[i]);
  check(tb_simplify(context, m->graph, n, wanted, found, &simple));
  for (uint32_t i = 0; i < simple->count; i++)
    loops += simple->nodes[i]->op == TB_OP_SCAN;
  tb_graph_free(simple);
  run(m, TB_NAIVE, n, out, 0, naive);
  run(m, TB_PLANNED, n, out, 0, planned);
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < tb_elements(m->graph, out[i]); k++)
      assert_true(fabs(naive[i][k] - planned[i][k]) <= 1e-12 * (1 + fabs(naive[i][k])));
    free(naive[i]);
    free(planned[i]);
  }
  return loops;
}

/* A direction of w that `run` goes along. */
static tb_value direction(const model *m) {
  double v[WIDTH * WIDTH];
  for (size_t k = 0; k < WIDTH * WIDTH; k++)
    v[k] = cos(0.7 * (double)k);
  return tb_constant(m->graph, TB_FLOAT64, 2, ((size_t[]){ WIDTH, WIDTH }), v);
}

/* d out[at]/d along by central differences against out[dot]. */
static void compare_differences(const model *m, size_t n, const tb_value *out, size_t at, size_t dot) {
  const double eps = 1e-5;
  double *here[MOST], *up[MOST], *down[MOST];
  run(m, TB_PLANNED, n, out, 0, here);
  run(m, TB_PLANNED, n, out, eps, up);
  run(m, TB_PLANNED, n, out, -eps, down);
  for (size_t k = 0; k < tb_elements(m->graph, out[at]); k++) {
    const double slope = (up[at][k] - down[at][k]) / (2 * eps);
    assert_true(fabs(slope - here[dot][k]) <= 1e-7 * (1 + fabs(slope)));
  }
  for (size_t i = 0; i < n; i++) {
    free(here[i]);
    free(up[i]);
    free(down[i]);
  }
}

static void test_value_and_tangent(void **state) {
  for (int reverse = 0; reverse < 2; reverse++) {
    const model m = make(reverse);
    tb_value out[6] = { m.loss, m.outs[1], m.last[0] };
    const tb_value v = direction(&m);
    check(tb_jvp(m.graph, 3, out, 1, &m.w, &v, out + 3));
    assert_int_equal(loops_of(&m, 6, out), 1);
    for (size_t i = 0; i < 3; i++)
      compare_differences(&m, 6, out, i, 3 + i);
    tb_graph_free(m.graph);
  }
}

/* jvp of vjp: value, gradient, Hessian product; jvp of that again. */
static void test_hessian_product(void **state) {
  const model m = make(false);
  tb_value out[4] = { m.loss };
  const tb_value v = direction(&m);
  check(tb_gradient(m.graph, m.loss, 1, &m.w, out + 1));
  assert_int_equal(loops_of(&m, 2, out), 2);
  check(tb_jvp(m.graph, 1, out + 1, 1, &m.w, &v, out + 2));
  assert_int_equal(loops_of(&m, 3, out), 2);
  compare_differences(&m, 3, out, 1, 2);
  check(tb_jvp(m.graph, 1, out + 2, 1, &m.w, &v, out + 3));
  loops_of(&m, 4, out);
  compare_differences(&m, 4, out, 2, 3);
  tb_graph_free(m.graph);
}

/* vjp of jvp, with the value. */
static void test_gradient_of_tangent(void **state) {
  const model m = make(false);
  tb_value out[4] = { m.loss };
  const tb_value v = direction(&m);
  check(tb_gradient(m.graph, m.loss, 1, &m.w, out + 1));
  check(tb_jvp(m.graph, 1, out, 1, &m.w, &v, out + 2));
  check(tb_gradient(m.graph, out[2], 1, &m.w, out + 3));
  loops_of(&m, 4, out);
  compare_differences(&m, 4, out, 0, 2);
  compare_differences(&m, 4, out, 1, 3); /* H v both ways */
  tb_graph_free(m.graph);
}

/* A tangent along the gradient needs the loop's own values first: two loops forward. */
static void test_dependent(void **state) {
  const model m = make(false);
  tb_value out[3] = { m.loss };
  check(tb_gradient(m.graph, m.loss, 1, &m.w, out + 1));
  check(tb_jvp(m.graph, 1, out, 1, &m.w, out + 1, out + 2));
  assert_int_equal(loops_of(&m, 3, out), 3);
  tb_graph_free(m.graph);
}

/* The same loop written twice; another that starts elsewhere. */
static void test_twice(void **state) {
  const model m = make(false);
  tb_value last[2], outs[2], other[2], more[2];
  const tb_value start[2] = { m.h, m.h }, elsewhere[2] = { m.h, tb_scale(m.graph, m.h, 2) };
  check(tb_scan(m.graph, STEPS, false, step, NULL, 2, start, 1, &m.xs, 1, &m.w, last, 2, outs));
  check(tb_scan(m.graph, STEPS, false, step, NULL, 2, elsewhere, 1, &m.xs, 1, &m.w, other, 2, more));
  assert_int_equal(loops_of(&m, 3, ((tb_value[]){ m.loss, last[1], outs[0] })), 1);
  assert_int_equal(loops_of(&m, 3, ((tb_value[]){ m.loss, other[1], more[0] })), 2);
  tb_graph_free(m.graph);
}

static int begin(void **state) {
  context = tb_context_new(NULL, NULL);
  return context ? 0 : -1;
}
static int end(void **state) {
  tb_context_free(context);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_value_and_tangent),
    cmocka_unit_test(test_hessian_product),
    cmocka_unit_test(test_gradient_of_tangent),
    cmocka_unit_test(test_dependent),
    cmocka_unit_test(test_twice),
  };
  return cmocka_run_group_tests(tests, begin, end);
}
