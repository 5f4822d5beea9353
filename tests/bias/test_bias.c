/* Classification problems through both doors, their limits against values worked by hand, and every complaint. */
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "bias/classification.h"
#include "bias/limits.h"

static tb_context *context;

static int setup(void **state) {
  context = tb_context_new(NULL, NULL);
  return context ? 0 : -1;
}

static int teardown(void **state) {
  tb_context_free(context);
  return 0;
}

/* A file of tests/data; the tests run in the source folder or are told it. */
static const char *data(const char *name) {
  static char path[512];
  const char *root = getenv("TIEBREAK_SOURCE");
  snprintf(path, sizeof path, "%s/tests/data/%s", root ? root : ".", name);
  return path;
}

/* A file that lives for one test. */
static const char *file_of(const char *text) {
  static char path[64];
  snprintf(path, sizeof path, "/tmp/tiebreak-bias-%d.csv", (int)getpid());
  assert_int_equal(tb_file_write(context, path, text, strlen(text)), TB_OK);
  return path;
}

static tb_classification *read_text(const char *text, bool bias) {
  tb_classification *p;
  const char *path = file_of(text);
  tb_status status = tb_classification_read(context, path, bias, &p);
  unlink(path);
  assert_int_equal(status, TB_OK);
  return p;
}

static void refuses(const char *text, const char *place, const char *words) {
  tb_classification *p;
  const char *path = file_of(text);
  assert_int_equal(tb_classification_read(context, path, false, &p), TB_BAD_DATA);
  assert_null(p);
  unlink(path);
  if (!strstr(tb_context_message(context), words) || !strstr(tb_context_place(context), place))
    fail_msg("got \"%s\" at \"%s\", expected \"%s\" at \"%s\"", tb_context_message(context), tb_context_place(context),
             words, place);
}

static void near_all(size_t n, const double *value, const double *expected, double tolerance) {
  for (size_t i = 0; i < n; i++)
    if (!(fabs(value[i] - expected[i]) <= tolerance * fmax(1, fabs(expected[i]))))
      fail_msg("element %zu is %.17g, expected %.17g", i, value[i], expected[i]);
}

/* ---- doors ---- */

static void test_files_that_are_refused(void **state) {
  tb_classification *p;
  assert_int_equal(tb_classification_read(context, "/nonexistent/file.csv", false, &p), TB_BAD_DATA);
  refuses("x1,x2,y\n1,2,1\n3,4,0\n", ":3:5", "label 0 is neither -1 nor 1");
  refuses("x1,x2,y\n1,2,1\n3,4,2.5\n", ":3:5", "label 2.5 is neither");
  refuses("x1,x2,y\n1,2,1\n3,4,1\n", ".csv", "one class only: all 2 labels are 1");
  refuses("x1,x2,y\n1,2,-1\n3,4,-1\n", ".csv", "one class only: all 2 labels are -1");
  refuses("x1,x2,y\n", ".csv", "no rows");
  refuses("y\n1\n-1\n", ":1:1", "no feature columns");
  refuses("x1,x2\n1,2\n", ":1:1", "no column y");
  refuses("x1,y,x2\n1,1,2\n", ":1:1", "must be the last");
  refuses("x1,x3,y\n1,2,1\n", ":1:1", "column 2 is called \"x3\", expected \"x2\"");
  refuses("x1,x2,y\n1,nan,1\n", ":2:3", "");
  refuses("x1,x2,y\n1,apple,1\n", ":2:3", "");
  refuses("x1,x2,y\n1,2\n", ":2", "");
}

static void test_read_and_bias(void **state) {
  tb_classification *p = read_text("x1,x2,y\n1,2,1\n3,4,-1\n", true);
  assert_int_equal(p->n, 2);
  assert_int_equal(p->d, 3);
  near_all(6, p->x, (double[]){ 1, 2, 1, 3, 4, 1 }, 0);
  near_all(6, p->z, (double[]){ 1, 2, 1, -3, -4, -1 }, 0);
  assert_int_equal(p->lines[1], 3);
  assert_null(p->teacher);
  tb_classification_free(context, p);
  p = read_text("x1,y\n2,1\n", false); /* one row has but one class */
  assert_int_equal(p->n, 1);
  tb_classification_free(context, p);
}

