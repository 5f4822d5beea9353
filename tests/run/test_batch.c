/* What was asked: overrides, sweeps, study files, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <tiebreak/tiebreak.h>

static char folder[] = "/tmp/tiebreak-batch-XXXXXX";

static int setup(void **state) {
  *state = tb_context_new(NULL, NULL);
  return 0;
}

static int teardown(void **state) {
  tb_context_free(*state);
  return 0;
}

/* "key=value" words as overrides. */
static tb_status ask(tb_context *context, const char *what, size_t n, const char *const *words, tb_batch **batch) {
  static char keys[8][64];
  tb_assignment overrides[8];
  for (size_t i = 0; i < n; i++) {
    const char *equals = strchr(words[i], '=');
    snprintf(keys[i], sizeof keys[i], "%.*s", (int)(equals - words[i]), words[i]);
    overrides[i] = (tb_assignment){ .key = keys[i],
                                    .text = equals + 1,
                                    .origin = "command line",
                                    .excerpt = words[i],
                                    .key_column = 1,
                                    .value_column = (size_t)(equals - words[i]) + 2 };
  }
  return tb_batch_new(context, what, n, overrides, batch);
}

#define ASK(batch, what, ...)                                                                                          \
  ask(context, what, sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), (const char *[]){ __VA_ARGS__ }, batch)

static const char *write_file(const char *name, const char *text) {
  static char path[200];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
  return path;
}

static long integer(tb_batch *batch, size_t run, const char *name) {
  return (long)tb_config_integer(tb_batch_config(batch, run), name);
}

/* ---- sweeps ---- */

static void one_run_by_name(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  assert_int_equal(tb_batch_new(context, "toy", 0, NULL, &batch), TB_OK);
  assert_int_equal(tb_batch_runs(batch), 1);
  assert_string_equal(tb_batch_name(batch), "toy");
  assert_int_equal(integer(batch, 0, "steps"), 10);
  tb_batch_free(batch);
}

static void lists_ranges_and_both(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  assert_int_equal(ASK(&batch, "toy", "seed=0:2,7,9:10"), TB_OK);
  const long expected[] = { 0, 1, 2, 7, 9, 10 };
  assert_int_equal(tb_batch_runs(batch), 6);
  for (size_t i = 0; i < 6; i++)
    assert_int_equal(integer(batch, i, "seed"), expected[i]);
  tb_batch_free(batch);
}

static void cross_product_with_the_seed_innermost(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  assert_int_equal(ASK(&batch, "toy", "seed=1:2", "steps=5,6", "method=plain,shifted"), TB_OK);
  assert_int_equal(tb_batch_runs(batch), 8);
  for (size_t i = 0; i < 8; i++) {
    assert_int_equal(integer(batch, i, "seed"), 1 + i % 2);
    assert_int_equal(integer(batch, i, "steps"), 5 + i / 4);
    assert_true(tb_config_is(tb_batch_config(batch, i), "method", i / 2 % 2 ? "shifted" : "plain"));
  }
  tb_batch_free(batch);
}

static void lists_of_numbers_do_not_sweep(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  const double *values;
  assert_int_equal(ASK(&batch, "toy", "at=1,2,3"), TB_OK);
  assert_int_equal(tb_batch_runs(batch), 1);
  assert_int_equal(tb_config_reals(tb_batch_config(batch, 0), "at", &values), 3);
  tb_batch_free(batch);
}

static void the_last_wins(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  assert_int_equal(ASK(&batch, "toy", "steps=1:5", "seed=3", "steps=7"), TB_OK);
  assert_int_equal(tb_batch_runs(batch), 1);
  assert_int_equal(integer(batch, 0, "steps"), 7);
  tb_batch_free(batch);
}

static void reals_sweep_over_lists_and_whole_ranges(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  assert_int_equal(ASK(&batch, "toy", "rate=0.5,1:3"), TB_OK);
  assert_int_equal(tb_batch_runs(batch), 4);
  assert_true(tb_config_real(tb_batch_config(batch, 0), "rate") == 0.5);
  assert_true(tb_config_real(tb_batch_config(batch, 3), "rate") == 3);
  tb_batch_free(batch);
}

