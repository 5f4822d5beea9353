/* Controlled samplers: affine controls against closed forms (ELBO, EUBO, E[w] = Z at any number of steps), training
 * that closes the gap, densities from outside, the log-variance gradient on held paths. */
#include "testing.h"

#include <math.h>
#include <stdio.h>

#include "diffusion/control.h"
#include "diffusion/rollout.h"

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

/* ---- a sampler at work ---- */

static void no_progress(void *user, double fraction, const char *what) {}

static bool never(void *user) {
  return false;
}

static tb_status no_stop(void *user) {
  return TB_OK;
}

static tb_status no_save(void *user, const void *data, size_t size) {
  return TB_OK;
}

static tb_status no_load(void *user, const void **data, size_t *size) {
  *data = NULL;
  return TB_OK;
}

static const tb_option own_options[] = {
  { "dtype", TB_CHOICE, "float64", "float32|float64", 1, 0, false, "", NULL, NULL },
  { "draws", TB_INTEGER, "1000", NULL, 1, 1e9, false, "", NULL, NULL },
};
static const tb_option_table own = { "test", own_options, 2 };
static const tb_option_table *const tables[] = { &tb_target_options, &tb_control_options, &own };

typedef struct job {
  tb_config *config;
  tb_density *density;
  tb_arena *arena;
  tb_draws draws;
} job;

static job start(const char *words) {
  job j = { .arena = tb_arena_new(context) };
  char *copy = strdup(words), *rest = copy;
  check(tb_config_new(context, 3, tables, &j.config));
  for (char *word; (word = strsep(&rest, " "));) {
    char *value = strchr(word, '=');
    *value++ = 0;
    check(tb_config_set(j.config, word, value, "test"));
  }
  free(copy);
  check(tb_density_open(context, j.config, &j.density));
  return j;
}

static void work(job *j, const tb_sampler *sampler) {
  const tb_sampling s = { .context = context,
                          .arena = j->arena,
                          .config = j->config,
                          .density = j->density,
                          .seed = 3,
                          .draws = (size_t)tb_config_integer(j->config, "draws"),
                          .progress = no_progress,
                          .should_stop = never,
                          .stop_status = no_stop,
                          .checkpoint_due = never,
                          .checkpoint_save = no_save,
                          .checkpoint_load = no_load };
  check(sampler->check ? sampler->check(context, j->config, j->density) : TB_OK);
  check(sampler->run(&s, &j->draws));
}

static void finish(job *j) {
  tb_density_close(j->density);
  tb_config_free(j->config);
  tb_arena_free(j->arena);
}

/* ---- affine controls ---- */

typedef struct moments {
  double elbo, eubo;
} moments;

static double log_normal_mean(double m, double v, double at, double s) { /* E ln N(y; at, s²), y ~ N(m, v) */
  return -0.5 * log(2 * 3.14159265358979323846 * s * s) - 0.5 * ((m - at) * (m - at) + v) / (s * s);
}

/* One dimension, target N(mean, sd²), f = a y + b: E_Q and E_P of ln w by the moments of the chain. */
static moments exact(const tb_chain *c, double a, double b, double mean, double sd) {
  double m = 0, v = c->start * c->start, cost = 0;
  moments out;
  for (size_t k = 0; k < c->steps; k++) {
    const double r = c->push[k] / c->shake[k], slope = c->keep[k] + c->push[k] * a;
    cost += 0.5 * r * r * (a * a * v + (a * m + b) * (a * m + b));
    m = slope * m + c->push[k] * b;
    v = slope * slope * v + c->shake[k] * c->shake[k];
  }
  out.elbo = log_normal_mean(m, v, mean, sd) - log_normal_mean(m, v, 0, c->sigma) - cost;
  m = mean;
  v = sd * sd;
  out.eubo = log_normal_mean(m, v, mean, sd) - log_normal_mean(m, v, 0, c->sigma);
  for (size_t k = c->steps; k-- > 0;) { /* y = bk y' + bs z;  ln w −= [u (y' − keep y) − u²/2]/shake², u = push f(y) */
    const double bk = c->back_keep[k], bs = c->back_shake[k], s2 = c->shake[k] * c->shake[k];
    const double pm = bk * m, pv = bk * bk * v + bs * bs, both = bk * (v + m * m); /* E y y' */
    const double second = pv + pm * pm;
    const double product = a * both + b * m - c->keep[k] * (a * second + b * pm);
    const double square = a * a * second + 2 * a * b * pm + b * b;
    out.eubo -= (c->push[k] * product - 0.5 * c->push[k] * c->push[k] * square) / s2;
    m = pm;
    v = pv;
  }
  return out;
}

