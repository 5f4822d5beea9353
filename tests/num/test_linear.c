/* Linear algebra against plain loops in long double, and against identities that hold to rounding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "num/linear.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static int setup(void **state) {
  *state = tb_context_new(NULL, NULL);
  return *state == NULL;
}

static int teardown(void **state) {
  tb_context_free(*state);
  return 0;
}

static uint64_t lcg = 1;
static double uniform(void) { /* (−1, 1) */
  lcg = lcg * 6364136223846793005u + 1442695040888963407u;
  return (double)(int64_t)lcg / 9223372036854775808.0;
}

static void fill(size_t n, double *x) {
  for (size_t i = 0; i < n; i++)
    x[i] = uniform();
}

static void assert_near(double value, double truth, double tolerance) {
  if (!(fabs(value - truth) <= tolerance * fmax(1, fabs(truth))))
    fail_msg("%.17g, should be %.17g (off by %.3g, allowed %.3g)", value, truth, fabs(value - truth),
             tolerance * fmax(1, fabs(truth)));
}

static void products(void **state) {
  for (int flags = 0; flags < 4; flags++) {
    bool ta = flags & 1, tb = flags & 2;
    size_t m = 4, n = 3, k = 5;
    double a[20], b[15], c[12], before[12], x[5], y[5], y_before[5];
    fill(20, a), fill(15, b), fill(12, c);
    memcpy(before, c, sizeof c);
    tb_gemm(ta, tb, m, n, k, 0.5, a, b, -2, c);
    for (size_t i = 0; i < m; i++)
      for (size_t j = 0; j < n; j++) {
        long double sum = 0;
        for (size_t l = 0; l < k; l++)
          sum += (long double)(ta ? a[l * m + i] : a[i * k + l]) * (tb ? b[j * k + l] : b[l * n + j]);
        assert_near(c[i * n + j], (double)(0.5L * sum - 2.0L * before[i * n + j]), 1e-15);
      }
    fill(5, x), fill(5, y);
    memcpy(y_before, y, sizeof y);
    tb_gemv(ta, m, k, 2, a, x, 1, y);
    for (size_t i = 0; i < (ta ? k : m); i++) {
      long double sum = 0;
      for (size_t l = 0; l < (ta ? m : k); l++)
        sum += (long double)(ta ? a[l * k + i] : a[i * k + l]) * x[l];
      assert_near(y[i], (double)(2 * sum + y_before[i]), 1e-15);
    }
  }
  double none = 7;
  tb_gemm(false, false, 1, 1, 0, 1, &none, &none, 0, &none);
  assert_true(none == 0);
}

static void norms_and_angles(void **state) {
  double huge[] = { 3e300, -4e300 }, tiny[] = { 3e-320, 4e-320 }, mixed[] = { 1e-300, 0, 1e300 };
  assert_near(tb_norm(2, huge) / 1e300, 5, 1e-15);
  assert_near(tb_norm(2, tiny) / 1e-320, 5, 1e-3); /* subnormal data carries three digits */
  assert_true(tb_norm(3, mixed) == 1e300);
  assert_true(tb_norm(0, huge) == 0);
  assert_true(isnan(tb_norm(2, (double[]){ NAN, 1 })));
  assert_true(isinf(tb_norm(2, (double[]){ 1, -INFINITY })));
  double e[] = { 1, 0 }, nearly[] = { 1, 1e-9 }, against[] = { -1, 1e-9 }, zero[] = { 0, 0 },
         scaled[] = { 1e200, 1e200 };
  assert_near(tb_angle_degrees(2, e, nearly) / (1e-9 * 180 / M_PI), 1, 1e-12);
  assert_near((180 - tb_angle_degrees(2, e, against)) / (1e-9 * 180 / M_PI), 1, 1e-6);
  assert_near(tb_angle_degrees(2, e, scaled), 45, 1e-14);
  assert_true(isnan(tb_angle_degrees(2, e, zero)));
  assert_true(tb_angle_degrees(2, e, e) == 0);
}

