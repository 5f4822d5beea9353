/* Stochastic Lanczos quadrature against spectra known by construction: one quadrature against the moments of its
 * vector, traces of functions, densities against the blurred truth, bits. */
#include "fixture.h"

#include "measure/slq.h"
#include "num/linear.h"

enum { P = 60 };

static double a[P * P], vectors[P * P];
static tb_operator_matrix matrix = { P, a };

static tb_operator dense(const double *values, size_t block) {
  spectral_matrix(P, values, 4, a, vectors);
  return tb_operator_of_matrix(context, &matrix, block);
}

static double power(void *user, double x) {
  return pow(x, *(const int *)user);
}

static double exponential(void *user, double x) {
  return exp(x);
}

/* With one probe z of signs Σ weight θᵏ = zᵀAᵏz / p for k < 2 steps. */
static void moments_of_a_probe(void **state) {
  double values[P];
  for (size_t i = 0; i < P; i++)
    values[i] = cos((double)i);
  const tb_operator op = dense(values, 1);
  for (size_t steps = 1; steps <= 6; steps++) {
    tb_spectrum s;
    check(tb_slq(&op, TB_PROBE_RADEMACHER, 1, steps, (tb_key){ .seed = 3 }, &s));
    double v[P], w[P], z[P];
    uint32_t words[2];
    tb_random_bits((tb_key){ .seed = 3 }, 0, 2, words);
    for (size_t i = 0; i < P; i++)
      z[i] = v[i] = words[i / 32] >> (i % 32) & 1 ? 1 : -1;
    for (int k = 0; k < 2 * (int)steps; k++) {
      tb_trace_estimate moment;
      check(tb_spectrum_trace(&s, power, &k, &moment));
      assert_near(moment.value, tb_dot(P, z, v), 1e-12 * P);
      assert_true(isnan(moment.se));
      tb_gemv(false, P, P, 1, a, v, 0, w);
      memcpy(v, w, sizeof v);
    }
    tb_spectrum_free(&s);
  }
}

/* As many nodes as eigenvalues: the measure of the vector itself, and the trace within its standard error. */
static void few_eigenvalues(void **state) {
  double values[P];
  for (size_t i = 0; i < P; i++)
    values[i] = i < 10 ? -1 : i < 30 ? 0 : 2;
  const double truth = 10 * exp(-1.0) + 20 + 30 * exp(2.0);
  for (tb_probe kind = TB_PROBE_RADEMACHER; kind <= TB_PROBE_NORMAL; kind++) {
    const tb_operator op = dense(values, 3);
    tb_spectrum s;
    check(tb_slq(&op, kind, 200, 20, (tb_key){ .seed = 2 }, &s));
    assert_int_equal(s.products, 200 * 3);
    double least, largest;
    tb_spectrum_range(&s, &least, &largest);
    assert_near(least, -1, 1e-12);
    assert_near(largest, 2, 1e-12);
    for (size_t i = 0; i < s.probes; i++) {
      double sum = 0;
      for (size_t k = 0; k < s.steps; k++)
        sum += s.weights[i * s.steps + k];
      assert_near(sum, 1, 1e-13);
    }
    tb_trace_estimate trace;
    check(tb_spectrum_trace(&s, exponential, NULL, &trace));
    assert_true(trace.se > 0 && trace.se < 0.05 * truth);
    assert_near(trace.value, truth, 4 * trace.se);
    tb_spectrum_free(&s);
  }
}

static void traces_of_functions(void **state) {
  double values[P], truth = 0;
  for (size_t i = 0; i < P; i++)
    truth += exp(values[i] = 3 * sin(1.7 * (double)i));
  const tb_operator op = dense(values, 16);
  tb_spectrum s;
  check(tb_slq(&op, TB_PROBE_NORMAL, 300, 15, (tb_key){ .seed = 1 }, &s));
  tb_trace_estimate trace;
  check(tb_spectrum_trace(&s, exponential, NULL, &trace));
  assert_near(trace.value, truth, 4 * trace.se);
  assert_true(trace.se < 0.03 * truth);
  tb_spectrum_free(&s);
}

