/* The study `measures` as a user runs it: a small table of networks, what is refused, the same bits after a stop. */
#define STUDY "measures"
#include "study_testing.h"

#include <tiebreak/statistics.h>
static double get(const tb_record *r, const char *name) {
  return tb_metrics_get(tb_record_outcome(r)->metrics, name);
}

#define SMALL                                                                                                          \
  "networks=4 depth=1 width=8 heads=2 feedforward=8 max_length=6 prompt_length=3 excess=0.5 probes=3 "                 \
  "transfer_steps=5 lr=1e-2 rates=1,2 "

static const double *column(const tb_record *r, const char *name) {
  const tb_metric_value v = tb_metrics_find(tb_record_outcome(r)->metrics, name);
  assert_non_null(v.name);
  assert_int_equal(v.cols, 4);
  return v.values;
}

static void a_table_of_networks(void **state) {
  tb_record *r = run(SMALL "seed=1");
  const double *excess = column(r, "network.excess"), *lr = column(r, "network.lr");
  for (size_t i = 0; i < 4; i++) {
    assert_true(excess[i] > 0 && excess[i] <= 0.5 + 1e-4);
    assert_true(fabs(lr[i] - (i % 2 ? 0.02 : 0.01)) < 1e-15);
    assert_true(column(r, "network.steps")[i] > 0 && column(r, "network.norm")[i] > 0);
    assert_true(isfinite(column(r, "network.trace")[i]) && isfinite(column(r, "network.transfer_loss")[i]));
  }
  const double rank = tb_rank_correlation(4, column(r, "network.trace"), column(r, "network.transfer_loss"));
  assert_true(get(r, "rank.trace.transfer_loss") == rank);
  assert_true(get(r, "rank.trace.transfer_loss.low") <= rank && rank <= get(r, "rank.trace.transfer_loss.high"));
  assert_true(fabs(get(r, "moved.adaptive_trace") / column(r, "network.adaptive_trace")[0] - 1) < 1e-3);
  assert_true(fabs(get(r, "moved.trace") / column(r, "network.trace")[0] - 1) > 1e-2);
  tb_record_free(r);
}

static void networks_that_are_too_slow_are_left_out(void **state) {
  tb_record *r = run(SMALL "steps=2");
  assert_true(get(r, "networks") == 0);
  assert_int_equal(tb_metrics_find(tb_record_outcome(r)->metrics, "warnings").cols, 4);
  tb_record_free(r);
}

static void the_same_bits_after_a_stop(void **state) {
  const char *words = SMALL "seed=2";
  int stops = 0;
  tb_record *whole = run(words), *again = run_in_pieces(words, 0.1, 3, &stops);
  static const char *const names[] = { "network.excess", "network.trace", "network.transfer_loss", "network.ood_r1" };
  for (size_t i = 0; i < 4; i++)
    assert_memory_equal(column(whole, names[i]), column(again, names[i]), 4 * sizeof(double));
  tb_record_free(whole);
  tb_record_free(again);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_table_of_networks),
    cmocka_unit_test(networks_that_are_too_slow_are_left_out),
    cmocka_unit_test(the_same_bits_after_a_stop),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
