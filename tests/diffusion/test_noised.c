/* Noised targets: densities against plain quadrature of the convolution, gradients and Hessians against differences. */
#include "testing.h"

#include <math.h>

#include <tiebreak/random.h>

#include "diffusion/noised.h"

static tb_context *context;

static int set_up(void **state) {
  context = tb_context_new(NULL, NULL);
  return context ? 0 : -1;
}

static int tear_down(void **state) {
  tb_context_free(context);
  return 0;
}

static void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
    fail_msg("%.17g instead of %.17g", got, want);
}

static const double pi = 3.14159265358979323846;
static const tb_noising early = { 0, 0.98, 0.2, 0, 0 }, late = { 0, 0.4, 0.9, 0, 0 }, none = { 0, 1, 0, 0, 0 };

static double normal(double x, double sd) {
  return exp(-0.5 * x * x / (sd * sd)) / (sd * sqrt(2 * pi));
}

static double log_density(tb_noised *n, const tb_noising *at, const double *x) {
  double value;
  tb_noised_at(n, at, 1, x, NULL, &value, NULL, NULL);
  return value;
}

/* score, trace and uᵀHu against central differences of the density and of the score */
static void derivatives(tb_noised *n, const tb_noising *at, const double *x, double tolerance) {
  enum { MOST = 10 };
  const size_t d = tb_noised_dims(n);
  const double h = 1e-4;
  double score[MOST], high[MOST], low[MOST], u[MOST], moved[MOST], trace, quadratic, want_trace = 0, want = 0;
  for (size_t i = 0; i < d; i++)
    u[i] = i % 2 ? 1.0 : -0.7;
  tb_noised_at(n, at, 1, x, NULL, NULL, score, &trace);
  tb_noised_at(n, at, 1, x, u, NULL, NULL, &quadratic);
  for (size_t i = 0; i < d; i++) {
    memcpy(moved, x, d * sizeof *x);
    moved[i] = x[i] + h;
    const double above = log_density(n, at, moved);
    tb_noised_at(n, at, 1, moved, NULL, NULL, high, NULL);
    moved[i] = x[i] - h;
    const double below = log_density(n, at, moved);
    tb_noised_at(n, at, 1, moved, NULL, NULL, low, NULL);
    near(score[i], (above - below) / (2 * h), tolerance);
    want_trace += (high[i] - low[i]) / (2 * h);
  }
  for (int side = -1; side <= 1; side += 2) {
    for (size_t i = 0; i < d; i++)
      moved[i] = x[i] + side * h * u[i];
    tb_noised_at(n, at, 1, moved, NULL, NULL, high, NULL);
    for (size_t i = 0; i < d; i++)
      want += side * u[i] * high[i] / (2 * h);
  }
  near(trace, want_trace, tolerance);
  near(quadratic, want, tolerance);
}

static void mixture(void **state) {
  const double weights[] = { 1, 3 }, means[] = { -1, 0.5, 1.2, -0.4 }, sds[] = { 0.5, 0.3, 0.8, 0.6 };
  tb_noised *n, *line;
  assert_int_equal(tb_noised_mixture(context, 2, 2, weights, means, sds, &n), TB_OK);
  const double points[][2] = { { 0.3, 0.2 }, { -1.4, 0.9 }, { 3, -2 } };
  for (size_t i = 0; i < 3; i++) {
    derivatives(n, &none, points[i], 1e-6);
    derivatives(n, &early, points[i], 1e-6);
    derivatives(n, &late, points[i], 1e-6);
  }
  tb_noised_free(n);
  /* one dimension: ∫ π(x) N(y; αx, σ²) dx */
  assert_int_equal(tb_noised_mixture(context, 1, 2, weights, (double[]){ -1, 1.2 }, (double[]){ 0.5, 0.8 }, &line),
                   TB_OK);
  for (double y = -2; y <= 2; y += 0.8) {
    double total = 0;
    for (int i = -4000; i <= 4000; i++) {
      const double x = i * 2e-3;
      total += (0.25 * normal(x + 1, 0.5) + 0.75 * normal(x - 1.2, 0.8)) * normal(y - 0.98 * x, 0.2) * 2e-3;
    }
    near(log_density(line, &early, &y), log(total), 1e-10);
  }
  double mean, sd;
  assert_false(tb_noised_gaussian(line, &mean, &sd));
  tb_noised_free(line);
}