static void test_repeated_rows(void **state) {
  tb_classification *p = read_text("x1,x2,y\n1,2,1\n3,4,-1\n1,2,1\n5,6,1\n1,2,1\n3,4,1\n", false);
  assert_int_equal(p->duplicates, 2);
  assert_int_equal(p->copy_of[2], 0);
  assert_int_equal(p->copy_of[4], 0);
  assert_int_equal(p->copy_of[3], 3);
  assert_int_equal(p->opposed, 1);
  assert_int_equal(p->opposed_to, 5);
  tb_classification_free(context, p);
}

static void test_sparse_teacher(void **state) {
  tb_classification *p, *q, *other;
  assert_int_equal(tb_classification_sparse(context, 200, 30, 3, false, 7, &p), TB_OK);
  assert_int_equal(tb_classification_sparse(context, 100, 30, 5, true, 7, &q), TB_OK);
  assert_int_equal(tb_classification_sparse(context, 200, 30, 3, false, 8, &other), TB_OK);
  size_t support = 0;
  double squares = 0;
  for (size_t j = 0; j < p->d; j++) {
    support += p->teacher[j] != 0;
    squares += p->teacher[j] * p->teacher[j];
  }
  assert_int_equal(support, 3);
  assert_true(fabs(squares - 1) < 1e-15);
  for (size_t i = 0; i < p->n; i++) {
    double score = 0;
    for (size_t j = 0; j < p->d; j++)
      score += p->x[i * p->d + j] * p->teacher[j];
    assert_true(score * p->y[i] > 0);
  }
  near_all(30, p->x, q->x, 0); /* the same points whatever n, k and the bias */
  assert_true(q->x[30] == 1 && q->d == 31 && q->teacher[30] == 0);
  assert_true(p->x[0] != other->x[0]);
  double mean = 0, square = 0;
  for (size_t i = 0; i < p->n * p->d; i++) {
    mean += p->x[i] / 6000;
    square += p->x[i] * p->x[i] / 6000;
  }
  assert_true(fabs(mean) < 0.05 && fabs(square - 1) < 0.06);
  tb_classification_free(context, p);
  tb_classification_free(context, q);
  tb_classification_free(context, other);
  assert_int_equal(tb_classification_sparse(context, 10, 3, 4, false, 0, &p), TB_USAGE);
}

/* ---- limits: the two data sets of the study's notes ---- */

static tb_limits *limits_of(const tb_classification *p, const double *beta) {
  double start[16] = { 0 }, margins[16] = { 0 };
  for (size_t j = 0; j < p->d && beta; j++)
    start[j] = beta[j];
  for (size_t i = 0; i < p->n; i++)
    for (size_t j = 0; j < p->d; j++)
      margins[i] += p->z[i * p->d + j] * start[j];
  tb_limits *l;
  assert_int_equal(tb_limits_new(context, p, start, margins, &l), TB_OK);
  return l;
}

static const double *solution(tb_limits *l, tb_limit limit) {
  const double *b;
  assert_int_equal(tb_limits_solution(l, limit, &b), TB_OK);
  return b;
}

static void test_three_points_in_five_dimensions(void **state) {
  tb_classification *p;
  assert_int_equal(tb_classification_read(context, data("three_in_five.csv"), false, &p), TB_OK);
  tb_limits *l = limits_of(p, NULL);
  const double min_norm[] = { 7 / 24., -1 / 24., -1 / 24., -7 / 24., 10 / 24. };
  near_all(5, solution(l, TB_LIMIT_MIN_NORM), min_norm, 1e-14);
  near_all(5, solution(l, TB_LIMIT_LP), min_norm, 1e-14);
  near_all(5, solution(l, TB_LIMIT_L2_SVM), (double[]){ 11 / 112., -3 / 112., -13 / 112., -1 / 112., 50 / 112. },
           1e-14);
  near_all(5, solution(l, TB_LIMIT_L1_SVM), (double[]){ 0, 0, 0, 0, 0.5 }, 1e-14);
  near_all(5, solution(l, TB_LIMIT_MIN_L1), (double[]){ 2 / 9., 0, 0, -1 / 3., 4 / 9. }, 1e-14);
  const double *dual, *offset;
  assert_int_equal(tb_limits_programme(l, &dual, &offset), TB_OK);
  near_all(3, dual, (double[]){ 0.5, 0.5, 0.5 }, 1e-14);
  double expected[5]; /* log(2e^t − 1) − t → log 2 */
  for (size_t j = 0; j < 5; j++)
    expected[j] = log(2) * min_norm[j];
  near_all(5, offset, expected, 1e-13);
  assert_int_equal(tb_limits_rank(l), 3);
  tb_limits_free(l);
  tb_classification_free(context, p);
}

