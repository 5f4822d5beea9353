/* Statistics against closed forms and against integrating the density. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tiebreak/statistics.h>

#include <math.h>
#include <string.h>

static void assert_near(double value, double truth, double tolerance) {
  if (!(fabs(value - truth) <= tolerance * fmax(1, fabs(truth))))
    fail_msg("%.17g, should be %.17g", value, truth);
}

static void means(void **state) {
  double x[] = { 1e16, 1, -1e16, 1 }, shifted[] = { 1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16 };
  assert_true(tb_mean_of(4, x) == 0.5);
  assert_true(isnan(tb_mean_of(0, x)));
  assert_true(tb_mean_of(2, (double[]){ INFINITY, 1 }) == INFINITY);
  assert_near(tb_sd_of(4, shifted), sqrt(30), 1e-15);
  assert_true(isnan(tb_sd_of(1, x)) && tb_sd_of(3, (double[]){ 2, 2, 2 }) == 0);
}

static void quantiles(void **state) {
  double x[] = { 4, 1, 3, 2 }, copy[4];
  memcpy(copy, x, sizeof x);
  assert_true(tb_quantile(4, x, 0) == 1 && tb_quantile(4, x, 1) == 4 && tb_quantile(4, x, 0.5) == 2.5);
  assert_near(tb_quantile(4, x, 0.1), 1.3, 1e-15);
  assert_memory_equal(x, copy, sizeof x);
  assert_true(tb_quantile(1, x, 0.3) == 4);
  assert_true(isnan(tb_quantile(0, x, 0.5)) && isnan(tb_quantile(4, x, 1.5)));
  assert_true(tb_quantile(3, (double[]){ INFINITY, INFINITY, 0 }, 0.75) == INFINITY);
}

/* P(0 < T < t) by Simpson's rule in long double. */
static double central(double t, double nu) {
  enum { PIECES = 20000 };
  long double sum = 0, h = (long double)t / PIECES;
  long double norm = expl(lgammal((nu + 1) / 2) - lgammal((long double)nu / 2)) / sqrtl(nu * acosl(-1));
  for (int i = 0; i <= PIECES; i++) {
    long double x = i * h, f = powl(1 + x * x / nu, -(nu + 1) / 2.0L);
    sum += (i == 0 || i == PIECES ? 1 : i % 2 ? 4 : 2) * f;
  }
  return (double)(norm * sum * h / 3);
}

static void student(void **state) {
  double p[] = { 0.975, 0.6, 0.999, 0.01, 1e-6, 0.5 };
  for (int i = 0; i < 6; i++) {
    assert_near(tb_student_quantile(p[i], 1), p[i] == 0.5 ? 0 : -1 / tan(M_PI * p[i]), 1e-13);
    assert_near(tb_student_quantile(p[i], 2), (2 * p[i] - 1) / sqrt(2 * p[i] * (1 - p[i])), 1e-13);
  }
  assert_near(tb_student_quantile(0.975, 10), 2.2281388519862747, 1e-14);
  assert_near(tb_student_quantile(0.975, 20), 2.0859634472658648, 1e-14);
  double freedom[] = { 1.5, 3, 4, 7, 19, 100, 3000 };
  for (int i = 0; i < 7; i++)
    for (int k = 0; k < 3; k++)
      assert_near(central(tb_student_quantile(p[k], freedom[i]), freedom[i]), p[k] - 0.5, 1e-11);
  assert_near(tb_student_quantile(0.975, 1e9), 1.959963984540054, 1e-8); /* the normal law's */
  assert_true(isnan(tb_student_quantile(0, 3)) && isnan(tb_student_quantile(0.3, 0)));
}

static void interval(void **state) {
  double x[] = { 1, 2, 3, 4, 5 }, low, high, half = 2.7764451051977944 * sqrt(2.5) / sqrt(5);
  tb_mean_interval(5, x, 0.95, &low, &high);
  assert_near(low, 3 - half, 1e-14);
  assert_near(high, 3 + half, 1e-14);
  tb_mean_interval(1, x, 0.95, &low, &high);
  assert_true(isnan(low) && isnan(high));
}

static void rank_correlation(void **state) {
  const double x[] = { 1, 2, 3, 4, 5 }, up[] = { -3, 0, 1, 9, INFINITY }, ties[] = { 2, 2, 1, 3, 3 };
  const double down[] = { 5, 4, 3, 2, -INFINITY }, same[] = { 7, 7, 7, 7, 7 };
  assert_near(tb_rank_correlation(5, x, up), 1, 1e-15);
  assert_near(tb_rank_correlation(5, x, down), -1, 1e-15);
  /* ranks 2.5 2.5 1 4.5 4.5: Σ (r − 3)(i − 3) = 6, Σ (r − 3)² = 9, Σ (i − 3)² = 10 */
  assert_near(tb_rank_correlation(5, x, ties), 6 / sqrt(90), 1e-15);
  assert_true(isnan(tb_rank_correlation(5, x, same)) && isnan(tb_rank_correlation(1, x, x)));
  assert_true(isnan(tb_rank_correlation(2, x, (double[]){ NAN, 1 })));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(means),    cmocka_unit_test(quantiles),        cmocka_unit_test(student),
    cmocka_unit_test(interval), cmocka_unit_test(rank_correlation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