static void within(double got, double se, double want, const char *what) {
  if (!(fabs(got - want) <= 4 * se + 1e-9 && se < 0.1))
    fail_msg("%s: %.6g ± %.2g instead of %.6g", what, got, se, want);
}

static void test_affine(void **state) {
  const char *const words[] = { "steps=1 time=0.5", "steps=4 time=1 grid=uniform",
                                "steps=8 time=2 grid=linear dtype=float32", "steps=32 time=2 grid=exp",
                                "steps=12 time=1 published_quirks=grid" };
  const tb_sampler *const samplers[] = { &tb_sampler_dds, &tb_sampler_pis };
  for (size_t i = 0; i < 5; i++)
    for (size_t k = 0; k < 2; k++) {
      char line[200];
      tb_chain chain;
      snprintf(line, sizeof line, "target=gaussian d=1 mean=0.4 sd=0.8 sigma=1.2 affine=-0.2,0.3 draws=20000 %s",
               words[i]);
      job j = start(line);
      work(&j, samplers[k]);
      check(tb_control_chain(context, j.arena, j.config, k ? TB_CHAIN_PIS : TB_CHAIN_DDS, &chain));
      const moments want = exact(&chain, -0.2, 0.3, 0.4, 0.8);
      assert_true(want.elbo <= 0 && want.eubo >= 0);
      within(j.draws.elbo, j.draws.elbo_se, want.elbo, "elbo");
      within(j.draws.eubo, j.draws.eubo_se, want.eubo, "eubo");
      within(j.draws.log_z, j.draws.log_z_se, 0, "log Z");
      assert_true(j.draws.ess <= 20000 && j.draws.ess > 100);
      finish(&j);
    }
}

/* The grids by their definitions. */
static void test_grids(void **state) {
  job j = start("target=gaussian steps=128 sigma=1.075 alpha=0.6875 published_quirks=grid");
  tb_chain c;
  double total = 0;
  check(tb_control_chain(context, j.arena, j.config, TB_CHAIN_DDS, &c));
  assert_true(c.steps == 128 && fabs(c.apart[0] - 0.13472) < 1e-5 && c.apart[127] < 1e-10);
  check(tb_config_set(j.config, "published_quirks", "none", "test"));
  check(tb_control_chain(context, j.arena, j.config, TB_CHAIN_DDS, &c));
  for (size_t k = 0; k < 128; k++) {
    total += c.apart[k];
    assert_true(c.apart[k] > 1e-9 && (k == 0 || c.apart[k] < c.apart[k - 1]));
    assert_true(fabs(c.beta[k] - fmin(0.6875 * sqrt(c.apart[k]), 1)) < 1e-15);
    assert_true(fabs(c.keep[k] * c.keep[k] + c.beta[k] * c.beta[k] - 1) < 1e-14);
  }
  assert_true(fabs(total - 6.4) < 1e-12);
  check(tb_config_set(j.config, "grid", "uniform", "test"));
  check(tb_config_set(j.config, "published_quirks", "grid", "test"));
  check(tb_control_chain(context, j.arena, j.config, TB_CHAIN_DDS, &c));
  assert_int_equal(c.steps, 127);
  finish(&j);
}

/* ---- training ---- */

/* A density from outside: the same numbers, but no graph and no draws. */
static tb_density *inside;

static tb_status evaluate(tb_density *density, size_t n, const double *x, double *value, double *gradient) {
  return tb_density_values(inside, n, x, value, gradient);
}

static const tb_target outside = { .name = "outside", .evaluate = evaluate };

