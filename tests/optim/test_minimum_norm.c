/* Minimum-norm solutions: against SVD where that is possible, against constructed solutions where sizes differ by 10⁹⁰.
 */
#include "fixture.h"

#include <float.h>

#include "num/linear.h"
#include "optim/minimum_norm.h"
#include "optim/population.h"

static void solve(size_t n, size_t p, const double *a, const double *log_delta, const double *b, double *x,
                  size_t *rank, double *condition, double *log_scale) {
  tb_minimum_norm *m;
  check(tb_minimum_norm_new(context, n, p, &m));
  check(tb_minimum_norm_factor(m, a, log_delta, DBL_EPSILON, rank, condition));
  if (*rank == n)
    tb_minimum_norm_solve(m, b, NULL, x, log_scale);
  tb_minimum_norm_free(m);
}

static void draw(uint32_t seed, size_t count, double *out) {
  tb_random_normal((tb_key){ .seed = seed }, 0, count, out);
}

static void equals_the_pseudo_inverse(void **state) {
  const size_t sizes[][2] = { { 1, 1 }, { 1, 7 }, { 3, 3 }, { 3, 5 }, { 7, 8 }, { 13, 50 } };
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    const size_t n = sizes[k][0], p = sizes[k][1];
    double a[1000], b[50], x[50], want[50], condition, log_scale;
    size_t rank;
    draw((uint32_t)k, n * p, a);
    draw(100 + (uint32_t)k, n, b);
    solve(n, p, a, NULL, b, x, &rank, &condition, &log_scale);
    assert_int_equal(rank, n);
    assert_true(log_scale == 0);
    check(tb_least_squares(context, n, p, a, 1, b, 0, want, &rank, NULL));
    for (size_t j = 0; j < p; j++)
      assert_near(x[j], want[j], 1e-13 * condition);
  }
}

/* a = X·D with D = diag(s): x = aᵀλ solves a x = b. */
static void graded_columns_keep_their_accuracy(void **state) {
  enum { N = 4, P = 9 };
  for (int spread = 0; spread <= 30; spread += 5) {
    double x_data[N * P], a[N * P], s[P], b[N], x[P], condition, log_scale;
    size_t rank;
    draw(7, N * P, x_data);
    draw(8, N, b);
    for (size_t j = 0; j < P; j++) {
      s[j] = pow(10, -spread * (double)((5 * j) % P) / 3);
      for (size_t i = 0; i < N; i++)
        a[i * P + j] = x_data[i * P + j] * s[j];
    }
    solve(N, P, a, NULL, b, x, &rank, &condition, &log_scale);
    assert_int_equal(rank, N);
    for (size_t i = 0; i < N; i++) {
      double image = 0;
      for (size_t j = 0; j < P; j++)
        image += a[i * P + j] * x[j];
      assert_near(image, b[i], 1e-12);
    }
    /* x_j / s_j = (Xᵀλ)_j: λ from the four largest columns gives every other one */
    double square[N * N], lambda[N];
    size_t taken[N], count = 0;
    for (int level = 0; level < P && count < N; level++)
      for (size_t j = 0; j < P && count < N; j++)
        if ((int)((5 * j) % P) == level)
          taken[count++] = j;
    for (size_t k = 0; k < N; k++) {
      lambda[k] = x[taken[k]] / s[taken[k]];
      for (size_t i = 0; i < N; i++)
        square[k * N + i] = x_data[i * P + taken[k]];
    }
    double top = 0;
    for (size_t j = 0; j < P; j++)
      top = fmax(top, fabs(x[j] / s[j]));
    bool singular;
    check(tb_lu_solve(context, N, square, 1, lambda, &singular));
    for (size_t j = 0; j < P; j++) {
      double want = 0;
      for (size_t i = 0; i < N; i++)
        want += x_data[i * P + j] * lambda[i];
      assert_near(x[j] / s[j], want, 1e-13 * top);
    }
  }
}

static void rank_is_found(void **state) {
  double a[5 * 8], x[8], condition, log_scale;
  const double b[5] = { 1, 2, 3, 4, 5 };
  size_t rank;
  draw(1, 40, a);
  for (size_t j = 0; j < 8; j++)
    a[4 * 8 + j] = a[j] - 2 * a[8 + j];
  solve(5, 8, a, NULL, b, x, &rank, &condition, &log_scale);
  assert_int_equal(rank, 4);
  assert_true(isinf(condition));
  memset(a + 16, 0, 8 * sizeof *a); /* a zero row */
  solve(4, 8, a, NULL, b, x, &rank, &condition, &log_scale);
  assert_int_equal(rank, 3);
  for (size_t j = 0; j < 8; j++) /* duplicates with columns from 1 to 10^-42 */
    a[j] *= pow(10, -6 * (double)j), a[8 + j] = a[j];
  solve(2, 8, a, NULL, b, x, &rank, &condition, &log_scale);
  assert_int_equal(rank, 1);
  solve(3, 2, (double[]){ 1, 2, 0, 1, 3, -1 }, NULL, b, x, &rank, &condition, &log_scale); /* more rows than columns */
  assert_int_equal(rank, 2);
  memset(a, 0, sizeof a);
  solve(2, 3, a, NULL, b, x, &rank, &condition, &log_scale);
  assert_int_equal(rank, 0);
}

