/* Hutchinson and Hutch++: exact where theory says so, within standard errors elsewhere, standard errors of the right
 * size, determinism, whatever the block. */
#include "fixture.h"

#include <tiebreak/statistics.h>

#include "measure/hutchpp.h"

enum { P = 41 };

static double a[P * P], vectors[P * P];
static tb_operator_matrix matrix = { P, a };

static tb_operator dense(const double *values, size_t block) {
  spectral_matrix(P, values, 8, a, vectors);
  return tb_operator_of_matrix(context, &matrix, block);
}

static tb_operator diagonal(const double *values, size_t block) {
  memset(a, 0, sizeof a);
  for (size_t i = 0; i < P; i++)
    a[i * P + i] = values[i];
  return tb_operator_of_matrix(context, &matrix, block);
}

static double decaying[P];
static double decaying_trace;

static int prepare(void **state) {
  for (size_t i = 0; i < P; i++)
    decaying_trace += decaying[i] = pow(0.7, (double)i);
  return set_up(state);
}

/* Rademacher probes see a diagonal matrix exactly. */
static void diagonal_is_exact(void **state) {
  const tb_operator op = diagonal(decaying, 3);
  tb_trace_estimate trace;
  double d[P], se[P];
  check(tb_hutchinson_trace(&op, TB_PROBE_RADEMACHER, 4, (tb_key){ 0 }, &trace));
  assert_near(trace.value, decaying_trace, 1e-14);
  assert_near(trace.se, 0, 1e-14);
  assert_int_equal(trace.products, 4);
  for (tb_probe kind = TB_PROBE_RADEMACHER; kind <= TB_PROBE_NORMAL; kind++) {
    check(tb_hutchinson_diagonal(&op, kind, 5, (tb_key){ 0 }, d, se));
    for (size_t i = 0; i < P; i++) {
      assert_near(d[i], decaying[i], 1e-14);
      assert_near(se[i], 0, 1e-7);
    }
  }
  check(tb_hutchinson_trace(&op, TB_PROBE_NORMAL, 1, (tb_key){ 0 }, &trace));
  assert_true(isnan(trace.se));
}

/* Over many keys: mean at the truth, standard deviation at the theory's and at the mean reported one. */
static void errors_are_as_said(void **state) {
  const tb_operator op = dense(decaying, 4);
  enum { KEYS = 400, PROBES = 10 };
  double squares = 0, off = 0;
  for (size_t i = 0; i < P; i++)
    for (size_t j = 0; j < P; j++) {
      squares += a[i * P + j] * a[i * P + j];
      off += i != j ? a[i * P + j] * a[i * P + j] : 0;
    }
  for (tb_probe kind = TB_PROBE_RADEMACHER; kind <= TB_PROBE_NORMAL; kind++) {
    double values[KEYS], variances[KEYS];
    for (size_t i = 0; i < KEYS; i++) {
      tb_trace_estimate trace;
      check(tb_hutchinson_trace(&op, kind, PROBES, (tb_key){ .seed = i }, &trace));
      values[i] = trace.value;
      variances[i] = trace.se * trace.se;
    }
    const double sd = sqrt(2 * (kind == TB_PROBE_NORMAL ? squares : off) / PROBES);
    assert_near(tb_mean_of(KEYS, values), decaying_trace, 4 * sd / sqrt(KEYS));
    assert_near(tb_sd_of(KEYS, values), sd, 0.2 * sd);
    assert_near(sqrt(tb_mean_of(KEYS, variances)), sd, 0.2 * sd);
  }
}

static void diagonal_estimate(void **state) {
  const tb_operator op = dense(decaying, 7);
  double d[P], se[P];
  for (tb_probe kind = TB_PROBE_RADEMACHER; kind <= TB_PROBE_NORMAL; kind++) {
    check(tb_hutchinson_diagonal(&op, kind, 500, (tb_key){ .seed = 1 }, d, se));
    double chi = 0;
    for (size_t i = 0; i < P; i++) {
      assert_true(se[i] < 0.05);
      chi += pow((d[i] - a[i * P + i]) / se[i], 2) / P;
    }
    assert_true(chi > 0.4 && chi < 2);
  }
}