static void the_largest_batch(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  assert_int_equal(ASK(&batch, "toy", "seed=1000:100999"), TB_OK);
  assert_int_equal(tb_batch_runs(batch), 100000);
  assert_int_equal(integer(batch, 99999, "seed"), 100999);
  tb_batch_free(batch);
}

/* ---- what is refused ---- */

#define REFUSED(status, message, hint, ...)                                                                            \
  do {                                                                                                                 \
    tb_batch *batch;                                                                                                   \
    assert_int_equal(ASK(&batch, "toy", __VA_ARGS__), status);                                                         \
    assert_null(batch);                                                                                                \
    if (!strstr(tb_context_message(context), message) || !strstr(tb_context_hint(context), hint)) {                    \
      print_error("message: %s\nhint: %s\n", tb_context_message(context), tb_context_hint(context));                   \
      fail();                                                                                                          \
    }                                                                                                                  \
  } while (0)

static void absurd_sweeps(void **state) {
  tb_context *context = *state;
  REFUSED(TB_USAGE, "1,000,000,000 runs", "seed takes 1,000,000,000 values", "seed=0:999999999");
  REFUSED(TB_USAGE, "100,001 runs", "seed", "seed=0:100000");
  REFUSED(TB_USAGE, "1e+18 runs", "", "seed=0:999999999", "steps=1:1e9");
  REFUSED(TB_USAGE, "runs", "", "seed=0:9000000000000000", "steps=1:1e9", "steps=1:1000000000", "rate=1:4");
}

static void malformed_sweeps(void **state) {
  tb_context *context = *state;
  REFUSED(TB_USAGE, "is empty", "smaller end first", "seed=5:1");
  REFUSED(TB_USAGE, "no range", "FIRST:LAST", "seed=0.5:1");
  REFUSED(TB_USAGE, "no range", "list the values", "rate=0.1:0.3");
  REFUSED(TB_USAGE, "no range", "", "seed=1:2:3");
  REFUSED(TB_USAGE, "no range", "", "seed=:");
  REFUSED(TB_USAGE, "empty value", "", "seed=1,,2");
  REFUSED(TB_USAGE, "empty value", "", "seed=1,");
}

static void bad_keys_and_values(void **state) {
  tb_context *context = *state;
  REFUSED(TB_USAGE, "unknown option 'metod'", "'method'", "metod=plain");
  assert_string_equal(tb_context_excerpt(context), "metod=plain\n^");
  REFUSED(TB_USAGE, "method=plian", "'plain'", "method=plian");
  assert_string_equal(tb_context_excerpt(context), "method=plian\n       ^");
  REFUSED(TB_USAGE, "steps=abc", "", "steps=5,abc");
  assert_string_equal(tb_context_excerpt(context), "steps=5,abc\n        ^");
  REFUSED(TB_USAGE, "steps=0", "", "steps=0:5");
  REFUSED(TB_USAGE, "rate=5", "", "rate=5");
  REFUSED(TB_USAGE, "steps=", "", "steps=");
  REFUSED(TB_USAGE, "seed 13", "another", "seed=13"); /* the study's own check */
  REFUSED(TB_BAD_DATA, "no such file", "", "data=/nowhere/x.csv");
}

static void unknown_studies(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  assert_int_equal(tb_batch_new(context, "toi", 0, NULL, &batch), TB_USAGE);
  assert_string_equal(tb_context_message(context), "unknown study 'toi'");
  assert_string_equal(tb_context_hint(context), "did you mean 'toy'?");
  assert_int_equal(tb_batch_new(context, "nowhere/x.yaml", 0, NULL, &batch), TB_USAGE);
  assert_int_equal(tb_batch_new(context, folder, 0, NULL, &batch), TB_USAGE);
}

/* ---- study files ---- */

