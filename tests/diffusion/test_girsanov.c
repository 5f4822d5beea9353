/* Path divergences against closed forms on a Gaussian, each against its own second estimate, and published sizes of the
 * constructed network's. */
#include "testing.h"

#include <math.h>

#include "diffusion/constructed.h"
#include "diffusion/girsanov.h"
#include "diffusion/marginal.h"

static tb_context *context;

static int set_up(void **state) {
  context = tb_context_new(NULL, NULL);
  return context ? 0 : -1;
}

static int tear_down(void **state) {
  tb_context_free(context);
  return 0;
}

static void check(tb_status status) {
  if (status != TB_OK)
    fail_msg("%s: %s", tb_context_place(context), tb_context_message(context));
}

/* value within `errors` standard errors and `slack` of want */
static void agrees(tb_estimated got, double want, double errors, double slack) {
  if (!(fabs(got.value - want) <= errors * got.se + slack))
    fail_msg("%.6g ± %.2g instead of %.6g", got.value, got.se, want);
}

static const double one = 1, half = 0.5;
static const tb_family gaussian = { 1, 1, 1, &one, &one, &half, NULL };

/* v̂ = slope·x + offset */
typedef struct affine {
  double slope, offset;
} affine;

static tb_status affine_at(void *user, double t, size_t n, const double *x, double *drift) {
  const affine *a = user;
  for (size_t i = 0; i < n; i++)
    drift[i] = a->slope * x[i] + a->offset;
  return TB_OK;
}

static double gaussian_kl(double m, double v, double n, double w) {
  return 0.5 * (v / w + (m - n) * (m - n) / w - 1 - log(v / w));
}

/* N(1, ½²) under OU from p_1 with an affine drift: both directions by integrating the moments. */
static void exact(tb_diffusion process, affine a, double *forward, double *reverse, double *mean, double *variance) {
  enum { STEPS = 20000 };
  const double h = 1.0 / STEPS;
  double m = process == TB_DIFFUSION_OU ? exp(-1) : 0, v = process == TB_DIFFUSION_OU ? exp(-2) * 0.25 - expm1(-2) : 0;
  *forward = *reverse = 0;
  for (int k = 0; k < STEPS; k++) { /* midpoint rule in time */
    const double t = (k + 0.5) * h, s = process == TB_DIFFUSION_OU ? 1 - t : t;
    const double keep = process == TB_DIFFUSION_OU ? exp(-s) : s;
    const double spread = process == TB_DIFFUSION_OU ? -expm1(-2 * s) : s * (1 - s);
    const double pm = keep, pv = keep * keep * 0.25 + spread;
    double x[2] = { 0, 1 }, g[2];
    for (int i = 0; i < 2; i++)
      tb_semigroup(&gaussian, tb_smoothing_at(process, s), &x[i], &g[i]);
    const double e = g[1] - g[0] - a.slope, f = g[0] - a.offset; /* v − v̂ = e x + f */
    const double rate = process == TB_DIFFUSION_OU ? 1 : 0.5;
    *forward += h * rate * (e * e * pv + (e * pm + f) * (e * pm + f));
    /* Q: dy = (p y + q) dt + √r dW */
    const double p = process == TB_DIFFUSION_OU ? -1 + 2 * a.slope : a.slope;
    const double q = process == TB_DIFFUSION_OU ? 2 * a.offset : a.offset, r = process == TB_DIFFUSION_OU ? 2 : 1;
    const double mm = m + h / 2 * (p * m + q), vm = v + h / 2 * (2 * p * v + r);
    *reverse += h * rate * (e * e * vm + (e * mm + f) * (e * mm + f));
    m += h * (p * mm + q);
    v += h * (2 * p * vm + r);
  }
  *mean = m;
  *variance = v;
}

