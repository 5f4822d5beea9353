/* The study `measures` as a user runs it: a small table of networks, what is refused, the same bits after a stop. */
#include "../testing.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include <tiebreak/statistics.h>
#include <tiebreak/tiebreak.h>

static tb_context *context;
static char root[64];

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *where) {
  return remove(path);
}

static int setup(void **state) {
  context = tb_context_new(NULL, NULL);
  snprintf(root, sizeof root, "/tmp/tiebreak-measures-%d", (int)getpid());
  return context ? 0 : -1;
}

static int teardown(void **state) {
  nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  tb_context_free(context);
  return 0;
}

/* A batch from "key=value key=value". */
static tb_batch *batch_of(const char *words) {
  tb_assignment assignments[24] = { 0 };
  tb_batch *batch;
  size_t count = 0;
  char *copy = strdup(words), *rest = copy;
  for (char *word; (word = strsep(&rest, " "));) {
    char *value = strchr(word, '=');
    *value++ = 0;
    assignments[count++] = (tb_assignment){ .key = word, .text = value, .origin = "command line" };
  }
  if (tb_batch_new(context, "measures", count, assignments, &batch))
    fail_msg("%s: %s (%s)", words, tb_context_message(context), tb_context_place(context));
  free(copy);
  return batch;
}

static tb_record *run(const char *words) {
  const tb_run_options options = { .folder = root, .threads = 1 };
  tb_batch *batch = batch_of(words);
  tb_record *record;
  if (tb_batch_run(context, batch, &options))
    fail_msg("%s: %s (%s)", words, tb_context_message(context), tb_context_place(context));
  assert_int_equal(tb_record_open(context, tb_batch_run_folder(batch, 0), &record), TB_OK);
  tb_batch_free(batch);
  return record;
}

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
  tb_record *whole = run(words), *pieces;
  tb_run_options options = { .folder = root, .threads = 1, .time_limit = 0.1, .checkpoint_seconds = 1e-9 };
  tb_batch *batch = batch_of(words);
  char folder[600];
  tb_status status = tb_batch_run(context, batch, &options);
  snprintf(folder, sizeof folder, "%s", tb_batch_folder(batch));
  tb_batch_free(batch);
  for (int stops = 0; status == TB_STOPPED; stops++) {
    options.time_limit = stops < 3 ? 0.1 : 0;
    assert_int_equal(tb_batch_open(context, folder, &batch), TB_OK);
    status = tb_batch_run(context, batch, &options);
    tb_batch_free(batch);
  }
  assert_int_equal(status, TB_OK);
  assert_int_equal(tb_record_open(context, folder, &pieces), TB_OK);
  static const char *const names[] = { "network.excess", "network.trace", "network.transfer_loss", "network.ood_r1" };
  for (size_t i = 0; i < 4; i++)
    assert_memory_equal(column(whole, names[i]), column(pieces, names[i]), 4 * sizeof(double));
  tb_record_free(whole);
  tb_record_free(pieces);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_table_of_networks),
    cmocka_unit_test(networks_that_are_too_slow_are_left_out),
    cmocka_unit_test(the_same_bits_after_a_stop),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
