/* The studies completion, regression, nonlinear and invariance as a user runs them: closed forms, every method, what is
 * refused and how, and the same bits after a stop. */
#include "study_testing.h"

static const char *csv(const char *text) {
  static char path[128];
  snprintf(path, sizeof path, "%s/data%zu.csv", root, strlen(text));
  assert_int_equal(tb_folder_create(context, root), TB_OK);
  assert_int_equal(tb_file_write(context, path, text, strlen(text)), TB_OK);
  return path;
}

/* ---- values ---- */

/* s' = N s^{2 − 2/N}(1 − s) from 1e-3 to 1/2 */
static void test_one_entry(void **state) {
  const char *path = csv("i,j,value\n0,0,1\n");
  const double times[] = { 0.69214668022636, 3.4533773893243 };
  for (int depth = 1; depth <= 2; depth++) {
    char words[256];
    snprintf(words, sizeof words, "completion data=%s method=gf depth=%d init=1e-3 init_kind=identity until_loss=0.125",
             path, depth);
    tb_record *r = run(words);
    is_word(end_of(r), "stopped", "loss");
    is_number(end_of(r), "t", times[depth - 1], 1e-9);
    tb_record_free(r);
  }
}

/* Measurements that commute, X = UUᵀ from the identity: the first entry is (√17 − 1)/4. */
static void test_commuting(void **state) {
  const char *path = csv("a00,a01,a02,a10,a11,a12,a20,a21,a22,y\n1,0,0,0,2,0,0,0,3,2\n1,0,0,0,0,0,0,0,1,1\n");
  char words[256];
  snprintf(words, sizeof words, "completion data=%s measurement=sensing method=gf init=1 init_kind=identity time=2000",
           path);
  tb_record *r = run(words);
  double first = (sqrt(17) - 1) / 4, last = 1 - first;
  const double expected[9] = { first, 0, 0, 0, (2 - first - 3 * last) / 2, 0, 0, 0, last };
  tb_metric_value w = tb_metrics_find(end_of(r), "matrix");
  for (int k = 0; k < 9; k++)
    assert_true(fabs(w.values[k] - expected[k]) < 1e-10);
  tb_record_free(r);
}

/* W(t) = Y + e^{−t}(W(0) − Y) where observed, W(0) elsewhere. */
static void test_predictor_law(void **state) {
  for (int depth = 1; depth <= 3; depth++) {
    char words[256];
    snprintf(words, sizeof words,
             "completion data=%s method=ngf depth=%d init=0.7 at=0,1,4 time=4 rows=3 cols=4 seed=%d",
             csv("i,j,value\n0,0,2\n1,2,-1\n2,1,0.5\n2,3,1\n"), depth, depth);
    tb_record *r = run(words);
    tb_metric_value start = tb_metrics_find(at(r, 0), "matrix");
    static const size_t seen[4] = { 0, 6, 9, 11 };
    static const double values[4] = { 2, -1, 0.5, 1 };
    for (int k = 0; k < 2; k++) {
      double t = k ? 4 : 1, expected[12];
      memcpy(expected, start.values, sizeof expected);
      for (int e = 0; e < 4; e++)
        expected[seen[e]] = values[e] + exp(-t) * (start.values[seen[e]] - values[e]);
      tb_metric_value w = tb_metrics_find(at(r, t), "matrix");
      for (int e = 0; e < 12; e++)
        assert_true(fabs(w.values[e] - expected[e]) < 1e-10);
    }
    is_number(end_of(r), "rank", 4, 0);
    tb_record_free(r);
  }
}

static void test_balanced_factors_lose_rank(void **state) {
  tb_record *r = run("completion method=ngf depth=2 init_kind=identity rows=8 cols=8 observed=30 reference=false");
  is_word(end_of(r), "stopped", "blow_up");
  tb_metric_value warnings = tb_metrics_find(end_of(r), "warnings");
  assert_true(warnings.cols >= 1 && strstr(warnings.words[0], "lost rank"));
  tb_record_free(r);
}

/* Every method and Fisher matrix gives finite numbers, entries and measurements alike. */
static void test_all_pairs(void **state) {
  const char *const methods[] = { "gd steps=20",
                                  "momentum steps=20",
                                  "adam steps=20 lr=0.01",
                                  "grouprms steps=20",
                                  "gf time=3",
                                  "ngd steps=5",
                                  "ngd steps=5 fisher=parameter",
                                  "ngf time=1",
                                  "ngf time=1 fisher=parameter",
                                  "ngf time=1 damping=0.01" };
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    for (int sensing = 0; sensing < 2; sensing++)
      for (int depth = 1; depth <= 3; depth += 2) {
        char words[256];
        snprintf(words, sizeof words,
                 "completion method=%s depth=%d init=0.5 rows=6 cols=5 observed=12 at=0,1 measurement=%s", methods[i],
                 depth, sensing ? "sensing" : "entries");
        tb_record *r = run(words);
        const tb_metrics *m = end_of(r);
        assert_true(isfinite(tb_metrics_get(m, "loss")) && isfinite(tb_metrics_get(m, "error_all")));
        assert_true(tb_metrics_get(m, "loss") < tb_metrics_get(at(r, 0), "loss"));
        assert_true(tb_metrics_get(m, "reference.nuclear_gap") <= 1e-6);
        tb_record_free(r);
      }
}

/* The zero predictor's error on ratings that were not observed. */
static void test_ratings(void **state) {
  char words[256];
  snprintf(words, sizeof words, "completion data=%s format=movielens train=2 method=ngf depth=1 init=1e-9 time=30",
           csv("1\t1\t5\t0\n2\t2\t3\t0\n2\t1\t4\t0\n3\t2\t1\t0\n"));
  tb_record *r = run(words);
  is_number(end_of(r), "error_unobserved", (16 + 1) / 2., 1e-6);
  is_number(end_of(r), "reference.mean_error_unobserved", (0 + 9) / 2., 1e-12);
  tb_record_free(r);
}