static void cholesky(void **state) {
  enum { N = 6 };
  double g[N * N], a[N * N], l[N * N], x[N * 2], b[N * 2];
  fill(N * N, g), fill(N * 2, x);
  tb_gemm(false, true, N, N, N, 1, g, g, 0, a);
  memcpy(l, a, sizeof a);
  bool definite;
  assert_int_equal(tb_cholesky_factor(*state, N, l, &definite), TB_OK);
  assert_true(definite);
  for (size_t i = 0; i < N; i++)
    for (size_t j = 0; j < N; j++) {
      long double sum = 0;
      for (size_t k = 0; k <= (i < j ? i : j); k++)
        sum += (long double)l[i * N + k] * l[j * N + k];
      assert_near((double)sum, a[i * N + j], 1e-14);
    }
  tb_gemm(false, false, N, 2, N, 1, a, x, 0, b);
  tb_cholesky_solve(N, l, 2, b);
  double norm = 0;
  for (size_t i = 0; i < N; i++) {
    double sum = 0;
    for (size_t j = 0; j < N; j++)
      sum += fabs(a[i * N + j]);
    norm = fmax(norm, sum);
  }
  double rcond = tb_cholesky_rcond(*state, N, l, norm), s[N], spare[N * N];
  memcpy(spare, a, sizeof a);
  assert_int_equal(tb_singular_values(*state, N, N, spare, s, NULL, NULL), TB_OK);
  assert_true(rcond <= s[N - 1] / s[0] * N && rcond >= s[N - 1] / s[0] / N);
  for (size_t i = 0; i < 2 * N; i++)
    assert_near(b[i], x[i], 1e-14 / rcond);
  double indefinite[] = { 1, 0, 2, 1 };
  assert_int_equal(tb_cholesky_factor(*state, 2, indefinite, &definite), TB_OK);
  assert_false(definite);
}

static void lu(void **state) {
  for (size_t k = 1; k <= 3; k++) {
    enum { N = 5 };
    double a[N * N], keep[N * N], x[N * 3], b[N * 3];
    fill(N * N, a), fill(N * k, x);
    memcpy(keep, a, sizeof a);
    tb_gemm(false, false, N, k, N, 1, a, x, 0, b);
    bool singular;
    assert_int_equal(tb_lu_solve(*state, N, a, k, b, &singular), TB_OK);
    assert_false(singular);
    for (size_t i = 0; i < N * k; i++)
      assert_near(b[i], x[i], 1e-12);
  }
  double a[] = { 1, 2, 2, 4 }, b[] = { 1, 1 };
  bool singular;
  assert_int_equal(tb_lu_solve(*state, 2, a, 1, b, &singular), TB_OK);
  assert_true(singular);
}

