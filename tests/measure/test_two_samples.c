/* Distances between samples against brute force on small ones and closed forms on Gaussians. */
#include "fixture.h"

#include "measure/two_samples.h"

static double kernel(size_t d, const double *a, const double *b, double h) {
  double r = 0;
  for (size_t j = 0; j < d; j++)
    r += pow(a[j] - b[j], 2);
  return exp(-r / (2 * h * h));
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* By the definition, pair by pair. */
static double plain_mmd(size_t d, size_t n, const double *x, size_t m, const double *y) {
  double pooled[64], distances[512], xx = 0, yy = 0, xy = 0;
  size_t pairs = 0;
  memcpy(pooled, x, n * d * sizeof *x);
  memcpy(pooled + n * d, y, m * d * sizeof *y);
  for (size_t i = 0; i < n + m; i++)
    for (size_t j = i + 1; j < n + m; j++) {
      double r = 0;
      for (size_t k = 0; k < d; k++)
        r += pow(pooled[i * d + k] - pooled[j * d + k], 2);
      distances[pairs++] = sqrt(r);
    }
  qsort(distances, pairs, sizeof *distances, ascending);
  const double h = pairs % 2 ? distances[pairs / 2] : 0.5 * (distances[pairs / 2 - 1] + distances[pairs / 2]);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      xx += i == j ? 0 : kernel(d, x + i * d, x + j * d, h) / (double)(n * (n - 1));
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < m; j++)
      yy += i == j ? 0 : kernel(d, y + i * d, y + j * d, h) / (double)(m * (m - 1));
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < m; j++)
      xy += kernel(d, x + i * d, y + j * d, h) / (double)(n * m);
  return sqrt(fmax(0, xx + yy - 2 * xy));
}

static void normals(uint64_t seed, size_t count, double shift, double scale, double *out) {
  tb_random_normal((tb_key){ .seed = seed, .use = tb_use("two samples") }, 0, count, out);
  for (size_t i = 0; i < count; i++)
    out[i] = shift + scale * out[i];
}

static void mmd_by_definition(void **state) {
  double x[24], y[24], got;
  for (size_t n = 2; n < 9; n++)
    for (size_t d = 1; d <= 3; d += 2) {
      normals(n, n * d, 0, 1, x);
      normals(n + 50, 7 * d, 1.5, 0.5, y);
      check(tb_mmd(context, d, n, x, 7, y, &got));
      assert_near(got, plain_mmd(d, n, x, 7, y), 1e-12);
    }
  check(tb_mmd(context, 1, 1, x, 7, y, &got));
  assert_true(isnan(got));
  check(tb_mmd(context, 2, 2, (double[4]){ 1, 1, 1, 1 }, 2, (double[4]){ 1, 1, 1, 1 }, &got));
  assert_true(isnan(got));
}

static double normal_cdf(double x) {
  return 0.5 * erfc(-x / sqrt(2));
}

/* N(0,1) against N(1,1): MMD² = 2h/√(h² + 2) (1 − e^{−1/(2(h² + 2))}), h from the law of pooled distances. */
static void mmd_of_gaussians(void **state) {
  enum { N = 500, SEEDS = 16 };
  static double x[N], y[N];
  double got, low = 0, high = 5;
  for (int i = 0; i < 60; i++) {
    const double h = 0.5 * (low + high), s = sqrt(2);
    const double below = 0.5 * (2 * normal_cdf(h / s) - 1) + 0.5 * (normal_cdf((h - 1) / s) - normal_cdf((-h - 1) / s));
    *(below < 0.5 ? &low : &high) = h;
  }
  double mean = 0;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    normals(2 * seed, N, 0, 1, x);
    normals(2 * seed + 1, N, 1, 1, y);
    check(tb_mmd(context, 1, N, x, N, y, &got));
    mean += got * got / SEEDS;
  }
  /* a standard error of the mean is about 0.006 */
  assert_near(mean, 2 * low / sqrt(low * low + 2) * (1 - exp(-0.5 / (low * low + 2))), 0.018);
}