static void test_regression(void **state) {
  char words[256];
  const char *path = csv("x1,x2,x3,y\n1,0,1,1\n0,1,-1,2\n");
  snprintf(words, sizeof words, "regression data=%s method=ngf depth=3 init=0.5 time=1 at=1", path);
  tb_record *r = run(words);
  const double limit[3] = { 4 / 3., 5 / 3., -1 / 3. };
  double expected[3];
  for (int j = 0; j < 3; j++)
    expected[j] = (1 - exp(-1)) * limit[j];
  is_vector(end_of(r), "beta", 3, expected, 1e-11);
  is_vector(end_of(r), "reference.l2", 3, limit, 1e-13);
  tb_record_free(r);
  snprintf(words, sizeof words, "regression data=%s method=ngf fisher=population covariance=1,4,0.25 time=1e4", path);
  r = run(words);
  /* least b1² + 4 b2² + b3²/4 on the solutions (1 − s, 2 + s, s) */
  double s = (1 - 8) / (1 + 4 + 0.25);
  is_vector(end_of(r), "beta", 3, (double[]){ 1 - s, 2 + s, s }, 1e-9);
  tb_record_free(r);
}

static void test_nonlinear_threshold(void **state) {
  for (int width = 2; width <= 3; width++) { /* 9 and 13 parameters for 12 points */
    char words[128];
    snprintf(words, sizeof words, "nonlinear width=%d time=0 at=0 init=0.7 seed=3", width);
    tb_record *r = run(words);
    is_number(end_of(r), "rank", width == 2 ? 9 : 12, 0);
    double error = tb_metrics_get(end_of(r), "law_rate_error");
    assert_true(width == 2 ? error > 1e-3 : error < 1e-9);
    tb_record_free(r);
  }
}

static void test_invariance(void **state) {
  tb_record *r = run("invariance problem=regression seed=5");
  const tb_metrics *m = end_of(r);
  assert_true(tb_metrics_get(m, "deviation.on_sample.ngf.predictor") < 1e-10);
  assert_true(tb_metrics_get(m, "deviation.off_sample.ngf.population") < 1e-10);
  assert_true(tb_metrics_get(m, "deviation.on_sample.ngf.parameter") < 1e-10);
  assert_true(tb_metrics_get(m, "deviation.off_sample.ngf.parameter") > 1e-3);
  assert_true(tb_metrics_get(m, "deviation.on_sample.gf") > 1e-3 && tb_metrics_get(m, "deviation.on_sample.gd") > 1e-3);
  tb_record_free(r);
  r = run("invariance method=ngf fisher=predictor");
  assert_true(isnan(tb_metrics_get(end_of(r), "deviation.on_sample.gd")));
  assert_true(tb_metrics_get(end_of(r), "deviation.off_sample.ngf.predictor") < 1e-10);
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

static void test_refusals(void **state) {
  refuses("completion rank=30", TB_USAGE, "rank=30 of a 20×20 matrix");
  refuses("completion observed=500", TB_USAGE, "observed=500 entries of a 20×20 matrix");
  refuses("completion fisher=population measurement=sensing", TB_USAGE, "does not observe pairs");
  refuses("completion until_margin=1 method=gf", TB_USAGE, "no margins");
  refuses("completion dtype=float32", TB_USAGE, "float64");
  refuses("completion train=5", TB_USAGE, "format=movielens");
  refuses("completion truth=a.csv", TB_USAGE, "low_rank knows its own");
  refuses("completion data=/nowhere/a.csv", TB_BAD_DATA, "no such file");
  refuses("completion data=/nowhere/a.data format=movielens", TB_BAD_DATA, "no such file");
  refuses("regression covariance=1,2", TB_USAGE, "covariance= has 2 numbers");
  refuses("regression covariance=-1", TB_USAGE, "covariance= holds -1");
  refuses("regression start=1,2", TB_USAGE, "start= has 2 numbers");
  refuses("regression k=100", TB_USAGE, "k=100 entries");
  refuses("nonlinear fisher=predictor", TB_USAGE, "no predictor space");
  refuses("invariance damping=1", TB_USAGE, "damped");
  refuses("invariance at=9", TB_USAGE, "at=9 is out of place");
}

/* ---- stopping ---- */

static void test_resumed_runs_have_the_same_bits(void **state) {
  const char *const words[] = {
    "completion method=grouprms depth=3 rows=12 cols=10 observed=60 steps=3000 lr=3e-3 seed=2",
    "completion method=ngf fisher=parameter depth=2 rows=8 cols=8 observed=30 time=8 seed=2",
    "completion method=gf depth=2 rows=8 cols=8 observed=30 time=300 seed=2",
    "regression method=gf n=10 d=30 time=1e4 seed=1",
    "nonlinear time=6 seed=1",
    "invariance seed=1",
  };
  int stops = 0;
  for (size_t k = 0; k < sizeof words / sizeof *words; k++)
    same_bits_in_pieces(words[k], 0.004, 4, &stops);
  assert_true(stops > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_one_entry),
    cmocka_unit_test(test_commuting),
    cmocka_unit_test(test_predictor_law),
    cmocka_unit_test(test_balanced_factors_lose_rank),
    cmocka_unit_test(test_all_pairs),
    cmocka_unit_test(test_ratings),
    cmocka_unit_test(test_regression),
    cmocka_unit_test(test_nonlinear_threshold),
    cmocka_unit_test(test_invariance),
    cmocka_unit_test(test_refusals),
    cmocka_unit_test(test_resumed_runs_have_the_same_bits),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
