/* Nuclear-norm completion against one-dimensional minimisation of a closed form, against its own certificate, and
 * against low-rank truths that are known to be recovered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "num/linear.h"
#include "num/nuclear.h"

#include <math.h>
#include <stdlib.h>

static int setup(void **state) {
  *state = tb_context_new(NULL, NULL);
  return *state == NULL;
}

static int teardown(void **state) {
  tb_context_free(*state);
  return 0;
}

static uint64_t lcg = 3;
static double uniform(void) {
  lcg = lcg * 6364136223846793005u + 1442695040888963407u;
  return (double)(int64_t)lcg / 9223372036854775808.0;
}

static void assert_near(double value, double truth, double tolerance) {
  if (!(fabs(value - truth) <= tolerance * fmax(1, fabs(truth))))
    fail_msg("%.17g, should be %.17g", value, truth);
}

/* ‖[[a, x], [c, d]]‖_* = √(‖·‖_F² + 2 |det|) */
static double small_norm(double a, double x, double c, double d) {
  return sqrt(a * a + x * x + c * c + d * d + 2 * fabs(a * d - x * c));
}

static void two_by_two(void **state) {
  size_t row[] = { 0, 1, 1 }, col[] = { 0, 0, 1 };
  for (int trial = 0; trial < 30; trial++) {
    double v[] = { uniform(), uniform(), uniform() }, low = -5, high = 5;
    while (high - low > 1e-13) { /* convex: thirds */
      double a = low + (high - low) / 3, b = high - (high - low) / 3;
      if (small_norm(v[0], a, v[1], v[2]) < small_norm(v[0], b, v[1], v[2]))
        high = b;
      else
        low = a;
    }
    tb_nuclear n;
    assert_int_equal(tb_nuclear_complete(*state, 2, 2, 3, row, col, v, 1e-10, 0, &n), TB_OK);
    assert_near(n.objective, small_norm(v[0], low, v[1], v[2]), 1e-10);
    assert_true(n.matrix[0] == v[0] && n.matrix[2] == v[1] && n.matrix[3] == v[2]);
    tb_nuclear_free(*state, &n);
  }
}

/* The certificate needs no trust in the solver: spectral norm ≤ 1, bound ≤ objective, gap small. */
static void certificate(void **state) {
  enum { ROWS = 12, COLS = 9, COUNT = 60 };
  size_t row[COUNT], col[COUNT], count = 0;
  double value[COUNT], dual[ROWS * COLS] = { 0 }, s[COLS], bound = 0, objective = 0;
  for (size_t k = 0; k < ROWS * COLS && count < COUNT; k++)
    if (uniform() < 0.3) {
      row[count] = k / COLS, col[count] = k % COLS;
      value[count++] = 10 * uniform();
    }
  row[count - 1] = row[0], col[count - 1] = col[0], value[count - 1] = value[0]; /* given twice */
  tb_nuclear n;
  assert_int_equal(tb_nuclear_complete(*state, ROWS, COLS, count, row, col, value, 1e-8, 0, &n), TB_OK);
  for (size_t k = 0; k < count; k++) {
    dual[row[k] * COLS + col[k]] += n.dual[k];
    bound += n.dual[k] * value[k];
    assert_true(n.matrix[row[k] * COLS + col[k]] == value[k]);
  }
  assert_int_equal(tb_singular_values(*state, ROWS, COLS, dual, s, NULL, NULL), TB_OK);
  assert_true(s[0] <= 1 + 1e-13);
  assert_near(bound, n.bound, 1e-13);
  assert_int_equal(tb_singular_values(*state, ROWS, COLS, n.matrix, s, NULL, NULL), TB_OK);
  for (size_t k = 0; k < COLS; k++)
    objective += s[k];
  assert_near(objective, n.objective, 1e-13);
  assert_true(bound <= objective && objective - bound <= 1e-8 * objective);
  tb_nuclear_free(*state, &n);
}

static void recovers_low_rank(void **state) {
  enum { N = 30, RANK = 2 };
  double a[N * RANK], b[RANK * N], w[N * N], value[N * N], norm = 0, s[N];
  size_t row[N * N], col[N * N], count = 0;
  for (size_t k = 0; k < N * RANK; k++)
    a[k] = uniform(), b[k] = uniform();
  tb_gemm(false, false, N, N, RANK, 1, a, b, 0, w);
  for (size_t k = 0; k < N * N; k++)
    if (uniform() < 0.3) {
      row[count] = k / N, col[count] = k % N;
      value[count++] = w[k];
    }
  tb_nuclear n;
  assert_int_equal(tb_nuclear_complete(*state, N, N, count, row, col, value, 1e-10, 0, &n), TB_OK);
  for (size_t k = 0; k < N * N; k++)
    assert_near(n.matrix[k], w[k], 1e-6);
  assert_int_equal(tb_singular_values(*state, N, N, w, s, NULL, NULL), TB_OK);
  for (size_t k = 0; k < N; k++)
    norm += s[k];
  assert_near(n.objective, norm, 1e-9);
  tb_nuclear_free(*state, &n);
}