/* (aᵀWa + μI)⁻¹ aᵀWb for δ² = μ/w */
static void a_ridge_is_damped_least_squares(void **state) {
  enum { N = 4, P = 6 };
  double a[N * P], b[N], w[N], x[P], condition, log_scale, log_delta[N], normal[P * P], want[P];
  size_t rank;
  draw(3, N * P, a);
  draw(4, N, b);
  for (size_t j = 0; j < P; j++)
    a[P + j] = a[j]; /* a duplicate doesn't matter here */
  for (int e = -12; e <= 6; e += 3) {
    const double mu = pow(10, e);
    for (size_t i = 0; i < N; i++) {
      w[i] = pow(3, -(double)i);
      log_delta[i] = 0.5 * (log(mu) - log(w[i]));
    }
    memset(normal, 0, sizeof normal);
    for (size_t j = 0; j < P; j++) {
      want[j] = 0;
      normal[j * P + j] = mu;
      for (size_t i = 0; i < N; i++) {
        want[j] += a[i * P + j] * w[i] * b[i];
        for (size_t k = 0; k < P; k++)
          normal[j * P + k] += a[i * P + j] * w[i] * a[i * P + k];
      }
    }
    bool singular;
    check(tb_lu_solve(context, P, normal, 1, want, &singular));
    solve(N, P, a, log_delta, b, x, &rank, &condition, &log_scale);
    assert_int_equal(rank, N);
    for (size_t j = 0; j < P; j++)
      assert_near(exp(log_scale) * x[j] / tb_norm(P, want), want[j] / tb_norm(P, want), 1e-13 + 1e-14 / mu);
  }
  /* weights e^{−10⁶}: the gradient direction, its size as a logarithm */
  for (size_t i = 0; i < N; i++)
    log_delta[i] = 0.5 * (1e6 + log(1e-3) - log(w[i]));
  for (size_t j = 0; j < P; j++) {
    want[j] = 0;
    for (size_t i = 0; i < N; i++)
      want[j] += a[i * P + j] * w[i] * b[i];
  }
  solve(N, P, a, log_delta, b, x, &rank, &condition, &log_scale);
  for (size_t j = 0; j < P; j++)
    assert_near(exp(log_scale + 1e6 + log(1e-3)) * x[j], want[j], 1e-9);
}

/* Reference: composite Gauss-Legendre would share the trapezoidal idea; a plain Simpson rule in long double doesn't
 * share the step: 2·10⁶ points. */
static void population_fisher(void **state) {
  const double rhos[] = { 0, 1e-9, .3, 1, 1.0000001, 2.5, 17, 1e3, 1e6 };
  for (size_t k = 0; k < sizeof rhos / sizeof *rhos; k++) {
    const double rho = rhos[k];
    const long double scale = rho > 1 ? rho : 1; /* u = scale·g on (0, 60) */
    enum { POINTS = 60000 };
    long double a = 0, c = 0;
    const long double h = 60.0L / POINTS;
    for (int i = 0; i <= POINTS; i++) {
      const long double u = i * h, g = u / scale, e = expl(-(rho > 1 ? u : rho * u));
      const long double weight = i == 0 || i == POINTS ? 1 : i % 2 ? 4 : 2;
      const long double value = weight * expl(-g * g / 2) * e / ((1 + e) * (1 + e));
      a += value;
      c += g * g * value;
    }
    const long double unit = 2 * h / 3 / sqrtl(2 * acosl(-1.0L)) / scale;
    double across, along;
    tb_population_fisher(rho, &across, &along);
    assert_near(across / (double)(a * unit), 1, 1e-13);
    assert_near(along / (double)(c * unit), 1, 1e-13);
  }
  double across, along;
  tb_population_fisher(0, &across, &along);
  assert_near(across, .25, 1e-15);
  assert_near(along, .25, 1e-15);
  tb_population_fisher(1e6, &across, &along);
  const double pi = acos(-1);
  assert_near(across * 1e6 * sqrt(2 * pi), 1, 1e-11);
  assert_near(along * 1e18 * sqrt(2 * pi) / (pi * pi / 3), 1, 1e-11);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(equals_the_pseudo_inverse),
    cmocka_unit_test(graded_columns_keep_their_accuracy),
    cmocka_unit_test(rank_is_found),
    cmocka_unit_test(a_ridge_is_damped_least_squares),
    cmocka_unit_test(population_fisher),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