static void test_six_points_in_three_dimensions(void **state) {
  tb_classification *p;
  assert_int_equal(tb_classification_read(context, data("six_in_three.csv"), false, &p), TB_OK);
  tb_limits *l = limits_of(p, NULL);
  near_all(3, solution(l, TB_LIMIT_LP), (double[]){ 1, 2.25, 0.75 }, 1e-14);
  near_all(3, solution(l, TB_LIMIT_L2_SVM), (double[]){ 1, 1.5, 1.5 }, 1e-14);
  const double *dual, *offset;
  assert_int_equal(tb_limits_programme(l, &dual, &offset), TB_OK);
  near_all(6, dual, (double[]){ 23 / 8., 0, 0, 0, 47 / 8., 3 / 8. }, 1e-13);
  const size_t active[] = { 0, 4, 5 };
  for (size_t k = 0; k < 3; k++) {
    double along = 0;
    for (size_t j = 0; j < 3; j++)
      along += p->z[active[k] * 3 + j] * offset[j];
    assert_true(fabs(along + log(dual[active[k]])) < 1e-13);
  }
  assert_true(isnan(solution(l, TB_LIMIT_MIN_L1)[0])); /* six labels, three numbers */
  assert_string_equal(tb_limits_trouble(l, TB_LIMIT_MIN_L1), "");
  tb_limits_free(l);
  tb_classification_free(context, p);
}

/* From another start: multipliers σ(−m(0)), slope X⁺y, and what β(0) has off the rows stays. */
static void test_start_sets_the_programme(void **state) {
  tb_classification *p;
  assert_int_equal(tb_classification_read(context, data("three_in_five.csv"), false, &p), TB_OK);
  const double start[] = { 0.5, -1, 2, 0.25, 1 };
  tb_limits *l = limits_of(p, start), *far;
  const double *dual, *offset, min_norm[] = { 7 / 24., -1 / 24., -1 / 24., -7 / 24., 10 / 24. };
  near_all(5, solution(l, TB_LIMIT_LP), min_norm, 1e-13);
  assert_int_equal(tb_limits_programme(l, &dual, &offset), TB_OK);
  for (size_t i = 0; i < 3; i++) {
    double m = 0, along = 0;
    for (size_t j = 0; j < 5; j++) {
      m += p->z[i * 5 + j] * start[j];
      along += p->z[i * 5 + j] * offset[j];
    }
    assert_true(fabs(dual[i] - 1 / (1 + exp(m))) < 1e-13);
    assert_true(fabs(along - log1p(exp(m))) < 1e-13); /* softplus(m(0)) */
  }
  for (size_t v = 0; v < 2; v++) { /* offset − start lies in the span of the rows: across their null space it is 0 */
    const double across[2][5] = { { 1, -1, 1, 1, 0 }, { -1, 0, 3, 0, 1 } };
    double part = 0;
    for (size_t j = 0; j < 5; j++)
      part += (offset[j] - start[j]) * across[v][j];
    assert_true(fabs(part) < 1e-11);
  }
  tb_limits_free(l);
  double margins[3] = { 900, 901, 902 }, beta[5] = { 0 }; /* weights that underflow */
  assert_int_equal(tb_limits_new(context, p, beta, margins, &far), TB_OK);
  near_all(5, solution(far, TB_LIMIT_LP), min_norm, 1e-12);
  assert_int_equal(tb_limits_programme(far, &dual, &offset), TB_OK);
  for (size_t i = 0; i < 3; i++) {
    double along = 0;
    for (size_t j = 0; j < 5; j++)
      along += p->z[i * 5 + j] * offset[j];
    assert_true(fabs(along - margins[i]) < 1e-10);
  }
  tb_limits_free(far);
  tb_classification_free(context, p);
}

