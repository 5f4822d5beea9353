/* The study `separable` as a user runs it: exact values on the two teaching data sets, every model and method, what is
 * refused and how, and the same bits after a stop. */
#define STUDY "separable"
#include "study_testing.h"

static char paths[2][512];

/* A and B stand for the data sets. */
static const char *path_of(const char *value) {
  return strcmp(value, "A") == 0 ? paths[0] : strcmp(value, "B") == 0 ? paths[1] : value;
}

static int set_up_data(void **state) {
  const char *source = getenv("TIEBREAK_SOURCE");
  snprintf(paths[0], sizeof paths[0], "%s/tests/data/three_in_five.csv", source ? source : ".");
  snprintf(paths[1], sizeof paths[1], "%s/tests/data/six_in_three.csv", source ? source : ".");
  stands_for = path_of;
  return setup(state);
}

/* ---- values ---- */

static void test_three_points(void **state) {
  const double slope[5] = { 7 / 24., -1 / 24., -1 / 24., -7 / 24., 10 / 24. };
  tb_record *r = run("data=A at=0,1,30 time=30");
  double expected[5];
  for (size_t j = 0; j < 5; j++)
    expected[j] = log(2 * exp(1) - 1) * slope[j];
  is_vector(at(r, 1), "beta", 5, expected, 1e-12);
  is_number(at(r, 1), "loss", 0.203267054915, 1e-11);
  is_number(at(r, 0), "loss", log(2), 1e-15);
  is_number(at(r, 30), "angle_to.l2_svm", 36.6992, 1e-5);
  is_number(end_of(r), "angle_to.min_norm", 0, 1e-10);
  is_number(end_of(r), "rank", 3, 0);
  is_word(end_of(r), "stopped", "time");
  is_vector(end_of(r), "reference.l1_svm", 5, (double[]){ 0, 0, 0, 0, 0.5 }, 1e-14);
  is_vector(end_of(r), "reference.min_l1", 5, (double[]){ 2 / 9., 0, 0, -1 / 3., 4 / 9. }, 1e-14);
  tb_record_free(r);
}

static void test_six_points(void **state) {
  for (int model = 0; model < 3; model++) {
    const char *const words[] = { "data=B at=0 time=80 model=linear",
                                  "data=B at=0 time=80 model=diagonal depth=3 init=1",
                                  "data=B at=0 time=80 fisher=parameter model=diagonal init=0.5" };
    tb_record *r = run(words[model]);
    const tb_metrics *m = end_of(r);
    double norm = sqrt(1 + 2.25 * 2.25 + 0.75 * 0.75);
    is_vector(m, "velocity", 3, (double[]){ 1 / norm, 2.25 / norm, 0.75 / norm }, 1e-9);
    is_vector(m, "reference.lp_dual", 6, (double[]){ 23 / 8., 0, 0, 0, 47 / 8., 3 / 8. }, 1e-13);
    tb_metric_value offset = tb_metrics_find(m, "reference.lp_offset"), margins = tb_metrics_find(m, "margins");
    double beta[3] = { 80 + offset.values[0], 180 + offset.values[1], 60 + offset.values[2] }, sum[3] = { 0 };
    is_vector(m, "beta", 3, beta, 1e-10);
    static const double z[6][3] = { { -2, 1, 1 }, { -2, 3, 2 }, { 1, 2, 0 }, { 2, 0, 2 }, { 1, 0, 0 }, { 1, -1, 3 } };
    for (size_t i = 0; i < 6; i++)
      for (size_t j = 0; j < 3; j++)
        sum[j] += z[i][j] * exp(80 - margins.values[i]);
    for (size_t j = 0; j < 3; j++)
      assert_true(fabs(sum[j] - (double[]){ 0.5, 2.5, 4 }[j]) < 1e-6);
    tb_record_free(r);
  }
}

static void test_empirical_ends_at_log_two(void **state) {
  tb_record *r = run("data=A fisher=empirical time=1 at=0,0.5");
  is_word(end_of(r), "stopped", "blow_up");
  is_number(end_of(r), "t", log(2), 1e-9);
  is_number(at(r, 0.5), "loss", log(2) - 0.5, 1e-11);
  tb_metric_value warnings = tb_metrics_find(end_of(r), "warnings");
  assert_true(warnings.name && warnings.cols >= 1 && strstr(warnings.words[0], "blow-up"));
  tb_record_free(r);
}

static void test_gradient_flow(void **state) {
  tb_record *r = run("data=A method=gf until_margin=1000");
  is_word(end_of(r), "stopped", "margin");
  is_number(end_of(r), "min_margin", 1000, 1e-11);
  is_number(end_of(r), "velocity_angle_to.l2_svm", 0, 1e-6);
  is_number(end_of(r), "angle_to_gradient", 0, 1e-9);
  assert_true(tb_metrics_get(end_of(r), "log_t") > 900 && tb_metrics_get(end_of(r), "log_loss") < -900);
  tb_record_free(r);
  r = run("data=A method=gf until_loss=1e-3");
  is_word(end_of(r), "stopped", "loss");
  is_number(end_of(r), "loss", 1e-3, 1e-12);
  tb_record_free(r);
}