static void test_training(void **state) {
  const char *const words[] = { "loss=kl", "loss=lv lr=0.02" };
  const tb_sampler *const samplers[] = { &tb_sampler_dds, &tb_sampler_pis };
  for (int guest = 0; guest < 2; guest++)
    for (size_t i = 0; i < 2; i++)
      for (size_t k = 0; k < 2; k++) {
        char line[200];
        snprintf(
            line, sizeof line,
            "target=gaussian d=2 mean=1,-0.5 sd=0.6 steps=8 time=1.6 width=8 batch=64 iterations=150 draws=4000 %s",
            words[i]);
        job j = start(line);
        tb_density *own_density = j.density, guest_density = *j.density;
        inside = own_density;
        guest_density.target = &outside;
        if (guest)
          j.density = &guest_density;
        work(&j, samplers[k]);
        j.density = own_density;
        if (!(j.draws.elbo > -0.35 && j.draws.elbo <= 3 * j.draws.elbo_se)) /* without control: about −1.5 */
          fail_msg("%s %s %d: elbo %g", samplers[k]->name, words[i], guest, j.draws.elbo);
        within(j.draws.log_z, j.draws.log_z_se, 0, "log Z");
        assert_true(guest ? isnan(j.draws.eubo) : j.draws.eubo > -3 * j.draws.eubo_se);
        finish(&j);
      }
}

/* The training-free sampler: nearly tight on a mixture, tighter with more inner draws, E[w] = Z with any. */
static void test_sfs(void **state) {
  const char *const references[] = { "reference=brownian grid=uniform time=1",
                                     "reference=ou grid=uniform time=3 alpha=1.2 steps=40" };
  for (int k = 0; k < 2; k++) {
    double elbo[2];
    for (int i = 0; i < 2; i++) {
      char line[300];
      snprintf(line, sizeof line,
               "target=mixture means=-0.7,0.2/0.8,-0.5 sds=0.5,0.7 weights=0.4,0.6 steps=24 draws=500 inner=%d %s",
               i ? 128 : 4, references[k]);
      job j = start(line);
      work(&j, &tb_sampler_sfs);
      within(j.draws.log_z, j.draws.log_z_se, 0, "log Z");
      assert_true(j.draws.elbo < 3 * j.draws.elbo_se && j.draws.eubo > -3 * j.draws.eubo_se);
      elbo[i] = j.draws.elbo;
      finish(&j);
    }
    if (!(elbo[1] > elbo[0] && elbo[1] > -0.1))
      fail_msg("%s: elbo %g, %g", references[k], elbo[0], elbo[1]);
  }
}

/* ---- the log-variance gradient ---- */

enum { D = 2, H = 4, K = 3, B = 5, MOST = 400 };
static const tb_drift_shape net = { .dims = D, .width = H, .layers = 1 };