static void decompositions(void **state) {
  size_t shapes[][2] = { { 5, 5 }, { 7, 3 }, { 3, 7 }, { 1, 4 }, { 4, 1 } };
  for (size_t t = 0; t < 5; t++) {
    size_t m = shapes[t][0], n = shapes[t][1], r = m < n ? m : n;
    double a[64], copy[64], s[8], u[64], vt[64], s_alone[8], u_alone[64], vt_alone[64];
    fill(m * n, a);
    memcpy(copy, a, sizeof a);
    assert_int_equal(tb_singular_values(*state, m, n, copy, s, u, vt), TB_OK);
    for (size_t i = 0; i < m; i++)
      for (size_t j = 0; j < n; j++) {
        long double sum = 0;
        for (size_t k = 0; k < r; k++)
          sum += (long double)u[i * r + k] * s[k] * vt[k * n + j];
        assert_near((double)sum, a[i * n + j], 1e-14);
      }
    for (size_t k = 0; k < r; k++)
      for (size_t l = 0; l < r; l++) {
        long double uu = 0, vv = 0;
        for (size_t i = 0; i < m; i++)
          uu += (long double)u[i * r + k] * u[i * r + l];
        for (size_t j = 0; j < n; j++)
          vv += (long double)vt[k * n + j] * vt[l * n + j];
        assert_near((double)uu, k == l, 1e-14);
        assert_near((double)vv, k == l, 1e-14);
      }
    for (size_t k = 1; k < r; k++)
      assert_true(s[k] <= s[k - 1]);
    memcpy(copy, a, sizeof a);
    assert_int_equal(tb_singular_values(*state, m, n, copy, s_alone, u_alone, NULL), TB_OK);
    memcpy(copy, a, sizeof a);
    assert_int_equal(tb_singular_values(*state, m, n, copy, s_alone, NULL, vt_alone), TB_OK);
    for (size_t k = 0; k < r; k++) {
      assert_near(s_alone[k], s[k], 1e-14);
      assert_near(fabs(tb_dot(n, vt + k * n, vt_alone + k * n)), 1, 1e-13);
    }
    for (size_t i = 0; i < m * r; i++)
      assert_near(fabs(u_alone[i]), fabs(u[i]), 1e-13);
  }
  enum { N = 6 };
  double g[N * N], a[N * N], copy[N * N], values[N], v[N * N];
  fill(N * N, g);
  for (size_t i = 0; i < N; i++)
    for (size_t j = 0; j < N; j++)
      a[i * N + j] = g[i * N + j] + g[j * N + i];
  memcpy(copy, a, sizeof a);
  assert_int_equal(tb_symmetric_eigen(*state, N, copy, values, v), TB_OK);
  for (size_t k = 0; k < N; k++) {
    double av[N];
    tb_gemv(false, N, N, 1, a, v + k * N, 0, av);
    for (size_t i = 0; i < N; i++)
      assert_near(av[i], values[k] * v[k * N + i], 1e-14);
    assert_true(k == 0 || values[k] >= values[k - 1]);
  }
  double bad[] = { 1, NAN, NAN, 1 };
  assert_int_equal(tb_symmetric_eigen(*state, 2, bad, values, NULL), TB_FAILED);
}

static void least_squares(void **state) {
  /* data A: X⁺y = (7, −1, −1, −7, 10)/24 */
  double x[] = { 0, 0, -1, 1, 3, 1, 3, 1, 1, -2, 2, 3, 0, 1, 2 }, y[] = { 1, -1, 1 }, b[5];
  double truth[] = { 7, -1, -1, -7, 10 };
  size_t rank;
  double condition;
  assert_int_equal(tb_least_squares(*state, 3, 5, x, 1, y, 0, b, &rank, &condition), TB_OK);
  assert_int_equal(rank, 3);
  for (size_t i = 0; i < 5; i++)
    assert_near(b[i], truth[i] / 24, 1e-14);
  /* rank 2 of 4×3, two right-hand sides: the four Moore-Penrose conditions in effect */
  double p[8], q[6], a[12], right[8], solution[6], fitted[8], normal[6];
  fill(8, p), fill(6, q), fill(8, right);
  tb_gemm(false, false, 4, 3, 2, 1, p, q, 0, a);
  assert_int_equal(tb_least_squares(*state, 4, 3, a, 2, right, 0, solution, &rank, &condition), TB_OK);
  assert_int_equal(rank, 2);
  tb_gemm(false, false, 4, 2, 3, 1, a, solution, 0, fitted);
  for (size_t i = 0; i < 8; i++)
    fitted[i] -= right[i];
  tb_gemm(true, false, 3, 2, 4, 1, a, fitted, 0, normal); /* Aᵀ(Ax − b) = 0 */
  for (size_t i = 0; i < 6; i++)
    assert_near(normal[i], 0, 1e-13);
  double null[] = { q[1] * q[5] - q[2] * q[4], q[2] * q[3] - q[0] * q[5], q[0] * q[4] - q[1] * q[3] };
  for (size_t k = 0; k < 2; k++) /* x ⟂ kernel */
    assert_near(null[0] * solution[k] + null[1] * solution[2 + k] + null[2] * solution[4 + k], 0, 1e-13);
  double zeros[6] = { 0 };
  assert_int_equal(tb_least_squares(*state, 2, 3, zeros, 1, y, 0, b, &rank, &condition), TB_OK);
  assert_int_equal(rank, 0);
  assert_true(b[0] == 0 && b[1] == 0 && b[2] == 0);
  assert_int_equal(tb_least_squares(*state, 0, 3, zeros, 1, y, 0, b, &rank, NULL), TB_OK);
}

