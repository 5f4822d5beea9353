/* The DDS chain against plain loops that draw the same noise, its gradient against differences with the scores held,
 * its laws by Monte Carlo. */
#include "testing.h"

#include <math.h>

#include <tiebreak/random.h>

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

static void draw(const char *purpose, double scale, size_t count, double *out) {
  tb_random_normal((tb_key){ .seed = 11, .use = tb_use(purpose) }, 0, count, out);
  for (size_t i = 0; i < count; i++)
    out[i] *= scale;
}

static void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
    fail_msg("%.17g instead of %.17g", got, want);
}

/* ---- the plain chain ---- */

enum { D = 3, H = 5, LAYERS = 2, K = 6, B = 4, R = 2, MOST = 16 };
enum { MOST_PARAMETERS = 512 };
static const double sigma = 1.3, pi = 3.14159265358979323846;

static double gelu(double a) {
  return 0.5 * a * (1 + erf(a / sqrt(2)));
}

static const double *affine(const double *at, size_t out, size_t in, const double *x, double *y) {
  for (size_t i = 0; i < out; i++) {
    y[i] = at[out * in + i];
    for (size_t j = 0; j < in; j++)
      y[i] += at[i * in + j] * x[j];
  }
  return at + out * in + out;
}

static const double *perceptron(const double *at, size_t layers, size_t in, size_t out, const double *x, double *y) {
  double hidden[MOST], next[MOST];
  memcpy(hidden, x, in * sizeof *x);
  for (size_t l = 0; l < layers; l++) {
    at = affine(at, l + 1 == layers ? out : H, l == 0 ? in : H, hidden, next);
    for (size_t i = 0; i < H; i++)
      hidden[i] = gelu(next[i]);
  }
  memcpy(y, next, out * sizeof *y);
  return at;
}

static double clip(double a, double most) {
  return fmin(fmax(a, -most), most);
}

/* f(y, t), the embedding of time concatenated to the state as the published code does it */
static void plain_drift(const double *theta, double t, const double *y, const double *score, double *f) {
  double features[2 * H], joined[D + H], gate[D];
  for (size_t j = 0; j < H; j++) {
    const double angle = (0.1 + (100 - 0.1) * (double)j / (H - 1)) * t + theta[j];
    features[j] = sin(angle);
    features[H + j] = cos(angle);
  }
  memcpy(joined, y, D * sizeof *y);
  theta = perceptron(theta + H, 2, 2 * H, H, features, joined + D);
  theta = perceptron(theta, LAYERS + 1, D + H, D, joined, f);
  perceptron(theta, LAYERS + 2, 2 * H, D, features, gate);
  for (size_t i = 0; i < D; i++)
    f[i] = clip(f[i], 1e4) + gate[i] * clip(score[i], 1e2);
}

static double log_normal(const double *y, double s) {
  double sum = 0;
  for (size_t i = 0; i < D; i++)
    sum += -0.5 * y[i] * y[i] / (s * s) - 0.5 * log(2 * pi) - log(s);
  return sum;
}

/* Neal's funnel of spread 3, with its gradient by hand */
static double plain_funnel(const double *y, double *score) {
  double value = -0.5 * y[0] * y[0] / 9 - 0.5 * log(2 * pi * 9);
  score[0] = -y[0] / 9;
  for (size_t i = 1; i < D; i++) {
    value += -0.5 * y[i] * y[i] * exp(-y[0]) - 0.5 * log(2 * pi) - 0.5 * y[0];
    score[0] += 0.5 * y[i] * y[i] * exp(-y[0]) - 0.5;
    score[i] = -y[i] * exp(-y[0]);
  }
  return value;
}

/* The published grid by its formula. */
static void grid(size_t steps, double horizon, double alpha, double *times, double *beta) {
  double numbers[TB_CHAIN_ARRAYS * 128];
  tb_chain chain;
  tb_chain_fill(TB_CHAIN_DDS, TB_CHAIN_COS4, true, steps, horizon, sigma, alpha, numbers, &chain);
  memcpy(times, chain.times, steps * sizeof *times);
  memcpy(beta, chain.beta, steps * sizeof *beta);
}

typedef struct path {
  double running, stochastic, terminal, end[D];
} path;

