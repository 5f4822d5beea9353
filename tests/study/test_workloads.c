/* The benchmark's workloads: each does what its row says, again and again to the same bits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tiebreak/bench.h>

static const tb_workload_record *find(const char *name) {
  for (const tb_workload_record *const *r = tb_workloads(); *r; r++)
    if (!strcmp((*r)->name, name))
      return *r;
  fail_msg("no workload %s", name);
  return NULL;
}

static void steps_repeat(void **state) {
  for (const tb_workload_record *const *r = tb_workloads(); *r; r++) {
    if ((*r)->steps < 5) /* a step of seconds */
      continue;
    const size_t steps = (*r)->steps < 50 ? 1 : 2;
    tb_context *context = tb_context_new(NULL, NULL);
    tb_bench_result first, second;
    assert_int_equal(tb_bench_run(context, *r, steps, NULL, &first), TB_OK);
    assert_int_equal(tb_bench_run(context, *r, steps, NULL, &second), TB_OK);
    assert_true(first.parameters_hash == second.parameters_hash);
    assert_true(first.seconds > 0);
    assert_int_equal(first.steps, steps);
    tb_context_free(context);
  }
}

/* Adam's first step is lr·sign of the gradient: no parameter moves further than lr, and the loss falls. */
static void training_descends(void **state) {
  const char *names[] = { "mlp32", "mlp64" };
  for (int k = 0; k < 2; k++) {
    const tb_workload_record *record = find(names[k]);
    tb_context *context = tb_context_new(NULL, NULL);
    tb_workload *w;
    double first, last = 0;
    size_t bytes;
    float before[8192];
    assert_int_equal(record->open(context, &w), TB_OK);
    const float *theta = record->parameters(w, &bytes);
    memcpy(before, theta, bytes);
    assert_int_equal(record->step(w, &first), TB_OK);
    theta = record->parameters(w, &bytes);
    float most = 0;
    for (size_t i = 0; i < bytes / sizeof(float); i++)
      most = fmaxf(most, fabsf(theta[i] - before[i]));
    assert_true(most <= 1.001e-3f && most > 0.9e-3f);
    for (int i = 0; i < 200; i++)
      assert_int_equal(record->step(w, &last), TB_OK);
    assert_true(last < 0.5 * first);
    record->close(w);
    tb_context_free(context);
  }
}

/* Plain steps on a factorisation: the loss falls monotonically.  Three of Adam's on the transformer lower its loss. */
static void other_rows_descend(void **state) {
  const char *names[] = { "factorisation", "factorisation64", "transformer" };
  for (int k = 0; k < 3; k++) {
    const tb_workload_record *record = find(names[k]);
    tb_context *context = tb_context_new(NULL, NULL);
    tb_workload *w;
    double last, now;
    assert_int_equal(record->open(context, &w), TB_OK);
    assert_int_equal(record->step(w, &last), TB_OK);
    for (int i = 0; i < 3; i++, last = now) {
      assert_int_equal(record->step(w, &now), TB_OK);
      assert_true(now < last);
    }
    record->close(w);
    tb_context_free(context);
  }
}

/* A damped natural-gradient step of rate 0.1 takes off about a tenth of every residual: loss × 0.81. */
static void natural_gradient_contracts(void **state) {
  const tb_workload_record *record = find("natural_gradient_200");
  tb_context *context = tb_context_new(NULL, NULL);
  tb_workload *w;
  double before, after;
  assert_int_equal(record->open(context, &w), TB_OK);
  assert_int_equal(record->step(w, &before), TB_OK);
  assert_int_equal(record->step(w, &after), TB_OK);
  assert_true(fabs(after / before - 0.81) < 0.05);
  record->close(w);
  tb_context_free(context);
}

/* A chain of 500 draws by NUTS is worth some hundreds; rows that count time alone yield nothing. */
static void chains_yield(void **state) {
  tb_context *context = tb_context_new(NULL, NULL);
  tb_bench_result result;
  assert_int_equal(tb_bench_run(context, find("nuts_logistic"), 1, NULL, &result), TB_OK);
  assert_true(result.yield > 100 && result.yield < 1000);
  assert_true(fabs(result.yield_rate * result.seconds / result.yield - 1) < 1e-9);
  assert_int_equal(tb_bench_run(context, find("mlp32"), 1, NULL, &result), TB_OK);
  assert_true(isnan(result.yield) && isnan(result.yield_rate));
  tb_context_free(context);
}

int main(void) {
  unsetenv("TIEBREAK_DATA"); /* drawn data: nothing depends on what is at hand */
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(steps_repeat),       cmocka_unit_test(training_descends),
    cmocka_unit_test(other_rows_descend), cmocka_unit_test(natural_gradient_contracts),
    cmocka_unit_test(chains_yield),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