static void test_gaussian(void **state) {
  const affine maps[] = { { 0, 0 }, { 0.3, -0.4 } };
  for (int process = TB_DIFFUSION_OU; process <= TB_DIFFUSION_BROWNIAN; process++)
    for (size_t k = 0; k < 2; k++) {
      affine a = maps[k];
      const tb_girsanov g = { context, &gaussian, (tb_diffusion)process, { &a, affine_at }, 7, 8000, 64 };
      double forward, reverse, unused[2];
      tb_estimated kl, weights;
      exact((tb_diffusion)process, a, &forward, &reverse, &unused[0], &unused[1]);
      if (process == TB_DIFFUSION_OU && k == 0) {
        assert_true(fabs(forward - 0.748) < 5e-4 && fabs(reverse - 2.343) < 5e-4);
        assert_true(fabs(forward -
                         (gaussian_kl(1, 0.25, 0, 1) - gaussian_kl(exp(-1), 0.25 * exp(-2) - expm1(-2), 0, 1))) < 1e-6);
      }
      check(tb_girsanov_forward(&g, &kl));
      agrees(kl, forward, 3.5, 1e-6);
      check(tb_girsanov_forward_weights(&g, &kl));
      agrees(kl, forward, 3.5, 2e-3);
      check(tb_girsanov_reverse(&g, &kl, &weights));
      agrees(kl, reverse, 3.5, 4e-3 * reverse);
      agrees(weights, reverse, 3.5, 4e-3 * reverse);
    }
}

/* The end of Q from its moments in continuous time, against the law carried on a grid: the published .692 too. */
static void test_marginal(void **state) {
  for (int process = TB_DIFFUSION_OU; process <= TB_DIFFUSION_BROWNIAN; process++)
    for (int k = 0; k < 2; k++) {
      affine a = { k * 0.3, k * -0.4 };
      const tb_girsanov g = { context, &gaussian, (tb_diffusion)process, { &a, affine_at }, 7, 100, 64 };
      double kl, reverse, unused[2], m, v;
      exact((tb_diffusion)process, a, &unused[0], &unused[1], &m, &v);
      check(tb_marginal_kl(&g, &kl, &reverse));
      agrees((tb_estimated){ kl, 0 }, gaussian_kl(1, 0.25, m, v), 0, 3e-4);
      agrees((tb_estimated){ reverse, 0 }, gaussian_kl(m, v, 1, 0.25), 0, 3e-4);
      if (process == TB_DIFFUSION_OU && k == 0)
        assert_true(fabs(kl - 0.692) < 5e-4);
    }
}

static void test_reference(void **state) {
  tb_estimated kl;
  for (double t = 0; t < 2; t += 0.5) {
    const double keep = exp(-t);
    check(tb_reference_kl(context, &gaussian, t, &kl));
    agrees(kl, gaussian_kl(keep, keep * keep * 0.25 + 1 - keep * keep, 0, 1), 0, 1e-9);
  }
}

/* ---- the construction on A1 ---- */

static const double frequency[8] = { 0, 0, 1.5, 0, 0, 2, 1, 1 };
static const double zeros[8] = { 0 }, ones[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };

static tb_status constructed_at(void *user, double t, size_t n, const double *x, double *drift) {
  const tb_constructed *net = user;
  double table[8];
  const bool has = tb_constructed_table(net, t, table);
  for (size_t i = 0; i < n; i++)
    tb_constructed_drift(net, t, has ? table : NULL, x + 2 * i, drift + 2 * i);
  return TB_OK;
}

static void test_construction(void **state) {
  enum { N = 256, REPEATS = 12 };
  const double a[4] = { 1 - 0.3 * exp(-1.125) - 0.25 * exp(-2) + 0.2 * exp(-1), 0.3, 0.25, -0.2 };
  const tb_family f = { 2, 4, 1, a, zeros, ones, frequency };
  double points[2 * N], sum = 0, square = 0;
  for (uint64_t seed = 0; seed < REPEATS; seed++) {
    tb_constructed net = { &f, NULL, TB_DIFFUSION_OU, N, points, 20, 0, 0, 0, 0, 0 };
    const tb_girsanov g = { context, &f, TB_DIFFUSION_OU, { &net, constructed_at }, seed, 500, 16 };
    tb_estimated kl;
    tb_constructed_points(seed, N, 2, points);
    check(tb_girsanov_forward(&g, &kl));
    sum += kl.value / REPEATS;
    square += kl.value * kl.value / REPEATS;
  }
  tb_estimated reference;
  check(tb_reference_kl(context, &f, 0, &reference));
  agrees(reference, 0.0267869, 0, 1e-7); /* published, by quadrature */
  const double se = sqrt((square - sum * sum) / (REPEATS - 1));
  if (fabs(sum - 2.61e-4) > 3 * hypot(se, 0.38e-4)) /* published 2.61e-4 ± 0.38e-4 */
    fail_msg("%g ± %g", sum, se);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_gaussian), cmocka_unit_test(test_marginal),
                                      cmocka_unit_test(test_reference), cmocka_unit_test(test_construction) };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