/* Path `number` (of all replicas' batches in a row).  hold: use the scores as they stand, else write them. */
static path plain_path(const double *theta, uint64_t seed, uint32_t step, size_t number, const double *times,
                       const double *beta, double scores[K][D], bool hold) {
  path p = { 0 };
  double y[D], f[D], noise[D], ignored[D];
  tb_random_normal((tb_key){ seed, step, tb_use("start of the chain") }, number * D, D, y);
  for (size_t i = 0; i < D; i++)
    y[i] *= sigma;
  for (uint32_t k = 0; k < K; k++) {
    if (!hold)
      plain_funnel(y, scores[k]);
    plain_drift(theta, times[k], y, scores[k], f);
    tb_random_normal((tb_key){ seed, step * K + k, tb_use("noise of the chain") }, number * D, D, noise);
    for (size_t i = 0; i < D; i++) {
      p.running += 0.5 * beta[k] * beta[k] * f[i] * f[i] / (sigma * sigma);
      p.stochastic += beta[k] * f[i] * noise[i] / sigma;
      y[i] = sqrt(1 - beta[k] * beta[k]) * y[i] + beta[k] * beta[k] * f[i] + sigma * beta[k] * noise[i];
    }
  }
  p.terminal = log_normal(y, sigma) - plain_funnel(y, ignored);
  memcpy(p.end, y, sizeof y);
  return p;
}

/* ---- the graph ---- */

typedef struct results {
  double running[R * B], stochastic[R * B], terminal[R * B], end[R * B * D], loss[R], log_weight[R * B],
      gradient[R * MOST_PARAMETERS];
} results;

static const tb_drift_shape drift = { .dims = D, .width = H, .layers = LAYERS };

static void run_graph(const double *theta, const int32_t key[3], results *out) {
  const tb_density funnel = tb_density_funnel(D, 3);
  double numbers[TB_CHAIN_ARRAYS * K];
  tb_chain chain;
  tb_chain_fill(TB_CHAIN_DDS, TB_CHAIN_COS4, true, K, 1.6, sigma, 0.9, numbers, &chain);
  const tb_rollout_shape shape = { .drift = drift, .chain = &chain, .batch = B, .density = &funnel };
  tb_graph *g;
  check(tb_graph_new(context, &g));
  const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ R, tb_drift_parameters(&drift) });
  const tb_rollout r = tb_rollout_build(g, &shape, t, tb_input(g, "key", TB_INT32, 1, (size_t[]){ 3 }));
  const tb_value terminal = tb_rollout_terminal(g, &shape, &r, &funnel);
  tb_value y[7] = {
    r.running, r.stochastic, terminal, r.end, tb_rollout_loss(g, &r, terminal), tb_rollout_log_weight(g, &r, terminal)
  };
  check(tb_gradient(g, tb_sum(g, y[4]), 1, &t, &y[6]));
  tb_program *program;
  check(tb_program_new(context, g, 7, y, NULL, &program));
  check(tb_program_run(
      program, 2, (const void *[]){ theta, key }, 7,
      (void *[]){ out->running, out->stochastic, out->terminal, out->end, out->loss, out->log_weight, out->gradient }));
  tb_program_free(program);
  tb_graph_free(g);
}

static void chain_is_the_definition(void **state) {
  const size_t p = tb_drift_parameters(&drift);
  const int32_t key[3] = { 7, 2, 5 };
  const uint64_t seed = 7 + (2ull << 32);
  static double theta[R * MOST_PARAMETERS], times[K], beta[K], scores[R * B][K][D];
  static results got;
  assert_true(p <= MOST_PARAMETERS);
  check(tb_drift_check(context, &drift));
  draw("theta", 0.5, R * p, theta);
  grid(K, 1.6, 0.9, times, beta);
  run_graph(theta, key, &got);
  for (size_t i = 0; i < R * B; i++) {
    const path want = plain_path(theta + i / B * p, seed, 5, i, times, beta, scores[i], false);
    near(got.running[i], want.running, 1e-11);
    near(got.stochastic[i], want.stochastic, 1e-11);
    near(got.terminal[i], want.terminal, 1e-11);
    near(got.log_weight[i], -want.running - want.stochastic - want.terminal, 1e-11);
    for (size_t j = 0; j < D; j++)
      near(got.end[i * D + j], want.end[j], 1e-11);
  }
  for (size_t r = 0; r < R; r++)
    for (size_t j = 0; j < p; j++) {
      double loss[2] = { 0 }, *entry = &theta[r * p + j], kept = *entry, h = 1e-5;
      for (int side = 0; side < 2; side++) {
        *entry = side ? kept - h : kept + h;
        for (size_t i = r * B; i < (r + 1) * B; i++) {
          const path at = plain_path(theta + r * p, seed, 5, i, times, beta, scores[i], true);
          loss[side] += (at.running + at.terminal) / B;
        }
      }
      *entry = kept;
      near(got.gradient[r * p + j], (loss[0] - loss[1]) / (2 * h), 2e-6);
    }
}