/* ---- weighted least squares ---- */

enum { MOST = 12 };

/* Weighted normal equations in long double, for full column rank and moderate weights. */
static void by_normal_equations(size_t m, size_t n, const double *a, const double *b, const double *w, double *x) {
  long double g[MOST][MOST + 1] = { { 0 } };
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++) {
      long double left = expl(w[i]) * a[i * n + j];
      for (size_t k = 0; k < n; k++)
        g[j][k] += left * a[i * n + k];
      g[j][n] += left * b[i];
    }
  for (size_t k = 0; k < n; k++)
    for (size_t i = 0; i < n; i++)
      if (i != k) {
        long double f = g[i][k] / g[k][k];
        for (size_t j = k; j <= n; j++)
          g[i][j] -= f * g[k][j];
      }
  for (size_t k = 0; k < n; k++)
    x[k] = (double)(g[k][n] / g[k][k]);
}

/* The limit of infinitely separated weights: row after row by weight, each satisfied exactly as far as the rows before
 * leave it free; minimum norm by Gram-Schmidt in long double. */
static size_t lexicographic(size_t m, size_t n, const double *a, const double *b, const double *w, double *x) {
  long double q[MOST][MOST], solution[MOST] = { 0 };
  size_t rank = 0;
  bool used[MOST] = { false };
  for (size_t step = 0; step < m; step++) {
    size_t i = m;
    for (size_t k = 0; k < m; k++)
      if (!used[k] && (i == m || w[k] > w[i]))
        i = k;
    used[i] = true;
    long double r[MOST], gap = b[i], size = 0, rest = 0;
    for (size_t j = 0; j < n; j++)
      r[j] = a[i * n + j], size += r[j] * r[j], gap -= r[j] * solution[j];
    for (int twice = 0; twice < 2; twice++)
      for (size_t k = 0; k < rank; k++) {
        long double dot = 0;
        for (size_t j = 0; j < n; j++)
          dot += q[k][j] * r[j];
        for (size_t j = 0; j < n; j++)
          r[j] -= dot * q[k][j];
      }
    for (size_t j = 0; j < n; j++)
      rest += r[j] * r[j];
    if (rest <= 1e-28L * size || rank == n)
      continue;
    for (size_t j = 0; j < n; j++)
      solution[j] += gap * r[j] / rest, q[rank][j] = r[j] / sqrtl(rest);
    rank++;
  }
  for (size_t j = 0; j < n; j++)
    x[j] = (double)solution[j];
  return rank;
}