static void test_steps(void **state) {
  tb_record *r = run("data=A method=ngd lr=0.25 steps=3 at=0,1,3");
  double m = 0;
  for (int k = 0; k < 3; k++)
    m += 0.25 * (1 + exp(-m));
  is_vector(end_of(r), "margins", 3, (double[]){ m, m, m }, 1e-13);
  is_word(end_of(r), "stopped", "steps");
  is_vector(at(r, 1), "margins", 3, (double[]){ 0.5, 0.5, 0.5 }, 1e-13);
  assert_true(isnan(tb_metrics_find(at(r, 0), "velocity").values[0]));
  tb_record_free(r);
  /* one step of gradient descent from 0: lr/2n Σ z */
  r = run("data=A method=gd lr=0.6 steps=1");
  is_vector(end_of(r), "beta", 5, (double[]){ 0.1, 0, -0.2, 0.1, 0.7 }, 1e-15);
  tb_record_free(r);
  r = run("data=A method=gd until_margin=1");
  is_word(end_of(r), "stopped", "margin");
  assert_true(tb_metrics_get(end_of(r), "min_margin") >= 1);
  tb_record_free(r);
  r = run("data=A method=gd steps=0");
  is_number(end_of(r), "t", 0, 0);
  tb_record_free(r);
}

/* Every model with every method gives finite numbers, and every snapshot every metric of the end but `stopped`. */
static void test_all_pairs(void **state) {
  const char *const methods[] = { "gd steps=20",   "momentum steps=20",
                                  "adam steps=20", "ngd steps=20 fisher=parameter",
                                  "gf time=3",     "ngf time=3 fisher=parameter" };
  const char *const models[] = { "linear", "diagonal init=0.5", "dense init=0.5 width=4", "mlp width=8 init=0.5" };
  for (size_t i = 0; i < 6; i++)
    for (size_t j = 0; j < 4; j++) {
      char words[160];
      snprintf(words, sizeof words, "model=%s method=%s d=6 n=4 seed=3 at=0,2", models[j], methods[i]);
      tb_record *r = run(words);
      const tb_outcome *outcome = tb_record_outcome(r);
      assert_int_equal(outcome->n_snapshots, 2);
      for (size_t k = 0; k < tb_metrics_count(outcome->metrics); k++) {
        const char *name = tb_metrics_at(outcome->metrics, k).name;
        if (strcmp(name, "stopped") != 0 && strcmp(name, "warnings") != 0 &&
            !tb_metrics_find(outcome->snapshots[1], name).name)
          fail_msg("%s: no %s in a snapshot", words, name);
      }
      assert_true(isfinite(tb_metrics_get(outcome->metrics, "loss")));
      assert_true(isfinite(tb_metrics_get(outcome->metrics, "test_error")));
      assert_true(tb_metrics_get(outcome->metrics, "loss") < tb_metrics_get(outcome->snapshots[0], "loss"));
      tb_record_free(r);
    }
}

static void test_one_of_everything(void **state) {
  tb_record *r = run("d=1 n=1 time=2 at=0,2");
  double x = tb_metrics_find(end_of(r), "reference.min_norm").values[0]; /* y/x */
  is_vector(end_of(r), "beta", 1, (double[]){ log(2 * exp(2) - 1) * x }, 1e-13);
  tb_record_free(r);
  r = run("d=1 n=5 bias=true time=0 at=0");
  is_number(end_of(r), "t", 0, 0);
  tb_record_free(r);
}

/* ---- what is refused ---- */

static void refuses(const char *words, tb_status expected, const char *message) {
  tb_batch *batch = NULL;
  tb_run_options options = { .folder = root, .threads = 1 };
  tb_context_clear(context);
  tb_status status = batch_of(words, &batch);
  if (!status)
    status = tb_batch_run(context, batch, &options);
  tb_batch_free(batch);
  if (status != expected || !strstr(tb_context_message(context), message))
    fail_msg("%s: %s \"%s\"", words, tb_status_name(status), tb_context_message(context));
}

static const char *csv(const char *text) {
  static char path[128];
  snprintf(path, sizeof path, "%s/data.csv", root);
  assert_int_equal(tb_folder_create(context, root), TB_OK);
  assert_int_equal(tb_file_write(context, path, text, strlen(text)), TB_OK);
  return path;
}