/* ln w of the paths that θ₀ makes, under the control of θ: one program with both. */
static void test_log_variance(void **state) {
  const size_t p = tb_drift_parameters(&net);
  double numbers[TB_CHAIN_ARRAYS * K], theta[MOST], gradient[MOST], value;
  tb_chain chain;
  assert_true(p <= MOST);
  tb_chain_fill(TB_CHAIN_DDS, TB_CHAIN_COS4, false, K, 1, 1.1, 0.9, numbers, &chain);
  const tb_density funnel = tb_density_funnel(D, 1);
  tb_rollout_shape shape = { .drift = net, .chain = &chain, .batch = B, .density = &funnel, .held = true };
  const int32_t key[3] = { 1, 2, 3 };
  tb_random_normal((tb_key){ .seed = 8 }, 0, p, theta);
  for (size_t i = 0; i < p; i++)
    theta[i] *= 0.4;
  tb_graph *g;
  tb_program *program;
  check(tb_graph_new(context, &g));
  const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ 1, p });
  tb_rollout r = tb_rollout_build(g, &shape, t, tb_input(g, "key", TB_INT32, 1, (size_t[]){ 3 }));
  tb_value out[2] = { tb_rollout_log_variance(g, &r, tb_rollout_terminal(g, &shape, &r, &funnel)) };
  check(tb_gradient(g, tb_sum(g, out[0]), 1, &t, &out[1]));
  check(tb_program_new(context, g, 2, out, NULL, &program));
  check(tb_program_run(program, 2, (const void *[]){ theta, key }, 2, (void *[]){ &value, gradient }));
  tb_program_free(program);
  tb_graph_free(g);

  /* the paths and their noise, from the scan stopped after each number of steps */
  double y[K + 1][B * D], log_weight[B];
  for (size_t k = 0; k <= K; k++)
    tb_random_normal((tb_key){ 1 + (2ull << 32), 3, tb_use("start of the chain") }, 0, B * D, y[k]);
  for (size_t i = 0; i < B * D; i++)
    y[0][i] *= chain.start;
  for (int side = -1; side < 2 * (int)p; side++) { /* −1: makes the paths; then each entry of θ up and down */
    static double loss[2];
    double moved[MOST], f[B * D], noise[B * D];
    memcpy(moved, theta, p * sizeof *theta);
    if (side >= 0)
      moved[side / 2] += side % 2 ? -1e-5 : 1e-5;
    memset(log_weight, 0, sizeof log_weight);
    check(tb_graph_new(context, &g));
    const tb_value th = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ 1, p });
    const tb_value place = tb_input(g, "y", TB_FLOAT64, 3, (size_t[]){ 1, B, D });
    const size_t steps = K;
    const tb_drift drift = tb_drift_prepare(g, &net, th, tb_constant(g, TB_FLOAT64, 1, &steps, chain.times));
    tb_value fs[K];
    for (size_t k = 0; k < K; k++) {
      const tb_value bias = tb_reshape(g, tb_slice(g, drift.bias, 0, k, 1), 3, (size_t[]){ 1, 1, H });
      const tb_value gate = tb_reshape(g, tb_slice(g, drift.gate, 0, k, 1), 3, (size_t[]){ 1, 1, D });
      fs[k] = tb_drift_step(g, &net, drift.weights, bias, gate, place, tb_density_score(&funnel, g, place));
    }
    check(tb_program_new(context, g, K, fs, NULL, &program));
    for (size_t k = 0; k < K; k++) {
      double all[K][B * D];
      check(tb_program_run(program, 2, (const void *[]){ moved, y[k] }, K, (void *[]){ all[0], all[1], all[2] }));
      memcpy(f, all[k], sizeof f);
      tb_random_normal((tb_key){ 1 + (2ull << 32), (uint32_t)(3 * K + k), tb_use("noise of the chain") }, 0, B * D,
                       noise);
      for (size_t i = 0; i < B * D; i++) {
        if (side < 0)
          y[k + 1][i] = chain.keep[k] * y[k][i] + chain.push[k] * f[i] + chain.shake[k] * noise[i];
        const double u = chain.push[k] * f[i];
        log_weight[i / D] -= u * (y[k + 1][i] - chain.keep[k] * y[k][i] - 0.5 * u) / (chain.shake[k] * chain.shake[k]);
      }
    }
    tb_program_free(program);
    tb_graph_free(g);
    double mean = 0, variance = 0;
    for (size_t i = 0; i < B; i++) {
      const double *e = y[K] + i * D;
      log_weight[i] +=
          -0.5 * (e[0] * e[0] + e[0] + e[1] * e[1] * exp(-e[0])) + 0.5 * (e[0] * e[0] + e[1] * e[1]) / 1.21;
      mean += log_weight[i] / B;
    }
    for (size_t i = 0; i < B; i++)
      variance += (log_weight[i] - mean) * (log_weight[i] - mean) / (B - 1);
    if (side < 0) {
      if (!(fabs(variance - value) < 1e-10 * fmax(1, value)))
        fail_msg("%.15g instead of %.15g", value, variance);
      continue;
    }
    loss[side % 2] = variance;
    const double want = (loss[0] - loss[1]) / 2e-5;
    if (side % 2 && !(fabs(gradient[side / 2] - want) < 1e-6 * fmax(1, fabs(want))))
      fail_msg("entry %d: %.12g instead of %.12g", side / 2, gradient[side / 2], want);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_affine), cmocka_unit_test(test_grids),
                                      cmocka_unit_test(test_training), cmocka_unit_test(test_sfs),
                                      cmocka_unit_test(test_log_variance) };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