static void test_repeated_rows_share(void **state) {
  tb_classification *p = read_text("x1,x2,x3,y\n1,0,1,1\n0,1,-1,-1\n1,0,1,1\n", false);
  tb_limits *l = limits_of(p, NULL);
  assert_int_equal(tb_limits_rank(l), 2);
  const double *dual, *offset, *b = solution(l, TB_LIMIT_LP);
  near_all(3, b, solution(l, TB_LIMIT_MIN_NORM), 1e-13);
  assert_int_equal(tb_limits_programme(l, &dual, &offset), TB_OK);
  near_all(3, dual, (double[]){ 0.5, 0.5, 0.5 }, 1e-13);
  for (size_t i = 0; i < 3; i++) {
    double along = 0;
    for (size_t j = 0; j < 3; j++)
      along += p->z[i * 3 + j] * offset[j];
    assert_true(fabs(along - log(2)) < 1e-12);
  }
  assert_true(!isnan(solution(l, TB_LIMIT_MIN_L1)[0]));
  tb_limits_free(l);
  tb_classification_free(context, p);
}

static void test_not_separable(void **state) {
  tb_classification *p = read_text("x1,y\n1,1\n2,-1\n-3,1\n", false);
  tb_limits *l = limits_of(p, NULL);
  bool separable;
  const double *c;
  assert_int_equal(tb_limits_separable(l, &separable, &c), TB_OK);
  assert_false(separable);
  double sum = 0, balance = 0;
  for (size_t i = 0; i < 3; i++) {
    assert_true(c[i] >= 0);
    sum += c[i];
    balance += c[i] * p->z[i];
  }
  assert_true(fabs(sum - 1) < 1e-12 && fabs(balance) < 1e-12);
  assert_true(isnan(solution(l, TB_LIMIT_L2_SVM)[0]) && isnan(solution(l, TB_LIMIT_LP)[0]));
  near_all(1, solution(l, TB_LIMIT_MIN_NORM), (double[]){ -4 / 14. }, 1e-14);
  tb_text text = tb_text_new(context);
  assert_int_equal(tb_certificate_text(context, p, c, &text), TB_OK);
  assert_non_null(strstr(text.data, "(line "));
  tb_text_free(&text);
  tb_limits_free(l);
  tb_classification_free(context, p);
}

static void test_one_number(void **state) {
  tb_classification *p = read_text("x1,y\n-4,-1\n", false);
  tb_limits *l = limits_of(p, NULL);
  for (int i = 0; i < TB_LIMITS; i++)
    near_all(1, solution(l, (tb_limit)i), (double[]){ 0.25 }, 1e-14);
  tb_limits_free(l);
  tb_classification_free(context, p);
}

/* Every allocation fails once: no crash, no leak, the failure is told. */
static void test_memory(void **state) {
  for (long fail_at = 1; fail_at < 400; fail_at++) {
    meter m = { .fail_at = fail_at };
    tb_context *poor = tb_context_new(meter_allocate, &m);
    if (!poor)
      continue;
    tb_classification *p = NULL;
    tb_limits *l = NULL;
    double zero[40] = { 0 };
    const double *b;
    tb_status status = tb_classification_sparse(poor, 6, 4, 2, false, 1, &p);
    if (!status)
      status = tb_limits_new(poor, p, zero, zero, &l);
    for (int i = 0; i < TB_LIMITS && !status; i++)
      status = tb_limits_solution(l, (tb_limit)i, &b);
    tb_limits_free(l);
    tb_classification_free(poor, p);
    tb_context_free(poor);
    assert_int_equal(m.live, 0);
    assert_true(status == TB_OK || status == TB_NO_MEMORY);
    if (m.calls < fail_at)
      break;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_files_that_are_refused),
    cmocka_unit_test(test_read_and_bias),
    cmocka_unit_test(test_repeated_rows),
    cmocka_unit_test(test_sparse_teacher),
    cmocka_unit_test(test_three_points_in_five_dimensions),
    cmocka_unit_test(test_six_points_in_three_dimensions),
    cmocka_unit_test(test_start_sets_the_programme),
    cmocka_unit_test(test_repeated_rows_share),
    cmocka_unit_test(test_not_separable),
    cmocka_unit_test(test_one_number),
    cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
