/* Samplers against closed forms: moments within their own errors, normalisers, the same bits after a stop. */
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "densities.h"
#include "diffusion/sampler.h"

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

/* ---- a watcher that stops after some questions, and keeps the checkpoint ---- */

typedef struct watcher {
  long patience; /* questions until it asks to stop; −1: never */
  void *block;
  size_t size;
} watcher;

static void progress(void *user, double fraction, const char *what) {
  assert_true(fraction >= 0 && fraction <= 1 && what[0]);
}
static bool should_stop(void *user) {
  watcher *w = user;
  return w->patience >= 0 && w->patience-- == 0;
}
static tb_status stop_status(void *user) {
  return TB_STOPPED;
}
static bool checkpoint_due(void *user) {
  return true;
}
static tb_status checkpoint_save(void *user, const void *data, size_t size) {
  watcher *w = user;
  free(w->block);
  w->block = malloc(size);
  memcpy(w->block, data, size);
  w->size = size;
  return TB_OK;
}
static tb_status checkpoint_load(void *user, const void **data, size_t *size) {
  watcher *w = user;
  *data = w->block;
  *size = w->size;
  return TB_OK;
}

static const tb_option own[] = {
  { "draws", TB_INTEGER, "1000", NULL, 1, 0, false, "", NULL, NULL },
  { "sigma", TB_REAL, "1", NULL, 1, 0, false, "", NULL, NULL },
};
static const tb_option_table sampling = { "test", own, 2 };

typedef struct bench {
  tb_config *config;
  tb_arena *arena;
  tb_sampling s;
  watcher watcher;
} bench;

static void open_bench(bench *b, const char *const *words) {
  const tb_option_table *const tables[] = { &sampling, &tb_target_options, &tb_mcmc_options, &tb_smc_options };
  memset(b, 0, sizeof *b);
  b->watcher.patience = -1;
  check(tb_config_new(context, 4, tables, &b->config));
  for (; *words; words++) {
    char key[64];
    const size_t length = strcspn(*words, "=");
    snprintf(key, sizeof key, "%.*s", (int)length, *words);
    check(tb_config_set(b->config, key, *words + length + 1, "test"));
  }
  b->arena = tb_arena_new(context);
  b->s = (tb_sampling){ .context = context,
                        .arena = b->arena,
                        .config = b->config,
                        .seed = 1,
                        .draws = (size_t)tb_config_integer(b->config, "draws"),
                        .user = &b->watcher,
                        .progress = progress,
                        .should_stop = should_stop,
                        .stop_status = stop_status,
                        .checkpoint_due = checkpoint_due,
                        .checkpoint_save = checkpoint_save,
                        .checkpoint_load = checkpoint_load };
  check(tb_density_open(context, b->config, &b->s.density));
}

static void close_bench(bench *b) {
  tb_density_close(b->s.density);
  tb_config_free(b->config);
  tb_arena_free(b->arena);
  free(b->watcher.block);
}

/* ---- chains ---- */

/* Means and variances of N(m, s²) with chains that are nearly independent: within five standard errors. */
static void chains_have_the_moments(void **state) {
  static const char *const words[] = {
    "target=gaussian", "mean=1,-2,0", "sd=0.1,1,10", "draws=4000", "warmup=300", NULL
  };
  const double mean[3] = { 1, -2, 0 }, sd[3] = { 0.1, 1, 10 };
  const tb_sampler *const samplers[] = { &tb_sampler_nuts, &tb_sampler_hmc };
  for (int k = 0; k < 2; k++) {
    bench b;
    tb_draws draws = tb_draws_new();
    open_bench(&b, words);
    check(samplers[k]->run(&b.s, &draws));
    assert_int_equal(draws.count, 4000);
    assert_int_equal(draws.chains, 4);
    for (int j = 0; j < 3; j++) {
      double first = 0, second = 0;
      for (size_t i = 0; i < draws.count; i++) {
        const double z = (draws.x[i * 3 + (size_t)j] - mean[j]) / sd[j];
        first += z / (double)draws.count;
        second += z * z / (double)draws.count;
      }
      const double error = 5 / sqrt((double)draws.count / 3); /* no fewer than a third of the draws are effective */
      if (!(fabs(first) < error && fabs(second - 1) < error * sqrt(2)))
        fail_msg("%s, coordinate %d: mean off by %g, variance %g", samplers[k]->name, j, first, second);
    }
    close_bench(&b);
  }
}

/* ---- particles ---- */

/* Ẑ/Z over islands averages to 1 within 3.5 standard errors. */
static void particles_are_unbiased(void **state) {
  static const char *const cases[][8] = {
    { "target=gaussian", "mean=1,-1", "sd=0.5", "draws=6400", "islands=64", "leapfrogs=4", NULL },
    { "target=manywell", "d=4", "draws=6400", "islands=64", "leapfrogs=4", "sigma=1.5", NULL },
    { "target=gmm9", "sigma=5", "draws=6400", "islands=64", "leapfrogs=4", NULL },
    { "target=gaussian", "mean=3,-1", "sd=0.5", "draws=6400", "islands=64", "start=fitted", "sigma=1.5", NULL },
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    bench b;
    tb_draws draws = tb_draws_new();
    open_bench(&b, cases[c]);
    check(tb_sampler_smc.run(&b.s, &draws));
    double mean = 0, square = 0;
    for (size_t g = 0; g < 64; g++) {
      double z = 0;
      for (size_t i = g * 100; i < (g + 1) * 100; i++)
        z += exp(draws.log_weight[i] - b.s.density->log_normaliser) / 100;
      mean += z / 64;
      square += z * z / 64;
    }
    const double error = sqrt((square - mean * mean) / 63);
    if (!(fabs(mean - 1) < 3.5 * error && error < 0.2))
      fail_msg("%s: mean %g, error %g", cases[c][0], mean, error);
    assert_true(fabs(draws.log_z - b.s.density->log_normaliser - log(mean)) < 1e-12);
    close_bench(&b);
  }
}

/* ---- stopping ---- */

static void stopped_runs_go_on_to_the_same_bits(void **state) {
  static const char *const words[] = { "target=eight_schools", "draws=400", "warmup=60", "islands=5",
                                       "leapfrogs=3",          NULL };
  const tb_sampler *const samplers[] = { &tb_sampler_nuts, &tb_sampler_hmc, &tb_sampler_smc };
  for (int k = 0; k < 3; k++) {
    bench whole, parts;
    tb_draws want = tb_draws_new(), got = tb_draws_new();
    open_bench(&whole, words);
    check(samplers[k]->run(&whole.s, &want));
    open_bench(&parts, words);
    int stops = 0;
    tb_status status;
    do {
      tb_density_close(parts.s.density);
      check(tb_density_open(context, parts.config, &parts.s.density));
      parts.watcher.patience = 5 + 7 * stops;
      got = tb_draws_new();
      status = samplers[k]->run(&parts.s, &got);
    } while (status == TB_STOPPED && ++stops < 100);
    check(status);
    assert_true(stops > 0);
    assert_int_equal(got.count, want.count);
    assert_memory_equal(got.x, want.x, want.count * whole.s.density->dims * sizeof *want.x);
    assert_true(got.n_grad == want.n_grad);
    close_bench(&whole);
    close_bench(&parts);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(chains_have_the_moments),
    cmocka_unit_test(particles_are_unbiased),
    cmocka_unit_test(stopped_runs_go_on_to_the_same_bits),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
