/* Sharpness of a ReLU network: against its dense Hessian, and invariance under rescaled layers. */
#include "fixture.h"

#include "measure/curvature.h"
#include "measure/sharpness.h"
#include "num/linear.h"

enum { INPUTS = 3, WIDTH = 5, N = 9, P = WIDTH * (INPUTS + 2) + 1 }; /* W₁ [5×3], b₁, W₂ [1×5], b₂ */

static const tb_span layers[] = { { 0, WIDTH *INPUTS }, { WIDTH * (INPUTS + 1), WIDTH } };
static const tb_model_shape shape = { .inputs = INPUTS, .depth = 2, .width = WIDTH, .activation = TB_RELU };

typedef struct network {
  tb_curvature *curvature;
  tb_operator op;
  double theta[P], dense[P * P];
} network;

/* The network with its first layer times α, its second divided by it. */
static void open_network(network *t, tb_curvature_kind kind, double alpha) {
  double x[N * INPUTS], y[N];
  const tb_model_function m = { tb_model_find("mlp"), &shape };
  tb_random_normal((tb_key){ .use = 1 }, 0, N * INPUTS, x);
  for (size_t i = 0; i < N; i++)
    y[i] = i % 2 ? 1 : -1;
  tb_random_normal((tb_key){ .use = 2 }, 0, P, t->theta);
  for (size_t q = 0; q < WIDTH * (INPUTS + 1); q++)
    t->theta[q] *= alpha;
  for (size_t q = WIDTH * (INPUTS + 1); q < P - 1; q++)
    t->theta[q] /= alpha;
  const tb_function f = tb_function_of_model(&m, TB_FLOAT64, N, x, TB_ROW_LOGISTIC, y);
  check(tb_curvature_new(context, &f, kind, 6, &t->curvature));
  tb_curvature_move(t->curvature, t->theta);
  t->op = tb_curvature_operator(t->curvature);
  check(tb_operator_dense(&t->op, t->dense));
}

static double top_of(const double *a) {
  double copy[P * P], values[P];
  memcpy(copy, a, sizeof copy);
  check(tb_symmetric_eigen(context, P, copy, values, NULL));
  return values[P - 1];
}

static double trace_of(const double *a, tb_span span) {
  double sum = 0;
  for (size_t q = span.start; q < span.start + span.length; q++)
    sum += a[q * P + q];
  return sum;
}

static void equals_the_dense_hessian(void **state) {
  for (tb_curvature_kind kind = TB_HESSIAN; kind <= TB_GAUSS_NEWTON; kind++) {
    network t;
    tb_sharpness s;
    open_network(&t, kind, 1);
    check(tb_sharpness_of(&t.op, t.theta,
                          &(tb_sharpness_options){ .probes = 4000, .layers = 2, .layer = layers, .tolerance = 1e-10 },
                          &s));
    assert_true(s.converged);
    const double top = top_of(t.dense), trace = trace_of(t.dense, (tb_span){ 0, P });
    assert_near(s.top, top, 1e-10 * top);
    assert_near(s.trace.value, trace, 4 * s.trace.se);
    assert_true(s.trace.se < 0.05 * trace);
    const double first = trace_of(t.dense, layers[0]), second = trace_of(t.dense, layers[1]);
    if (first > 0 && second > 0) { /* the minimum over α, by looking */
      double least = INFINITY;
      for (double alpha = 0.05; alpha < 20; alpha *= 1.0005)
        least = fmin(least, first / (alpha * alpha) + second * alpha * alpha);
      assert_near(s.least_trace.value, least, 4 * s.least_trace.se);
      assert_true(s.least_trace.se < 0.05 * least);
    }
    for (size_t i = 0; i < P; i++)
      for (size_t j = 0; j < P; j++)
        t.dense[i * P + j] *= fabs(t.theta[i]) * fabs(t.theta[j]);
    const double adaptive = top_of(t.dense);
    assert_near(s.adaptive_top, adaptive, 1e-10 * adaptive);
    assert_near(s.adaptive_trace.value, trace_of(t.dense, (tb_span){ 0, P }), 4 * s.adaptive_trace.se);
    tb_curvature_free(t.curvature);
  }
}

/* By powers of two every number scales exactly, so even the estimates agree; the raw measures do not. */
static void rescaling_changes_only_the_raw_ones(void **state) {
  tb_sharpness plain = { 0 };
  for (double alpha = 1; alpha <= 64; alpha *= 4) {
    network t;
    tb_sharpness s;
    open_network(&t, TB_GAUSS_NEWTON, alpha);
    check(tb_sharpness_of(&t.op, t.theta, &(tb_sharpness_options){ .layers = 2, .layer = layers }, &s));
    if (alpha == 1)
      plain = s;
    assert_near(s.adaptive_top, plain.adaptive_top, 1e-9 * plain.adaptive_top);
    assert_near(s.adaptive_trace.value, plain.adaptive_trace.value, 1e-9 * plain.adaptive_trace.value);
    assert_near(s.least_trace.value, plain.least_trace.value, 1e-9 * plain.least_trace.value);
    const double least = 2 * sqrt(trace_of(t.dense, layers[0]) * trace_of(t.dense, layers[1]));
    assert_near(s.least_trace.value, least, 4 * s.least_trace.se);
    if (alpha > 1) {
      assert_true(s.top > 4 * plain.top);
      assert_true(s.trace.value > 4 * plain.trace.value);
    }
    tb_curvature_free(t.curvature);
  }
}

static void without_layers_or_with_a_flat_one(void **state) {
  double zero[4] = { 0 }, theta[2] = { 1, 2 };
  tb_operator_matrix m = { 2, zero };
  const tb_operator op = tb_operator_of_matrix(context, &m, 1);
  tb_sharpness s;
  check(tb_sharpness_of(&op, theta, &(tb_sharpness_options){ 0 }, &s));
  assert_true(s.top == 0 && s.trace.value == 0 && s.adaptive_trace.value == 0 && isnan(s.least_trace.value));
  zero[0] = 1;
  check(tb_sharpness_of(&op, theta, &(tb_sharpness_options){ .layers = 2, .layer = (tb_span[]){ { 0, 1 }, { 1, 1 } } },
                        &s));
  assert_true(s.top == 1 && s.trace.value == 1 && s.adaptive_top == 1 && isnan(s.least_trace.value));
}

static tb_status sharpness_of_a_matrix(tb_context *metered) {
  const double entries[4] = { 2, 1, 1, 3 }, theta[2] = { 1, -2 };
  const tb_operator_matrix m = { 2, entries };
  const tb_operator op = tb_operator_of_matrix(metered, &m, 2);
  tb_sharpness s;
  return tb_sharpness_of(&op, theta, &(tb_sharpness_options){ .probes = 3, .layers = 1, .layer = &(tb_span){ 0, 1 } },
                         &s);
}

static void memory_runs_out(void **state) {
  memory_runs_out_in(sharpness_of_a_matrix);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(memory_runs_out),
    cmocka_unit_test(equals_the_dense_hessian),
    cmocka_unit_test(rescaling_changes_only_the_raw_ones),
    cmocka_unit_test(without_layers_or_with_a_flat_one),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