static void weighted_moderate(void **state) {
  for (int trial = 0; trial < 200; trial++) {
    size_t n = 1 + (size_t)trial % 6, m = n + (size_t)trial % 5;
    double a[MOST * MOST], b[MOST], w[MOST], x[MOST], truth[MOST], condition;
    size_t rank;
    fill(m * n, a), fill(m, b), fill(m, w);
    for (size_t i = 0; i < n; i++)
      a[i * n + i] += 2;
    for (size_t i = 0; i < m; i++)
      w[i] *= trial % 3 == 0 ? 0 : trial % 3 == 1 ? 2 : 6;
    assert_int_equal(tb_weighted_least_squares(*state, m, n, a, b, w, 0, x, &rank, &condition), TB_OK);
    assert_int_equal(rank, n);
    by_normal_equations(m, n, a, b, w, truth);
    for (size_t j = 0; j < n; j++)
      assert_near(x[j], truth[j], 1e-11);
    double shifted[MOST]; /* a common factor changes nothing, however large */
    for (size_t i = 0; i < m; i++)
      shifted[i] = w[i] - 4096;
    assert_int_equal(tb_weighted_least_squares(*state, m, n, a, b, shifted, 0, x, &rank, &condition), TB_OK);
    for (size_t j = 0; j < n; j++)
      assert_near(x[j], truth[j], 1e-11);
  }
}

static void weighted_limit(void **state) {
  for (int trial = 0; trial < 300; trial++) {
    size_t n = 1 + (size_t)trial % 6, m = (size_t)(trial / 6) % (MOST + 1);
    double a[MOST * MOST], b[MOST], w[MOST], x[MOST], truth[MOST], condition;
    size_t rank;
    fill(MOST * MOST, a), fill(m, b);
    double gap = trial % 2 ? 200 : 1e5; /* e^{−200}: beyond rounding; e^{−1e5}: beyond any exponent */
    for (size_t i = 0; i < m; i++)
      w[i] = gap * (double)((i * 7 + 3) % 13) - 6 * gap;
    if (m > 3 && trial % 3 == 0) {
      memcpy(a + 2 * n, a, n * sizeof *a); /* a duplicate, of another weight and another target */
      memset(a + 3 * n, 0, n * sizeof *a); /* a zero row */
    }
    if (m > 4 && trial % 4 == 0)
      for (size_t j = 0; j < n; j++)
        a[4 * n + j] = a[j] - 3 * a[n + j]; /* dependent */
    if (trial % 5 == 0)
      for (size_t i = 0; i < m; i++)
        a[i * n] = 0; /* a column that is never determined */
    assert_int_equal(tb_weighted_least_squares(*state, m, n, a, b, w, 0, x, &rank, &condition), TB_OK);
    assert_int_equal(rank, lexicographic(m, n, a, b, w, truth));
    for (size_t j = 0; j < n; j++)
      assert_near(x[j], truth[j], 1e-10);
  }
}

/* Rank-deficient heavy rows must not drown light ones in their rounding, whatever the ratio. */
static void weighted_between(void **state) {
  for (double gap = 0; gap < 120; gap += 1.5) {
    double a[] = { 1.0 / 3, 1.0 / 7, 1.0 / 3, 1.0 / 7, 0.3, -0.7, 0.1, 0.9 }, b[] = { 1, 2, 0.5, -0.25 };
    double w[] = { 0, 0, -gap, -gap }, x[2], condition;
    size_t rank;
    assert_int_equal(tb_weighted_least_squares(*state, 4, 2, a, b, w, 0, x, &rank, &condition), TB_OK);
    assert_int_equal(rank, 2);
    /* in closed form: p = u·x + v·x⊥ along and across the heavy direction; long double suffices after elimination */
    long double g11 = 0, g12 = 0, g22 = 0, h1 = 0, h2 = 0, norm = hypotl(a[0], a[1]);
    long double u[] = { a[0] / norm, a[1] / norm }, v[] = { -u[1], u[0] }, e = expl(-gap);
    g11 = 2 * norm * norm, h1 = norm * (1 + 2);
    long double l11 = 0, l12 = 0, l22 = 0, k1 = 0, k2 = 0;
    for (int i = 2; i < 4; i++) {
      long double p = a[2 * i] * u[0] + a[2 * i + 1] * u[1], q = a[2 * i] * v[0] + a[2 * i + 1] * v[1];
      l11 += p * p, l12 += p * q, l22 += q * q, k1 += p * b[i], k2 += q * b[i];
    }
    g11 += e * l11, g12 = l12, g22 = l22, h1 += e * k1, h2 = k2; /* second equation divided by e */
    long double determinant = g11 * g22 - e * g12 * g12;
    long double s = (h1 * g22 - e * g12 * h2) / determinant, t = (g11 * h2 - g12 * h1) / determinant;
    assert_near(x[0], (double)(s * u[0] + t * v[0]), 1e-12);
    assert_near(x[1], (double)(s * u[1] + t * v[1]), 1e-12);
  }
}