static void documents_are_parts(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  const char *path = write_file("two.yaml", "paper: A paper\ntitle: Both\n"
                                            "---\n"
                                            "study: toy\nname: first\ntitle: One\nsteps: 5\nseed: [0, 1]\n"
                                            "---\n"
                                            "name: second\nat: [1, 2]\nmethod: shifted\nseed: 3:5\n");
  assert_int_equal(ASK(&batch, path, "rate=3.5"), TB_OK);
  assert_int_equal(tb_batch_parts(batch), 2);
  assert_int_equal(tb_batch_runs(batch), 5);
  assert_string_equal(tb_batch_name(batch), "two");
  assert_string_equal(tb_batch_title(batch), "Both");
  assert_string_equal(tb_batch_part(batch, 0)->title, "One");
  assert_string_equal(tb_batch_part(batch, 1)->paper, "A paper");
  assert_string_equal(tb_batch_part_name(batch, 1), "first");
  assert_string_equal(tb_batch_part_name(batch, 2), "second");
  assert_int_equal(integer(batch, 4, "seed"), 5);
  assert_int_equal(integer(batch, 1, "steps"), 5);
  assert_int_equal(integer(batch, 2, "steps"), 10);
  const tb_config *config = tb_batch_config(batch, 4);
  assert_true(tb_config_real(config, "rate") == 3.5);
  for (size_t i = 0; i < tb_config_count(config); i++) {
    const char *name = tb_config_option(config, i)->name, *origin = tb_config_origin(config, i);
    if (strcmp(name, "rate") == 0)
      assert_string_equal(origin, "command line");
    else if (strcmp(name, "method") == 0)
      assert_non_null(strstr(origin, "two.yaml:12"));
    else if (strcmp(name, "steps") == 0)
      assert_string_equal(origin, "default");
  }
  tb_batch_free(batch);
}

static void overrides_replace_the_sweeps_of_a_file(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  const char *path = write_file("sweep.yaml", "study: toy\nseed: 0:9\nsteps: 1,2\n");
  assert_int_equal(ASK(&batch, path, "seed=1"), TB_OK);
  assert_int_equal(tb_batch_runs(batch), 2);
  tb_batch_free(batch);
}

static void files_are_relative_to_the_study_file(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  char expected[200];
  write_file("points.csv", "x\n1\n");
  const char *path = write_file("data.yaml", "study: toy\ndata: none,points.csv\n");
  assert_int_equal(tb_batch_new(context, path, 0, NULL, &batch), TB_OK);
  assert_int_equal(tb_batch_runs(batch), 2);
  snprintf(expected, sizeof expected, "%s/points.csv", folder);
  assert_string_equal(tb_config_word(tb_batch_config(batch, 0), "data"), "none");
  assert_string_equal(tb_config_word(tb_batch_config(batch, 1), "data"), expected);
  tb_batch_free(batch);
}

/* Place and excerpt of a failure in a file. */
static void refused_file(tb_context *context, const char *text, const char *place, const char *message,
                         const char *excerpt) {
  tb_batch *batch;
  const char *path = write_file("bad.yaml", text);
  char expected[300];
  assert_int_equal(tb_batch_new(context, path, 0, NULL, &batch), TB_USAGE);
  snprintf(expected, sizeof expected, "%s:%s", path, place);
  assert_string_equal(tb_context_place(context), expected);
  assert_non_null(strstr(tb_context_message(context), message));
  assert_string_equal(tb_context_excerpt(context), excerpt);
}

static void places_in_files(void **state) {
  tb_context *context = *state;
  refused_file(context, "study: toy\nmetod: plain\n", "2:1", "unknown option 'metod'", "metod: plain\n^");
  assert_string_equal(tb_context_hint(context), "did you mean 'method'?");
  refused_file(context, "study: toy\n\nsteps: many\n", "3:8", "expected an integer", "steps: many\n       ^");
  refused_file(context, "study: toyy\n", "1:8", "unknown study 'toyy'", "study: toyy\n       ^");
  refused_file(context, "steps: 1\n", "1:1", "does not say which study", "steps: 1\n^");
  refused_file(context, "study: toy\nseed: 13\n", "2:7", "seed 13", "seed: 13\n      ^");
  refused_file(context, "study: toy\nseed: 0:999999999\n", "2:7", "1,000,000,000 runs", "seed: 0:999999999\n      ^");
}

