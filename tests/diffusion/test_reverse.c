/* Reverse samplers on Gaussian data, where the flow, the law of every chain and the likelihood have closed forms. */
#include "testing.h"

#include <math.h>

#include <tiebreak/random.h>

#include "diffusion/reverse.h"

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

static void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
    fail_msg("%.17g instead of %.17g", got, want);
}

static const tb_process vp = { TB_PROCESS_VP, 0.5, 0.1, 20, 1 };
static const tb_process processes[] = {
  { TB_PROCESS_VP, 0.5, 0.1, 20, 1 },
  { TB_PROCESS_SUBVP, 0.5, 0.1, 20, 1 },
  { TB_PROCESS_VE, 0.5, 0.01, 20, 1 },
  { TB_PROCESS_PINNED, 0.5, 0.1, 20, 1 },
};
static const tb_reverse_options usual = { .seed = 5, .snr = 0.16, .tolerance = 1e-10 };
static const double mean = 0.8, sd = 0.5, start = 0.999, end = 0.01;

static tb_noised *gaussian(size_t d) {
  double means[4], sds[4];
  tb_noised *noised;
  for (size_t i = 0; i < d; i++) {
    means[i] = mean;
    sds[i] = sd;
  }
  check(tb_noised_mixture(context, d, 1, (double[]){ 1 }, means, sds, &noised));
  return noised;
}

enum { ROWS = 20 };

/* RMS distance of the ends from the exact flow's */
static double flow_error(const char *name, const tb_process *process, size_t steps) {
  double x[ROWS], want[ROWS], *times = malloc((steps + 1) * sizeof *times), sum = 0;
  tb_noised *noised = gaussian(1);
  const tb_score score = tb_score_exact(noised);
  tb_reverse *r;
  tb_process_grid(process, TB_GRID_LOG_RATIO, start, end, steps, times);
  const tb_noising from = tb_process_at(process, start), to = tb_process_at(process, end);
  tb_random_normal((tb_key){ .seed = 1 }, 0, ROWS, x);
  for (int i = 0; i < ROWS; i++) {
    x[i] *= from.sigma;
    want[i] = tb_reverse_gaussian_map(&from, &to, mean, sd, x[i]);
  }
  check(tb_reverse_new(context, tb_reverse_sampler_find(name), process, &score, &usual, ROWS, &r));
  check(tb_reverse_walk(r, steps, times, x, NULL, NULL));
  for (int i = 0; i < ROWS; i++)
    sum += (x[i] - want[i]) * (x[i] - want[i]);
  tb_reverse_free(r);
  tb_noised_free(noised);
  free(times);
  return sqrt(sum / ROWS);
}

static void orders_of_flows(void **state) {
  static const char *const names[] = { "ddim", "heun", "dpmpp2m" };
  for (size_t p = 0; p < 4; p++) {
    for (size_t i = 0; i < 3; i++) {
      const double coarse = flow_error(names[i], &processes[p], 200), fine = flow_error(names[i], &processes[p], 400);
      near(log2(coarse / fine), tb_reverse_sampler_find(names[i])->order, 0.1);
      assert_true(fine < 0.05);
    }
    assert_true(flow_error("rk45", &processes[p], 1) < 1e-8);
  }
}

/* W2 between the chain's law and N(αm, α²s² + σ²) at the end, started at the exact law */
static double law_error(const char *name, const tb_process *process, size_t steps) {
  double *times = malloc((steps + 1) * sizeof *times), end_mean, end_sd;
  tb_process_grid(process, TB_GRID_UNIFORM, start, end, steps, times);
  const tb_noising from = tb_process_at(process, start), to = tb_process_at(process, end);
  check(tb_reverse_law(context, tb_reverse_sampler_find(name), process, &usual, steps, times, mean, sd,
                       from.alpha * mean, hypot(from.alpha * sd, from.sigma), &end_mean, &end_sd));
  free(times);
  return hypot(end_mean - to.alpha * mean, end_sd - hypot(to.alpha * sd, to.sigma));
}

static void orders_of_laws(void **state) {
  static const char *const names[] = { "em", "ancestral", "exponential" };
  for (size_t p = 0; p < 4; p++)
    for (size_t i = 0; i < 3; i++) {
      if (processes[p].kind == TB_PROCESS_VE)
        continue; /* a Gaussian at equal steps of λ: the leading term all but cancels */
      const double coarse = law_error(names[i], &processes[p], 400), fine = law_error(names[i], &processes[p], 800);
      near(log2(coarse / fine), 1, 0.05);
      assert_true(fine < 0.005);
    }
}