/* One run of `batch` paths: ln w and the ends. */
static void sample(const tb_density *density, size_t d, size_t batch, size_t steps, double spread, const double *theta,
                   double *log_weight, double *end) {
  const tb_drift_shape net = { .dims = d, .width = H, .layers = LAYERS };
  double numbers[TB_CHAIN_ARRAYS * 64];
  tb_chain chain;
  tb_chain_fill(TB_CHAIN_DDS, TB_CHAIN_COS4, false, steps, 3.2, spread, 1, numbers, &chain);
  const tb_rollout_shape shape = { .drift = net, .chain = &chain, .batch = batch, .density = density };
  tb_graph *g;
  check(tb_graph_new(context, &g));
  const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ 1, tb_drift_parameters(&net) });
  const tb_rollout r = tb_rollout_build(g, &shape, t, tb_input(g, "key", TB_INT32, 1, (size_t[]){ 3 }));
  const tb_value log_weight_of = tb_rollout_log_weight(g, &r, tb_rollout_terminal(g, &shape, &r, density));
  tb_program *program;
  check(tb_program_new(context, g, 2, (tb_value[]){ log_weight_of, r.end }, NULL, &program));
  check(
      tb_program_run(program, 2, (const void *[]){ theta, (int32_t[]){ 1, 0, 0 } }, 2, (void *[]){ log_weight, end }));
  tb_program_free(program);
  tb_graph_free(g);
}

enum { PATHS = 20000, STEPS = 16 };

/* The density of `target=name` and two options; the configuration may go at once. */
static tb_density *density_of(const char *name, const char *options[2][2]) {
  const tb_option_table *table = &tb_target_options;
  tb_config *config;
  tb_density *density;
  check(tb_config_new(context, 1, &table, &config));
  check(tb_config_set(config, "target", name, "test"));
  for (int i = 0; i < 2; i++)
    check(tb_config_set(config, options[i][0], options[i][1], "test"));
  check(tb_density_open(context, config, &density));
  tb_config_free(config);
  return density;
}

/* E[w] = Z for every control: none, and a random one. */
static void weights_average_to_the_normaliser(void **state) {
  const size_t d = 2;
  tb_density *density = density_of("gaussian", (const char *[2][2]){ { "mean", "0.3,0.3" }, { "sd", "0.8" } });
  const tb_drift_shape net = { .dims = d, .width = H, .layers = LAYERS };
  double *log_weight = calloc(PATHS, sizeof(double)), *end = calloc(PATHS * d, sizeof(double)), theta[MOST_PARAMETERS];
  assert_true(log_weight && end);
  for (int random = 0; random < 2; random++) {
    tb_drift_initialise(&net, (tb_key){ .seed = 1 }, theta);
    if (random)
      draw("control", 0.3, tb_drift_parameters(&net), theta);
    sample(density, d, PATHS, STEPS, 1, theta, log_weight, end);
    double mean = 0, square = 0;
    for (size_t i = 0; i < PATHS; i++) {
      const double w = exp(log_weight[i]);
      mean += w / PATHS;
      square += w * w / PATHS;
    }
    const double error = sqrt((square - mean * mean) / PATHS);
    assert_true(error < 0.02 && fabs(mean - 1) < 4 * error);
    if (!random) /* w = γ/N(0, I) of the end alone */
      for (size_t i = 0; i < 100; i++) {
        double want = 0;
        for (size_t j = 0; j < d; j++) {
          const double y = end[i * d + j], z = (y - 0.3) / 0.8;
          want += -0.5 * z * z - log(0.8) + 0.5 * y * y;
        }
        near(log_weight[i], want, 1e-12);
      }
  }
  tb_density_close(density);
  free(log_weight);
  free(end);
}