static void weighted_edges(void **state) {
  double a[] = { 1, 2, 3, 4 }, b[] = { 1, 2 }, w[] = { 0, -INFINITY }, x[2] = { 9, 9 }, condition;
  size_t rank;
  assert_int_equal(tb_weighted_least_squares(*state, 0, 2, a, b, w, 0, x, &rank, &condition), TB_OK);
  assert_true(rank == 0 && x[0] == 0 && x[1] == 0);
  assert_int_equal(tb_weighted_least_squares(*state, 2, 0, a, b, w, 0, x, &rank, &condition), TB_OK);
  assert_int_equal(rank, 0);
  assert_int_equal(tb_weighted_least_squares(*state, 2, 2, a, b, w, 0, x, &rank, &condition), TB_OK);
  assert_int_equal(rank, 1); /* a weight of zero is no row at all */
  assert_near(x[0], 0.2, 1e-15);
  assert_near(x[1], 0.4, 1e-15);
  w[1] = NAN;
  assert_int_equal(tb_weighted_least_squares(*state, 2, 2, a, b, w, 0, x, &rank, &condition), TB_FAILED);
}

/* ---- several threads at once ---- */

enum { TEAM = 4, SIDE = 40 };

/* Factors the same matrix again and again; counts results other than the first thread's. */
static void *factor_often(void *user) {
  const double *expected = user;
  double matrix[SIDE * SIDE];
  size_t wrong = 0;
  tb_context *own = tb_context_new(NULL, NULL);
  for (int round = 0; round < 2000 && own; round++) {
    bool definite;
    for (size_t i = 0; i < SIDE * SIDE; i++)
      matrix[i] = i % (SIDE + 1) == 0 ? SIDE : 1.0 / (double)(1 + i % SIDE + i / SIDE);
    wrong += tb_cholesky_factor(own, SIDE, matrix, &definite) != TB_OK || !definite ||
             (expected && memcmp(matrix, expected, sizeof matrix) != 0);
    if (!expected) {
      double *first = malloc(sizeof matrix);
      memcpy(first, matrix, sizeof matrix);
      tb_context_free(own);
      return first;
    }
  }
  tb_context_free(own);
  return (void *)wrong;
}

static void threads(void **state) {
  double *expected = factor_often(NULL);
  pthread_t team[TEAM];
  for (int i = 0; i < TEAM; i++)
    assert_int_equal(pthread_create(&team[i], NULL, factor_often, expected), 0);
  for (int i = 0; i < TEAM; i++) {
    void *wrong;
    pthread_join(team[i], &wrong);
    assert_null(wrong);
  }
  free(expected);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(products, setup, teardown),
    cmocka_unit_test_setup_teardown(norms_and_angles, setup, teardown),
    cmocka_unit_test_setup_teardown(cholesky, setup, teardown),
    cmocka_unit_test(threads),
    cmocka_unit_test_setup_teardown(lu, setup, teardown),
    cmocka_unit_test_setup_teardown(decompositions, setup, teardown),
    cmocka_unit_test_setup_teardown(least_squares, setup, teardown),
    cmocka_unit_test_setup_teardown(weighted_moderate, setup, teardown),
    cmocka_unit_test_setup_teardown(weighted_limit, setup, teardown),
    cmocka_unit_test_setup_teardown(weighted_between, setup, teardown),
    cmocka_unit_test_setup_teardown(weighted_edges, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