/* The law that tb_reverse_law follows is the one that walks have. */
static void laws_against_walks(void **state) {
  enum { MANY = 20000, STEPS = 12 };
  static const char *const names[] = { "em", "ancestral", "exponential", "pc" };
  static double x[MANY];
  double times[STEPS + 1], end_mean, end_sd;
  tb_noised *noised = gaussian(1);
  const tb_score score = tb_score_exact(noised);
  tb_process_grid(&vp, TB_GRID_UNIFORM, 1, end, STEPS, times);
  for (size_t n = 0; n < 4; n++) {
    const tb_reverse_sampler *sampler = tb_reverse_sampler_find(names[n]);
    tb_reverse *r;
    tb_random_normal((tb_key){ .seed = 2 }, 0, MANY, x);
    check(tb_reverse_new(context, sampler, &vp, &score, &usual, MANY, &r));
    check(tb_reverse_walk(r, STEPS, times, x, NULL, NULL));
    assert_int_equal(tb_reverse_evaluations(r), STEPS * (long)sampler->evaluations);
    tb_reverse_free(r);
    check(tb_reverse_law(context, sampler, &vp, &usual, STEPS, times, mean, sd, 0, 1, &end_mean, &end_sd));
    double sum = 0, squares = 0;
    for (int i = 0; i < MANY; i++)
      sum += x[i];
    sum /= MANY;
    for (int i = 0; i < MANY; i++)
      squares += (x[i] - sum) * (x[i] - sum);
    near(sum, end_mean, 4 * end_sd / sqrt(MANY));
    near(sqrt(squares / MANY), end_sd, 4 * end_sd / sqrt(2.0 * MANY));
  }
  tb_noised_free(noised);
}

static void likelihood_of_a_gaussian(void **state) {
  enum { D = 3 };
  double x[ROWS * D], probe[ROWS * D], got[ROWS], hutchinson[ROWS], want[ROWS];
  tb_noised *noised = gaussian(D);
  const tb_score score = tb_score_exact(noised);
  const tb_noising now = tb_process_at(&vp, 0);
  tb_random_normal((tb_key){ .seed = 4 }, 0, ROWS * D, x);
  for (int i = 0; i < ROWS * D; i++)
    probe[i] = i % 3 ? 1 : -1;
  tb_noised_at(noised, &now, ROWS, x, NULL, want, NULL, NULL);
  for (size_t p = 0; p < 4; p++) {
    const tb_process *process = &processes[p];
    check(tb_reverse_likelihood(context, process, &score, 0, start, 1e-10, NULL, noised, 1, ROWS, x, got));
    check(tb_reverse_likelihood(context, process, &score, 0, start, 1e-10, probe, noised, 1, ROWS, x, hutchinson));
    for (int i = 0; i < ROWS; i++) {
      near(got[i], want[i], 1e-7);
      near(hutchinson[i], want[i], 1e-7); /* the divergence of an isotropic Gaussian needs no luck */
    }
  }
  /* from pure noise: off by ln N(y; 0, 1)/p_T(y) at most */
  check(tb_reverse_likelihood(context, &vp, &score, 0, 1, 1e-10, NULL, NULL, 1, ROWS, x, got));
  for (int i = 0; i < ROWS; i++)
    near(got[i], want[i], 0.05);
  tb_noised_free(noised);
}

static void likelihood_of_others(void **state) {
  double x[2 * ROWS], got[ROWS], want[ROWS];
  const double means[] = { -1, 0.5, 1.2, -0.4 }, sds[] = { 0.5, 0.5, 0.8, 0.8 };
  const tb_noising now = tb_process_at(&vp, 0);
  tb_noised *noised[2];
  check(tb_noised_mixture(context, 2, 2, (double[]){ 0.3, 0.7 }, means, sds, &noised[0]));
  check(tb_noised_funnel(context, 2, 1, &noised[1]));
  tb_random_normal((tb_key){ .seed = 6 }, 0, 2 * ROWS, x);
  for (int n = 0; n < 2; n++) {
    const tb_score score = tb_score_exact(noised[n]);
    tb_noised_at(noised[n], &now, ROWS, x, NULL, want, NULL, NULL);
    check(tb_reverse_likelihood(context, &vp, &score, 0, 1, 1e-9, NULL, noised[n], 1, ROWS, x, got));
    for (int i = 0; i < ROWS; i++)
      near(got[i], want[i], 1e-6);
    tb_noised_free(noised[n]);
  }
}

static bool never(void *user, double fraction) {
  return false;
}

static void ends(void **state) {
  double x[1] = { 1 }, times[] = { 1, 0.5, 0.1 };
  tb_noised *noised = gaussian(1);
  const tb_score score = tb_score_exact(noised);
  tb_reverse *r;
  check(tb_reverse_new(context, tb_reverse_sampler_find("ddim"), &vp, &score, &usual, 1, &r));
  assert_int_equal(tb_reverse_walk(r, 2, times, x, never, NULL), TB_STOPPED);
  x[0] = INFINITY;
  assert_int_equal(tb_reverse_walk(r, 2, times, x, NULL, NULL), TB_FAILED);
  tb_reverse_free(r);
  tb_noised_free(noised);
  assert_null(tb_reverse_sampler_find("euler"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(orders_of_flows),      cmocka_unit_test(orders_of_laws),
    cmocka_unit_test(laws_against_walks),   cmocka_unit_test(likelihood_of_a_gaussian),
    cmocka_unit_test(likelihood_of_others), cmocka_unit_test(ends),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