static void edges(void **state) {
  size_t row[] = { 0, 0 }, col[] = { 0, 0 }, far[] = { 5, 0 };
  double value[] = { 1, 2 }, zero[] = { 0, 0 };
  tb_nuclear n;
  assert_int_equal(tb_nuclear_complete(*state, 2, 2, 2, row, col, value, 0, 0, &n), TB_FAILED);
  assert_int_equal(tb_nuclear_complete(*state, 2, 2, 1, far, col, value, 0, 0, &n), TB_FAILED);
  assert_int_equal(tb_nuclear_complete(*state, 2, 3, 1, row, col, zero, 0, 0, &n), TB_OK);
  assert_true(n.objective == 0 && n.matrix[5] == 0);
  tb_nuclear_free(*state, &n);
  assert_int_equal(tb_nuclear_complete(*state, 3, 2, 0, row, col, zero, 0, 0, &n), TB_OK);
  assert_true(n.objective == 0);
  tb_nuclear_free(*state, &n);
  size_t three_rows[] = { 0, 1, 1 }, three_cols[] = { 0, 0, 1 };
  double three[] = { 1, 0.3, -0.7 };
  assert_int_equal(tb_nuclear_complete(*state, 2, 2, 3, three_rows, three_cols, three, 1e-14, 2, &n), TB_FAILED);
}

/* Entries written as measurement matrices have the same least norm; random ones come with their certificate. */
static void measurements(void **state) {
  enum { ROWS = 5, COLS = 4, SIZE = ROWS * COLS, COUNT = 9 };
  size_t row[COUNT], col[COUNT];
  double value[COUNT], dense[COUNT * SIZE] = { 0 };
  for (size_t k = 0; k < COUNT; k++) {
    row[k] = 2 * k / COLS;
    col[k] = 2 * k % COLS + (k > 4);
    value[k] = uniform();
    dense[k * SIZE + row[k] * COLS + col[k]] = 1;
  }
  tb_nuclear entries, sensed;
  assert_int_equal(tb_nuclear_complete(*state, ROWS, COLS, COUNT, row, col, value, 1e-9, 0, &entries), TB_OK);
  assert_int_equal(tb_nuclear_sense(*state, ROWS, COLS, COUNT, dense, value, 1e-9, 0, &sensed), TB_OK);
  assert_near(sensed.objective, entries.objective, 1e-8);
  tb_nuclear_free(*state, &entries);
  tb_nuclear_free(*state, &sensed);
  for (size_t k = 0; k < COUNT * SIZE; k++)
    dense[k] = uniform();
  assert_int_equal(tb_nuclear_sense(*state, ROWS, COLS, COUNT, dense, value, 1e-8, 0, &sensed), TB_OK);
  double combined[SIZE] = { 0 }, norms[COLS];
  for (size_t k = 0; k < COUNT; k++) {
    assert_near(tb_dot(SIZE, dense + k * SIZE, sensed.matrix), value[k], 1e-12);
    for (size_t i = 0; i < SIZE; i++)
      combined[i] += sensed.dual[k] * dense[k * SIZE + i];
  }
  assert_near(tb_dot(COUNT, sensed.dual, value), sensed.objective, 1e-7);
  assert_int_equal(tb_singular_values(*state, ROWS, COLS, combined, norms, NULL, NULL), TB_OK);
  assert_true(norms[0] <= 1 + 1e-12);
  tb_nuclear_free(*state, &sensed);
  for (size_t i = 0; i < SIZE; i++)
    dense[SIZE + i] = 2 * dense[i];
  assert_int_equal(tb_nuclear_sense(*state, ROWS, COLS, COUNT, dense, value, 0, 0, &sensed), TB_FAILED);
  tb_context_clear(*state);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(measurements, setup, teardown),
    cmocka_unit_test_setup_teardown(two_by_two, setup, teardown),
    cmocka_unit_test_setup_teardown(certificate, setup, teardown),
    cmocka_unit_test_setup_teardown(recovers_low_rank, setup, teardown),
    cmocka_unit_test_setup_teardown(edges, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