static void density_of_a_known_spectrum(void **state) {
  enum { GRID = 201 };
  double values[P], grid[GRID], density[GRID], se[GRID], area = 0;
  for (size_t i = 0; i < P; i++)
    values[i] = i < 40 ? -1 + 0.02 * (double)i : i < 55 ? 1 : 3;
  const tb_operator op = dense(values, 8);
  tb_spectrum s;
  check(tb_slq(&op, TB_PROBE_RADEMACHER, 400, 30, (tb_key){ .seed = 7 }, &s));
  for (size_t j = 0; j < GRID; j++)
    grid[j] = -3 + 8.0 * (double)j / (GRID - 1);
  const double width = 0.2;
  tb_spectrum_density(&s, width, GRID, grid, density, se);
  for (size_t j = 0; j < GRID; j++) {
    double truth = 0;
    for (size_t i = 0; i < P; i++)
      truth += exp(-0.5 * pow((grid[j] - values[i]) / width, 2)) / (width * sqrt(2 * M_PI)) / P;
    assert_near(density[j], truth, 5 * se[j] + 1e-6);
    area += density[j] * 8 / (GRID - 1);
  }
  assert_near(area, 1, 1e-6);
  tb_spectrum_free(&s);
}

static void any_block_same_bits(void **state) {
  double values[P];
  for (size_t i = 0; i < P; i++)
    values[i] = i % 2 ? 0 : pow(0.9, (double)i);
  tb_spectrum one;
  tb_operator op = dense(values, 1);
  check(tb_slq(&op, TB_PROBE_RADEMACHER, 5, 7, (tb_key){ .seed = 7 }, &one));
  for (size_t block = 2; block < 7; block += 2) {
    tb_spectrum s;
    op.block = block;
    check(tb_slq(&op, TB_PROBE_RADEMACHER, 5, 7, (tb_key){ .seed = 7 }, &s));
    assert_memory_equal(one.nodes, s.nodes, 35 * sizeof(double));
    assert_memory_equal(one.weights, s.weights, 35 * sizeof(double));
    tb_spectrum_free(&s);
  }
  tb_spectrum_free(&one);
}

static void size_one_and_mistakes(void **state) {
  const double value = -2.5;
  tb_operator_matrix m = { 1, &value };
  const tb_operator op = tb_operator_of_matrix(context, &m, 4);
  tb_spectrum s;
  check(tb_slq(&op, TB_PROBE_NORMAL, 3, 10, (tb_key){ 0 }, &s));
  assert_int_equal(s.steps, 1);
  for (size_t i = 0; i < 3; i++)
    assert_true(s.nodes[i] == -2.5 && s.weights[i] == 1);
  tb_spectrum_free(&s);
  assert_int_equal(tb_slq(&op, TB_PROBE_NORMAL, 0, 1, (tb_key){ 0 }, &s), TB_USAGE);
  assert_int_equal(tb_slq(&op, TB_PROBE_NORMAL, 1, 0, (tb_key){ 0 }, &s), TB_USAGE);
}

static tb_status quadrature_and_trace(tb_context *metered) {
  const double values[P] = { 1, 2, 3 };
  tb_operator op = dense(values, 3);
  op.context = metered;
  tb_spectrum s;
  tb_trace_estimate trace;
  tb_status status = tb_slq(&op, TB_PROBE_RADEMACHER, 4, 5, (tb_key){ 0 }, &s);
  if (status == TB_OK)
    status = tb_spectrum_trace(&s, exponential, NULL, &trace);
  tb_spectrum_free(&s);
  return status;
}

static void memory_runs_out(void **state) {
  memory_runs_out_in(quadrature_and_trace);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(memory_runs_out),
    cmocka_unit_test(moments_of_a_probe),
    cmocka_unit_test(few_eigenvalues),
    cmocka_unit_test(traces_of_functions),
    cmocka_unit_test(density_of_a_known_spectrum),
    cmocka_unit_test(any_block_same_bits),
    cmocka_unit_test(size_one_and_mistakes),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