static void data_set(void **state) {
  const double weights[] = { 1, 1, 1 }, means[] = { 0, 0, 1, 1, 2, 0 };
  tb_noised *n;
  assert_int_equal(tb_noised_mixture(context, 2, 3, weights, means, NULL, &n), TB_OK);
  derivatives(n, &late, (double[]){ 0.4, 0.1 }, 1e-6);
  double score[2];
  const tb_noising little = { 0, 1, 0.01, 0, 0 };
  tb_noised_at(n, &little, 1, (double[]){ 1.003, 0.996 }, NULL, NULL, score, NULL);
  near(score[0], -0.003 / 1e-4, 1e-9);
  near(score[1], 0.004 / 1e-4, 1e-9);
  tb_noised_free(n);
}

static void funnel(void **state) {
  tb_noised *plane, *ten;
  assert_int_equal(tb_noised_funnel(context, 2, 3, &plane), TB_OK);
  assert_int_equal(tb_noised_funnel(context, 10, 3, &ten), TB_OK);
  const double points[][2] = { { 0.3, 0.2 }, { -3, 0.05 }, { 2.5, -6 }, { 0, 8 } };
  /* ∫ N(v; 0, 9) N(y_1; αv, σ²) N(y_2; 0, α²e^v + σ²) dv by a fine rectangle rule in v itself */
  const tb_noising *const times[] = { &early, &late };
  for (size_t t = 0; t < 2; t++)
    for (size_t i = 0; i < 4; i++) {
      double total = 0;
      const double a = times[t]->alpha, s = times[t]->sigma;
      for (int k = -30000; k <= 30000; k++) {
        const double v = k * 1e-3;
        total += normal(v, 3) * normal(points[i][0] - a * v, s) * normal(points[i][1], sqrt(a * a * exp(v) + s * s));
      }
      near(log_density(plane, times[t], points[i]), log(total * 1e-3), 1e-10);
    }
  /* without noise: the funnel's own density */
  near(log_density(plane, &none, points[0]), log(normal(0.3, 3)) + log(normal(0.2, exp(0.15))), 1e-13);
  for (size_t i = 0; i < 4; i++) {
    derivatives(plane, &none, points[i], 2e-5);
    derivatives(plane, &early, points[i], 1e-5);
    derivatives(plane, &late, points[i], 1e-5);
  }
  double wide[10];
  tb_random_normal((tb_key){ .seed = 3 }, 0, 10, wide);
  derivatives(ten, &early, wide, 1e-5);
  derivatives(ten, &late, wide, 1e-5);
  const tb_noising little = { 0, 1, 1e-5, 0, 0 };
  near(log_density(ten, &little, wide), log_density(ten, &none, wide), 1e-7);
  tb_noised_free(plane);
  tb_noised_free(ten);
}

static void cosine(void **state) {
  const double frequencies[] = { 1.5, 0, 0, 2, 1, 1 }, amplitudes[] = { 0.3, 0.25, -0.2 };
  tb_noised *n, *line;
  assert_int_equal(tb_noised_cosine(context, 2, 3, frequencies, amplitudes, &n), TB_OK);
  derivatives(n, &none, (double[]){ 0.3, -1 }, 1e-6);
  derivatives(n, &early, (double[]){ 0.3, -1 }, 1e-6);
  derivatives(n, &late, (double[]){ -2, 0.7 }, 1e-6);
  tb_noised_free(n);
  assert_int_equal(tb_noised_cosine(context, 1, 1, (double[]){ 1.5 }, (double[]){ 0.3 }, &line), TB_OK);
  for (double y = -2; y <= 2; y += 0.8) {
    double total = 0;
    for (int i = -4000; i <= 4000; i++) {
      const double x = i * 2e-3;
      total += normal(x, 1) * (1 + 0.3 * (cos(1.5 * x) - exp(-1.125))) * normal(y - 0.4 * x, 0.9) * 2e-3;
    }
    near(log_density(line, &late, &y), log(total), 1e-10);
  }
  tb_noised_free(line);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(mixture),
    cmocka_unit_test(data_set),
    cmocka_unit_test(funnel),
    cmocka_unit_test(cosine),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
