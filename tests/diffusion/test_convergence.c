/* Convergence of chains and weights against ArviZ on the same numbers, and against laws with a known tail. */
#include "testing.h"

#include <math.h>
#include <stdlib.h>

#include "diffusion/convergence.h"
#include "tiebreak/random.h"

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

enum { CHAINS = 4, LENGTH = 250, TOTAL = CHAINS * LENGTH };

/* Four autoregressive chains with shifted means, from a congruential generator that any language can repeat. */
static void make_chains(double *x) {
  uint64_t state = 7;
  for (int c = 0; c < CHAINS; c++) {
    double a = 0;
    for (int t = 0; t < LENGTH; t++) {
      double sum = -6;
      for (int k = 0; k < 12; k++) {
        state = (1103515245 * state + 12345) % 2147483648u;
        sum += ((double)state + 0.5) / 2147483648.0;
      }
      a = 0.6 * a + sum;
      x[c * LENGTH + t] = a + 0.1 * c;
    }
  }
}

/* Values of arviz_stats on the same chains. */
static void chains_are_as_in_arviz(void **state) {
  double x[TOTAL];
  tb_convergence c;
  make_chains(x);
  assert_int_equal(tb_chain_convergence(context, CHAINS, LENGTH, x, 1, &c), TB_OK);
  near(c.rhat, 1.0267211214182663, 1e-9);
  near(c.bulk, 221.63210637827453, 1e-9);
  near(c.tail, 473.19909133183637, 1e-9);
  near(c.mean, 219.39016134925467, 1e-9);
}

static void weights_are_as_in_arviz(void **state) {
  double x[TOTAL];
  tb_weighing w;
  make_chains(x);
  for (int i = 0; i < TOTAL; i++)
    x[i] *= 1.5;
  assert_int_equal(tb_weigh(context, 900, x, &w), TB_OK); /* 3√900 is whole: ArviZ rounds the tail down, loo up */
  near(w.khat, 0.7170577461061042, 1e-9);
}

/* w = u^{−k} has a Pareto tail of shape k; its estimate from 949 weights has standard error (1 + k)/√949. */
static void shape_of_a_pareto_tail(void **state) {
  enum { N = 100000 };
  double *x = malloc(N * sizeof *x);
  for (int k = 1; k < 10; k += 2) {
    tb_weighing w;
    tb_random_uniform((tb_key){ .seed = 3, .step = (uint32_t)k }, 0, N, x);
    for (int i = 0; i < N; i++)
      x[i] = -0.1 * k * log(x[i]);
    assert_int_equal(tb_weigh(context, N, x, &w), TB_OK);
    assert_true(fabs(w.khat - 0.1 * k) < 3 * (1 + 0.1 * k) / sqrt(949));
  }
  free(x);
}

/* Lognormal weights: ln E w = s²/2, and the standard error covers it. */
static void means_of_lognormal_weights(void **state) {
  enum { N = 20000 };
  double *x = malloc(N * sizeof *x);
  tb_weighing w;
  tb_random_normal((tb_key){ .seed = 4 }, 0, N, x);
  for (int i = 0; i < N; i++)
    x[i] = 1000 + 0.5 * x[i];
  assert_int_equal(tb_weigh(context, N, x, &w), TB_OK);
  near(w.log_mean_se, sqrt((exp(0.25) - 1) / N), 0.05 * 0.004);
  assert_true(fabs(w.log_mean - 1000.125) < 4 * w.log_mean_se);
  near(w.mean_log, 1000, 1e-5);
  near(w.effective / N, exp(-0.25), 0.02);
  free(x);
}

static void degenerate_draws(void **state) {
  double x[8] = { 1, 1, 1, 1, 1, 1, 1, 1 }, dead[3] = { -INFINITY, -INFINITY, -INFINITY };
  tb_convergence c;
  tb_weighing w;
  assert_int_equal(tb_chain_convergence(context, 2, 4, x, 1, &c), TB_OK);
  assert_true(isnan(c.rhat) && isnan(c.bulk));
  assert_int_equal(tb_chain_convergence(context, 2, 1, x, 1, &c), TB_OK);
  assert_true(isnan(c.rhat));
  assert_int_equal(tb_weigh(context, 3, dead, &w), TB_OK);
  assert_true(w.effective == 0 && w.log_mean == -INFINITY && isnan(w.khat));
  near(tb_khat_threshold(100), 0.5, 1e-12);
  near(tb_khat_threshold(1000000), 0.7, 1e-12);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(chains_are_as_in_arviz), cmocka_unit_test(weights_are_as_in_arviz),
    cmocka_unit_test(shape_of_a_pareto_tail), cmocka_unit_test(means_of_lognormal_weights),
    cmocka_unit_test(degenerate_draws),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