static void test_refusals(void **state) {
  refuses("method=muon", TB_USAGE, "not available in this version");
  refuses("model=conv", TB_USAGE, "not available in this version");
  refuses("loss=softmax", TB_USAGE, "not available in this version");
  refuses("model=mlp", TB_USAGE, "no predictor space");
  refuses("model=mlp fisher=population", TB_USAGE, "needs a linear predictor");
  refuses("model=mlp depth=1 method=gd", TB_USAGE, "no hidden layer");
  refuses("model=dense start=1,2", TB_USAGE, "cannot start from a given predictor");
  refuses("start=1,2", TB_USAGE, "has 2 numbers, the data have d=50");
  refuses("k=7 d=3", TB_USAGE, "k=7");
  refuses("n=1000000 d=1000000", TB_USAGE, "are 1e+12 numbers");
  refuses("method=gd at=0.5", TB_USAGE, "not a whole step");
  refuses("method=gd at=50 steps=10", TB_USAGE, "past steps=10");
  refuses("at=5 time=2", TB_USAGE, "past time=2");
  refuses("at=-1", TB_USAGE, "at=-1");
  refuses("time=inf", TB_USAGE, "nothing would ever stop");
  refuses("d=0", TB_USAGE, "");
  refuses("n=0", TB_USAGE, "");
  refuses("lr=0 method=gd", TB_USAGE, "");
  refuses("lr=1e308 method=gd model=diagonal d=3 n=3", TB_FAILED, "diverged at step");
  refuses("data=/nonexistent.csv", TB_BAD_DATA, "");
  char words[256];
  snprintf(words, sizeof words, "data=%s method=gf until_margin=1", csv("x1,y\n1,1\n2,-1\n-3,1\n"));
  refuses(words, TB_BAD_DATA, "not separable");
  assert_non_null(strstr(tb_context_message(context), "(line "));
  snprintf(words, sizeof words, "data=%s model=mlp method=gf until_margin=1", csv("x1,y\n1,1\n2,-1\n1,-1\n"));
  refuses(words, TB_BAD_DATA, "line 2 and line 4");
}

static void test_not_separable_goes_to_the_minimum(void **state) {
  char words[256];
  snprintf(words, sizeof words, "data=%s time=40 at=0", csv("x1,y\n1,1\n2,-1\n-3,1\n"));
  tb_record *r = run(words);
  /* Σ σ(−m) z = 0 */
  const tb_metrics *m = end_of(r);
  double beta = tb_metrics_find(m, "beta").values[0], sum = 0;
  const double z[3] = { 1, -2, -3 };
  for (int i = 0; i < 3; i++)
    sum += z[i] / (1 + exp(z[i] * beta));
  assert_true(fabs(sum) < 1e-12);
  is_number(m, "separable", 0, 0);
  assert_true(isnan(tb_metrics_get(m, "angle_to.l2_svm")));
  tb_record_free(r);
}

static void test_repeated_rows_warn(void **state) {
  char words[256];
  snprintf(words, sizeof words, "data=%s time=20 at=0", csv("x1,x2,x3,y\n1,0,1,1\n0,1,-1,-1\n1,0,1,1\n"));
  tb_record *r = run(words);
  tb_metric_value warnings = tb_metrics_find(end_of(r), "warnings");
  assert_int_equal(warnings.cols, 1);
  assert_non_null(strstr(warnings.words[0], "1 of 3 rows repeat"));
  double m = log(2 * exp(20) - 1);
  is_vector(end_of(r), "margins", 3, (double[]){ m, m, m }, 1e-12);
  is_number(end_of(r), "rank", 2, 0);
  tb_record_free(r);
}

/* ---- stopping ---- */

static void test_resumed_runs_have_the_same_bits(void **state) {
  const char *const words[] = {
    "method=adam model=dense d=8 n=5 steps=6000 at=0,10,390,6000 seed=2",
    "method=ngd model=diagonal init=1 lr=0.01 d=8 n=5 steps=1500 seed=2",
    "method=gf model=diagonal d=30 n=20 until_margin=1000 seed=2",
    "method=ngf model=dense d=8 n=5 time=8 seed=2",
  };
  int stops = 0;
  for (size_t k = 0; k < sizeof words / sizeof *words; k++)
    same_bits_in_pieces(words[k], 0.004, 4, &stops);
  assert_true(stops > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_three_points),
    cmocka_unit_test(test_six_points),
    cmocka_unit_test(test_empirical_ends_at_log_two),
    cmocka_unit_test(test_gradient_flow),
    cmocka_unit_test(test_steps),
    cmocka_unit_test(test_all_pairs),
    cmocka_unit_test(test_one_of_everything),
    cmocka_unit_test(test_refusals),
    cmocka_unit_test(test_not_separable_goes_to_the_minimum),
    cmocka_unit_test(test_repeated_rows_warn),
    cmocka_unit_test(test_resumed_runs_have_the_same_bits),
  };
  return cmocka_run_group_tests(tests, set_up_data, teardown);
}
