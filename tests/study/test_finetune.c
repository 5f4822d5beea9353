/* The study `finetune`: closed forms of the scalar model, twins that are one function, the same bits after a stop. */
#include "../testing.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include <tiebreak/tiebreak.h>

static tb_context *context;
static char root[64];

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *where) {
  return remove(path);
}

static int setup(void **state) {
  context = tb_context_new(NULL, NULL);
  snprintf(root, sizeof root, "/tmp/tiebreak-finetune-%d", (int)getpid());
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
  if (tb_batch_new(context, "finetune", count, assignments, &batch))
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

static void is_real(const tb_record *r, const char *name, double expected, double tolerance) {
  const double value = get(r, name);
  if (value != expected && !(fabs(value - expected) <= tolerance * fmax(1, fabs(expected))))
    fail_msg("%s is %.17g, expected %.17g", name, value, expected);
}

/* w ← w − η (f − 2) (w2, w1), by hand */
static void the_scalar_model_in_closed_form(void **state) {
  tb_record *r = run("model=scalar alpha=3 dtype=float64 lr=0.01 steps=4");
  double w1 = 3, w2 = 1 / 3.0;
  for (int k = 0; k < 4; k++) {
    const double off = w1 * w2 - 2, g1 = off * w2, g2 = off * w1;
    w1 -= 0.01 * g1;
    w2 -= 0.01 * g2;
    if (k == 0)
      assert_true(fabs(w1 * w2 - (1 + 0.01 * (9 + 1 / 9.0) + 1e-4)) < 1e-14);
  }
  is_real(r, "output", w1 * w2, 1e-14);
  is_real(r, "loss", 0.5 * (w1 * w2 - 2) * (w1 * w2 - 2), 1e-14);
  is_real(r, "hessian_trace", 9 + 1 / 9.0, 1e-13);
  is_real(r, "hessian_top", 9 + 1 / 9.0, 1e-13);
  is_real(r, "unmoved.hessian_trace", 2, 1e-13);
  is_real(r, "max_logit_difference", 0, 1e-15);
  const double *ratio = tb_metrics_find(tb_record_outcome(r)->metrics, "gradient_ratio").values;
  assert_true(fabs(ratio[0] - 1 / 3.0) < 1e-14 && fabs(ratio[1] - 3) < 1e-14);
  tb_record_free(r);
}

/* Natural gradient of one output: δ = g/(‖∇f‖² + λ) (f − 2), the same function from every twin as λ → 0. */
static void natural_gradient_does_not_see_the_scale(void **state) {
  tb_record *r = run("model=scalar alpha=3 dtype=float64 method=ngd lr=0.01 damping=1e-12 trust=10 steps=1");
  const double first = 1 + 0.01; /* f + η (2 − f) to first order, second order η² (2 − f)² w1 w2/‖∇f‖⁴ */
  assert_true(fabs(get(r, "unmoved.output") - first) < 1e-4);
  assert_true(fabs(get(r, "output") - get(r, "unmoved.output")) < 1e-4);
  tb_record_free(r);
  r = run("model=scalar alpha=3 dtype=float64 method=gd lr=0.01 steps=1");
  assert_true(fabs(get(r, "output") - get(r, "unmoved.output")) > 0.05);
  tb_record_free(r);
}

#define SMALL "depth=1 width=8 heads=2 feedforward=8 max_length=6 pretrain_steps=60 steps=12 probes=4 "

static void twins_are_one_function(void **state) {
  static const char *const symmetries[] = { "rescale", "heads", "permutation", "widen", "relu_scale" };
  for (size_t i = 0; i < 5; i++) {
    char words[300];
    snprintf(words, sizeof words, SMALL "dtype=float64 alpha=3 symmetry=%s", symmetries[i]);
    tb_record *r = run(words);
    assert_true(get(r, "max_logit_difference") < 1e-12);
    assert_true(get(r, "gradient_error") < 1e-11);
    assert_true(get(r, "pretrain_loss") < 1.5 * get(r, "source.optimal_loss") + 0.5);
    if (i == 2 || i == 4)
      assert_true(get(r, "twin_gap") < 1e-10);
    else
      assert_true(get(r, "twin_gap") > 1e-6);
    tb_record_free(r);
  }
}

/* Strings of L1 are drawn: more of them than a batch holds. */
static void other_languages_and_methods_run(void **state) {
  static const char *const words[] = { SMALL "language=L1 target=L2 batch=9 method=momentum positions=alibi norm=pre",
                                       SMALL "language=anbn target=L5 method=adam positions=rope",
                                       SMALL "method=ngd cg_products=5 steps=3" };
  for (size_t i = 0; i < 3; i++) {
    tb_record *r = run(words[i]);
    assert_true(isfinite(get(r, "loss")));
    tb_record_free(r);
  }
}

/* ---- stopping ---- */

/* The part of a record that must not depend on interruptions. */
static char *results(const tb_record *record) {
  const char *json = tb_record_json(record), *from = strstr(json, "\"metrics\""), *to = strstr(json, "\"files\"");
  assert_true(from && to && from < to);
  return strndup(from, (size_t)(to - from));
}

static void the_same_bits_after_a_stop(void **state) {
  const char *words = SMALL "steps=200 pretrain_steps=400 language=L1 target=L2 batch=12 method=adam seed=2";
  tb_record *whole = run(words), *pieces;
  tb_run_options options = { .folder = root, .threads = 1, .time_limit = 0.03, .checkpoint_seconds = 1e-9 };
  tb_batch *batch = batch_of(words);
  char folder[600];
  int stops = 0;
  tb_status status = tb_batch_run(context, batch, &options);
  snprintf(folder, sizeof folder, "%s", tb_batch_folder(batch));
  tb_batch_free(batch);
  for (; status == TB_STOPPED; stops++) {
    options.time_limit = stops < 8 ? 0.03 : 0;
    assert_int_equal(tb_batch_open(context, folder, &batch), TB_OK);
    status = tb_batch_run(context, batch, &options);
    tb_batch_free(batch);
  }
  assert_int_equal(status, TB_OK);
  assert_true(stops > 0);
  assert_int_equal(tb_record_open(context, folder, &pieces), TB_OK);
  char *one = results(whole), *two = results(pieces);
  assert_string_equal(one, two);
  free(one);
  free(two);
  tb_record_free(whole);
  tb_record_free(pieces);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_scalar_model_in_closed_form), cmocka_unit_test(natural_gradient_does_not_see_the_scale),
    cmocka_unit_test(twins_are_one_function),          cmocka_unit_test(other_languages_and_methods_run),
    cmocka_unit_test(the_same_bits_after_a_stop),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