static void transport_on_the_line(void **state) {
  const double x[] = { 0, 1, 3 }, y[] = { 0.5, 2 };
  /* thirds against halves: (0−.5)²/3 + (1−.5)²/6 + (1−2)²/6 + (3−2)²/3 */
  assert_near(tb_line_w2_squared(3, x, 2, y), 0.25 / 3 + 0.25 / 6 + 1.0 / 6 + 1.0 / 3, 1e-15);
  assert_near(tb_line_w2_squared(3, x, 3, x), 0, 0);
  /* brute force: the best of all pairings of equal samples, given out of order */
  double a[4], b[4], best = INFINITY, got;
  normals(3, 4, 0, 1, a);
  normals(4, 4, 0.7, 2, b);
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++)
      for (int k = 0; k < 4; k++) {
        const int l = 6 - i - j - k;
        if (i == j || i == k || j == k || l < 0 || l > 3 || l == i || l == j || l == k)
          continue;
        const double cost = pow(a[0] - b[i], 2) + pow(a[1] - b[j], 2) + pow(a[2] - b[k], 2) + pow(a[3] - b[l], 2);
        best = fmin(best, cost / 4);
      }
  check(tb_sliced_w2(context, 1, 4, a, 4, b, 512, (tb_key){ 1, 0, 0 }, &got));
  assert_near(got, sqrt(best), 1e-14);
}

static void sliced_transport(void **state) {
  enum { N = 400, D = 5 };
  static double x[N * D], y[N * D];
  double got;
  normals(5, N * D, 0, 1, x);
  /* a shift by v moves every projection by v·θ: mean of squares |v|²/d */
  for (int i = 0; i < N * D; i++)
    y[i] = x[i] + (i % D == 0 ? 2.0 : 0);
  check(tb_sliced_w2(context, D, N, x, N, y, 4000, (tb_key){ 1, 0, 0 }, &got));
  assert_near(got * got, 4.0 / D, 0.05);
  /* scaling by 2 in the plane: E W2² = mean of projected squares */
  for (int i = 0; i < N * D; i++)
    y[i] = 2 * x[i];
  check(tb_sliced_w2(context, D, N, x, N, y, 600, (tb_key){ 1, 0, 0 }, &got));
  assert_near(got, 1, 0.05);
  check(tb_sliced_w2(context, D, N, x, N, x, 600, (tb_key){ 1, 0, 0 }, &got));
  assert_near(got, 0, 0);
}

static void classifier(void **state) {
  enum { N = 500 };
  static double x[2 * N], y[2 * N];
  double same, apart, near, again;
  normals(6, 2 * N, 0, 1, x);
  normals(7, 2 * N, 0, 1, y);
  check(tb_c2st(context, 2, N, x, N, y, 1, &same));
  check(tb_c2st(context, 2, N, x, N, y, 1, &again));
  assert_true(same == again);
  assert_near(same, 0.5, 0.05); /* 3 standard errors */
  /* Bayes' accuracy of N(0, I) against N(m, I) is Φ(|m|/2) */
  for (int i = 0; i < N; i++)
    y[2 * i] += 1.5;
  check(tb_c2st(context, 2, N, x, N, y, 1, &near));
  assert_near(near, 0.5 * erfc(-0.75 / sqrt(2)), 0.04);
  for (int i = 0; i < N; i++)
    y[2 * i] += 20;
  check(tb_c2st(context, 2, N, x, N, y, 1, &apart));
  assert_near(apart, 1, 1e-9);
  check(tb_c2st(context, 2, 5, x, N, y, 1, &apart));
  assert_true(isnan(apart));
}

/* Not a matter of means or variances: two points against their middle and edges. */
static void classifier_of_shapes(void **state) {
  enum { N = 500 };
  static double x[N], y[N];
  double got;
  normals(8, N, 0, 0.2, x);
  normals(9, N, 0, 0.2, y);
  for (int i = 0; i < N; i++) {
    x[i] += i % 2 ? 1 : -1;                             /* two peaks */
    y[i] += i % 3 == 0 ? 0 : i % 3 == 1 ? 1.22 : -1.22; /* three, of the same variance */
  }
  check(tb_c2st(context, 1, N, x, N, y, 1, &got));
  assert_true(got > 0.65);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(mmd_by_definition), cmocka_unit_test(mmd_of_gaussians), cmocka_unit_test(transport_on_the_line),
    cmocka_unit_test(sliced_transport),  cmocka_unit_test(classifier),       cmocka_unit_test(classifier_of_shapes),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