static void empty_files_ask_for_nothing(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  assert_int_equal(tb_batch_new(context, write_file("empty.yaml", ""), 0, NULL, &batch), TB_USAGE);
  assert_int_equal(tb_batch_new(context, write_file("empty.yaml", "# nothing\n"), 0, NULL, &batch), TB_USAGE);
}

static void estimates_add_up(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  tb_estimate estimate;
  assert_int_equal(ASK(&batch, "toy", "steps=10,30", "seed=0:4"), TB_OK);
  assert_int_equal(tb_batch_estimate(batch, &estimate), TB_OK);
  assert_true(estimate.steps == 200 && estimate.flop == 600 && estimate.memory == 1000 && estimate.parameters == 1);
  tb_batch_free(batch);
}

/* Naps of ten and twenty milliseconds a step; no run comes to its end. */
static void predictions_are_measured(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  tb_prediction got;
  assert_int_equal(ASK(&batch, "toy", "steps=100", "pause=0.01,0.02", "seed=0:4"), TB_OK);
  const double begun = tb_clock_seconds();
  assert_int_equal(tb_batch_predict(batch, 2, 0.4, &got), TB_OK);
  assert_true(tb_clock_seconds() - begun < 3);
  assert_true(got.all.seconds > 5 * 3.0 && isfinite(got.all.seconds)); /* naps may last longer, never shorter */
  assert_true(got.seconds == got.all.seconds / 2);
  assert_true(got.all.steps == 1000 && got.all.memory > 0 && got.memory > got.all.memory && got.memory < 1e9);
  tb_batch_free(batch);
}

/* Short runs come to their end, so the long one has the time: it counts as what it takes, though its steps' naps are
 * not known beforehand.  Two runs on two threads take as long as the longer one. */
static void predictions_look_at_what_is_long(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  tb_prediction got;
  assert_int_equal(ASK(&batch, "toy", "steps=2,60", "pause=0.01"), TB_OK);
  assert_int_equal(tb_batch_predict(batch, 2, 3, &got), TB_OK);
  assert_true(got.all.seconds > 0.62 && isfinite(got.all.seconds)); /* the one that is long was watched to its end */
  assert_true(got.seconds > 0.6 && got.seconds < got.all.seconds);
  tb_batch_free(batch);
}

/* A run that fails when rehearsed leaves what the study itself estimates. */
static void failures_predict_nothing(void **state) {
  tb_context *context = *state;
  tb_batch *batch;
  tb_prediction got;
  assert_int_equal(ASK(&batch, "toy", "steps=1", "ending=failed"), TB_OK);
  assert_int_equal(tb_batch_predict(batch, 1, 0.1, &got), TB_OK);
  assert_true(got.all.seconds == 1e-8 && got.all.memory == 1000);
  tb_batch_free(batch);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    CASE(one_run_by_name),
    CASE(lists_ranges_and_both),
    CASE(cross_product_with_the_seed_innermost),
    CASE(lists_of_numbers_do_not_sweep),
    CASE(the_last_wins),
    CASE(reals_sweep_over_lists_and_whole_ranges),
    CASE(the_largest_batch),
    CASE(absurd_sweeps),
    CASE(malformed_sweeps),
    CASE(bad_keys_and_values),
    CASE(unknown_studies),
    CASE(documents_are_parts),
    CASE(overrides_replace_the_sweeps_of_a_file),
    CASE(files_are_relative_to_the_study_file),
    CASE(places_in_files),
    CASE(empty_files_ask_for_nothing),
    CASE(estimates_add_up),
    CASE(predictions_are_measured),
    CASE(predictions_look_at_what_is_long),
    CASE(failures_predict_nothing),
  };
  if (!mkdtemp(folder))
    return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  char command[100];
  snprintf(command, sizeof command, "rm -r %s", folder);
  return system(command) ? 1 : failed;
}