/* Without control the ends are N(0, σ²I): mean, variance, fourth moment, independence of coordinates. */
static void reference_chain_is_stationary(void **state) {
  const size_t d = 2;
  tb_density *density = density_of("gaussian", (const char *[2][2]){ { "d", "2" }, { "sd", "1" } });
  const tb_drift_shape net = { .dims = d, .width = H, .layers = LAYERS };
  double *log_weight = calloc(PATHS, sizeof(double)), *end = calloc(PATHS * d, sizeof(double)), theta[MOST_PARAMETERS];
  assert_true(log_weight && end);
  tb_drift_initialise(&net, (tb_key){ .seed = 1 }, theta);
  sample(density, d, PATHS, STEPS, sigma, theta, log_weight, end);
  double mean = 0, variance = 0, fourth = 0, product = 0;
  for (size_t i = 0; i < PATHS; i++) {
    const double a = end[i * d] / sigma, b = end[i * d + 1] / sigma;
    mean += a / PATHS;
    variance += a * a / PATHS;
    fourth += a * a * a * a / PATHS;
    product += a * b / PATHS;
  }
  const double unit = 4 / sqrt(PATHS);
  assert_true(fabs(mean) < unit && fabs(variance - 1) < unit * sqrt(2) && fabs(fourth - 3) < unit * sqrt(96));
  assert_true(fabs(product) < unit);
  tb_density_close(density);
  free(log_weight);
  free(end);
}

static void grid_is_as_published(void **state) {
  double times[128], beta[128], total = 0;
  grid(128, 6.4, 0.6875, times, beta);
  near(beta[0] * beta[0] / (0.6875 * 0.6875), 0.13472, 1e-4);
  assert_true(beta[127] < 1e-3 && times[0] == 0);
  for (size_t k = 0; k < 128; k++) {
    near(times[k], total, 1e-12);
    total += beta[k] * beta[k] / (0.6875 * 0.6875);
    assert_true(k == 0 || beta[k] < beta[k - 1]);
  }
  near(total, 6.4, 1e-12);
  grid(1, 9, 0.5, times, beta);
  assert_true(times[0] == 0 && beta[0] == 1);
}

static void network_sizes_and_start(void **state) {
  const tb_drift_shape published = { .dims = 10, .width = 64, .layers = 2 };
  assert_int_equal(tb_drift_parameters(&published), 39316);
  assert_int_equal(tb_drift_parameters(&(tb_drift_shape){ .dims = 1600, .width = 64, .layers = 2 }), 347776);
  static double theta[39316];
  size_t at = 0, rows, cols;
  char name[32];
  tb_drift_initialise(&published, (tb_key){ .seed = 5 }, theta);
  for (size_t b = 0; tb_drift_block(&published, b, name, &rows, &cols); at += rows * cols, b++) {
    const bool zero = name[0] >= 'a' || !strcmp(name, "S3") || !strcmp(name, "G4");
    for (size_t i = at; i < at + rows * cols; i++)
      assert_true((theta[i] == 0) == zero);
  }
  assert_int_equal(at, 39316);
  assert_int_equal(tb_drift_check(context, &(tb_drift_shape){ .dims = 2, .width = 1, .layers = 2 }), TB_USAGE);
  assert_int_equal(tb_drift_check(context, &(tb_drift_shape){ .dims = 2, .width = 4, .layers = 17 }), TB_USAGE);
  assert_int_equal(tb_drift_check(context, &(tb_drift_shape){ .dims = 2, .width = 1 << 20, .layers = 2 }), TB_USAGE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(chain_is_the_definition),       cmocka_unit_test(weights_average_to_the_normaliser),
    cmocka_unit_test(reference_chain_is_stationary), cmocka_unit_test(grid_is_as_published),
    cmocka_unit_test(network_sizes_and_start),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