static void any_block_same_bits(void **state) {
  tb_trace_estimate first, plus_first;
  for (size_t block = 1; block <= 9; block += 4) {
    const tb_operator op = dense(decaying, block);
    tb_trace_estimate trace, plus;
    check(tb_hutchinson_trace(&op, TB_PROBE_RADEMACHER, 9, (tb_key){ .seed = 3 }, &trace));
    check(tb_hutchpp_trace(&op, 17, (tb_key){ .seed = 3 }, &plus));
    if (block == 1) {
      first = trace;
      plus_first = plus;
    }
    assert_true(trace.value == first.value && trace.se == first.se);
    assert_true(plus.value == plus_first.value && plus.se == plus_first.se);
  }
}

static void hutchpp_exact_for_low_rank(void **state) {
  double values[P] = { [2] = 3, [11] = -1, [30] = 1e-4 };
  tb_operator op = dense(values, 2);
  tb_trace_estimate trace;
  for (size_t products = 9; products < 40; products++) { /* sketches of 3 and more */
    check(tb_hutchpp_trace(&op, products, (tb_key){ .seed = products }, &trace));
    assert_near(trace.value, 2.0001, 1e-13);
    assert_true(trace.products <= products);
    if (products > 9 + 2)
      assert_near(trace.se, 0, 1e-13);
  }
  memset(values, 0, sizeof values);
  op = dense(values, 2);
  check(tb_hutchpp_trace(&op, 6, (tb_key){ 0 }, &trace));
  assert_true(trace.value == 0);
  op = dense(decaying, 8);
  check(tb_hutchpp_trace(&op, 3 * P + 50, (tb_key){ 0 }, &trace)); /* the sketch is everything */
  assert_near(trace.value, decaying_trace, 1e-13);
  assert_int_equal(tb_hutchpp_trace(&op, 2, (tb_key){ 0 }, &trace), TB_USAGE);
  const double one = 7;
  matrix = (tb_operator_matrix){ 1, &one };
  op.dimension = 1;
  check(tb_hutchpp_trace(&op, 3, (tb_key){ 0 }, &trace));
  assert_true(trace.value == 7 && trace.se == 0);
  matrix = (tb_operator_matrix){ P, a };
}

/* Where the spectrum decays it beats Hutchinson at equal cost; unbiased; its standard errors hold. */
static void hutchpp_beats_hutchinson(void **state) {
  const tb_operator op = dense(decaying, 6);
  enum { KEYS = 200 };
  double plus[KEYS], plain[KEYS], se = 0;
  for (size_t i = 0; i < KEYS; i++) {
    tb_trace_estimate trace;
    check(tb_hutchpp_trace(&op, 30, (tb_key){ .seed = i }, &trace));
    plus[i] = trace.value;
    se += trace.se * trace.se / KEYS;
    check(tb_hutchinson_trace(&op, TB_PROBE_RADEMACHER, 30, (tb_key){ .seed = i }, &trace));
    plain[i] = trace.value;
  }
  const double sd = tb_sd_of(KEYS, plus);
  assert_true(sd < 0.15 * tb_sd_of(KEYS, plain));
  assert_near(tb_mean_of(KEYS, plus), decaying_trace, 4 * sd / sqrt(KEYS));
  assert_near(sqrt(se), sd, 0.3 * sd);
}

static tb_status every_estimate(tb_context *metered) {
  tb_operator op = dense(decaying, 3);
  op.context = metered;
  tb_trace_estimate trace;
  double d[P];
  tb_status status = tb_hutchinson_trace(&op, TB_PROBE_RADEMACHER, 5, (tb_key){ 0 }, &trace);
  if (status == TB_OK)
    status = tb_hutchinson_diagonal(&op, TB_PROBE_NORMAL, 5, (tb_key){ 0 }, d, NULL);
  if (status == TB_OK)
    status = tb_hutchpp_trace(&op, 9, (tb_key){ 0 }, &trace);
  return status;
}

static void memory_runs_out(void **state) {
  memory_runs_out_in(every_estimate);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(memory_runs_out),          cmocka_unit_test(diagonal_is_exact),
    cmocka_unit_test(errors_are_as_said),       cmocka_unit_test(diagonal_estimate),
    cmocka_unit_test(any_block_same_bits),      cmocka_unit_test(hutchpp_exact_for_low_rank),
    cmocka_unit_test(hutchpp_beats_hutchinson),
  };
  return cmocka_run_group_tests(tests, prepare, tear_down);
}
