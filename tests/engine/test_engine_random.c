/* A thousand random graphs: forward and reverse mode are transposes of each other, Hessians are symmetric, and float32
 * agrees with float64. */
#include "random_graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum { GRAPHS = 1000, MOST = 4 * RANDOM_RESULTS + 4 * RANDOM_PARAMETERS };

/* All outputs of a graph, as float64. */
typedef struct answers {
  size_t count, elements[MOST];
  double *data[MOST];
} answers;

static void evaluate(const random_graph *r, size_t n, const tb_value *values, answers *out) {
  tb_program *program;
  if (tb_program_new(r->context, r->graph, n, values, &(tb_program_options){ TB_NAIVE }, &program) != TB_OK)
    fail_msg("%s", tb_context_message(r->context));
  out->count = n;
  for (size_t i = 0; i < n; i++) {
    out->elements[i] = tb_elements(r->graph, values[i]);
    out->data[i] = calloc(out->elements[i] + 1, sizeof(double));
  }
  if (tb_program_run(program, r->inputs, (const void *const *)r->data, n, (void *const *)out->data) != TB_OK)
    fail_msg("%s", tb_context_message(r->context));
  tb_program_free(program);
  for (size_t i = 0; i < n && r->dtype == TB_FLOAT32; i++)
    for (size_t k = out->elements[i]; k-- > 0;)
      out->data[i][k] = (double)((float *)out->data[i])[k];
}

static void release(answers *a) {
  for (size_t i = 0; i < a->count; i++)
    free(a->data[i]);
}

/* Σ a·b over parts of answers, and in *scale the sum of absolute products. */
static double inner(size_t n, const size_t *elements, double *const *a, double *const *b, double *scale) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < elements[i]; k++) {
      sum += a[i][k] * b[i][k];
      *scale += fabs(a[i][k] * b[i][k]);
    }
  return sum;
}

static void make(tb_context *context, uint64_t seed, tb_dtype dtype, bool comparable, random_graph *r) {
  if (random_graph_make(context, seed, dtype, comparable, r) != TB_OK)
    fail_msg("graph %d: %s: %s", (int)seed, tb_context_place(context), tb_context_message(context));
}

static size_t append(tb_value *values, size_t n, size_t count, const tb_value *more) {
  for (size_t i = 0; i < count; i++)
    values[n++] = more[i];
  return n;
}

static void test_transposes(void **state) {
  size_t nonzero = 0;
  for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
    tb_context *context = tb_context_new(NULL, NULL);
    random_graph r;
    make(context, seed, TB_FLOAT64, false, &r);
    tb_value values[MOST];
    size_t n = append(values, 0, r.results, r.y_dot);
    n = append(values, n, r.results, r.u);
    n = append(values, n, r.parameters, r.x_bar);
    n = append(values, n, r.parameters, r.v);
    n = append(values, n, r.parameters, r.w);
    n = append(values, n, r.parameters, r.hv);
    n = append(values, n, r.parameters, r.hw);
    answers a;
    evaluate(&r, n, values, &a);
    double *const *y_dot = a.data, *const *u = y_dot + r.results, *const *x_bar = u + r.results;
    double *const *v = x_bar + r.parameters, *const *w = v + r.parameters, *const *hv = w + r.parameters;
    double *const *hw = hv + r.parameters;
    const size_t *of_y = a.elements, *of_x = a.elements + 2 * r.results;
    double scale = 1e-3, forward = inner(r.results, of_y, u, y_dot, &scale);
    double reverse = inner(r.parameters, of_x, x_bar, v, &scale);
    if (!(fabs(forward - reverse) <= 1e-11 * scale))
      fail_msg("graph %d: u·Jv = %.17g, v·Jᵀu = %.17g", (int)seed, forward, reverse);
    nonzero += forward != 0;
    scale = 1e-3;
    double one = inner(r.parameters, of_x, w, hv, &scale), two = inner(r.parameters, of_x, v, hw, &scale);
    if (!(fabs(one - two) <= 1e-9 * scale))
      fail_msg("graph %d: w·Hv = %.17g, v·Hw = %.17g", (int)seed, one, two);
    release(&a);
    random_graph_free(&r);
    tb_context_free(context);
  }
  print_message("%zu of %d graphs have a derivative\n", nonzero, GRAPHS);
  assert_true(nonzero > GRAPHS * 3 / 4);
}

/* The same graph in both types: float32 inputs are exact in float64, so results differ by rounding only. */
static void test_float32(void **state) {
  for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
    tb_context *context = tb_context_new(NULL, NULL);
    random_graph r, s;
    make(context, seed, TB_FLOAT32, true, &r);
    make(context, seed, TB_FLOAT64, true, &s);
    tb_value values[2][MOST];
    answers a, b;
    for (int i = 0; i < 2; i++) {
      const random_graph *q = i ? &s : &r;
      size_t n = append(values[i], 0, q->results, q->y);
      n = append(values[i], n, q->results, q->y_dot);
      n = append(values[i], n, q->parameters, q->x_bar);
      evaluate(q, n, values[i], i ? &b : &a);
    }
    assert_int_equal(a.count, b.count);
    for (size_t i = 0; i < a.count; i++)
      for (size_t k = 0; k < a.elements[i]; k++) {
        double scale = 1;
        for (size_t l = 0; l < a.elements[i]; l++)
          scale = fmax(scale, fabs(b.data[i][l]));
        if (!(fabs(a.data[i][k] - b.data[i][k]) <= 1e-4 * scale))
          fail_msg("graph %d: output %zu element %zu: %.9g in float32, %.17g in float64", (int)seed, i, k, a.data[i][k],
                   b.data[i][k]);
      }
    release(&a);
    release(&b);
    random_graph_free(&r);
    random_graph_free(&s);
    tb_context_free(context);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_transposes), cmocka_unit_test(test_float32) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
