/* dds_lgcp: a training step of DDS on a log-Gaussian Cox process of 126 points on a 40×40 grid, d = 1600, with the
 * published process of 64 steps (σ = 2.1, α = 1.5).  The points are drawn: the work does not depend on where they are.
 */
#include "diffusion/rollout.h"
#include "diffusion/target_lgcp.h"
#include "study/bench/descent.h"

#include <math.h>

#include <tiebreak/random.h>

enum { GRID = 40, DIMS = GRID * GRID, STEPS = 64, BATCH = 100, POINTS = 126 };

static const tb_drift_shape drift = { .dims = DIMS, .width = 64, .layers = 2 };
static const double horizon = 3.2, sigma = 2.1, alpha = 1.5, variance = 1.91;

static size_t parameters(void) {
  return tb_drift_parameters(&drift);
}

static bool block(size_t k, char name[32], size_t *rows, size_t *cols) {
  return tb_drift_block(&drift, k, name, rows, cols);
}

static void start(size_t count, double *theta) {
  tb_drift_initialise(&drift, (tb_key){ .seed = 0 }, theta);
}

static void key(size_t count, double *values) {
  values[0] = values[1] = values[2] = 0;
}

static void counts_of(double *counts) {
  for (size_t i = 0; i < DIMS; i++)
    counts[i] = 0;
  for (uint64_t i = 0; i < POINTS; i++)
    counts[tb_random_below((tb_key){ .seed = 0, .use = tb_use("points") }, i, DIMS)]++;
}

static double mean(void) {
  return log(POINTS) - 0.5 * variance;
}

static void chain_of(double *numbers, tb_chain *chain) {
  tb_chain_fill(TB_CHAIN_DDS, TB_CHAIN_COS4, true, STEPS, horizon, sigma, alpha, numbers, chain);
}

/* The density lives while the graph takes its numbers, in a context of its own. */
static tb_value loss(tb_graph *g, tb_value theta, const tb_value *data) {
  tb_context *context = tb_context_new(NULL, NULL);
  double counts[DIMS], numbers[TB_CHAIN_ARRAYS * STEPS];
  tb_density *density = NULL;
  tb_value out = { -1 };
  tb_chain chain;
  counts_of(counts);
  chain_of(numbers, &chain);
  if (context && tb_density_lgcp(context, GRID, variance, mean(), counts, &density) == TB_OK) {
    const tb_rollout_shape shape = { .drift = drift, .chain = &chain, .batch = BATCH, .density = density };
    const tb_rollout paths = tb_rollout_build(g, &shape, theta, data[0]);
    out = tb_rollout_loss(g, &paths, tb_rollout_terminal(g, &shape, &paths, density));
  }
  tb_density_close(density);
  tb_context_free(context);
  return out;
}

static void draw(uint32_t step, const char *use, size_t at, float *out) {
  const tb_key now = { .seed = 0, .step = step, .use = tb_use(use) };
  tb_random_normal_float(now, 0, (size_t)BATCH * DIMS, out + at);
}

/* The draws of the first step, the grid of times and the counts. */
static tb_status more(tb_arena *arena, tb_dtype dtype, size_t *count, tb_array *arrays) {
  const size_t each = (size_t)BATCH * DIMS;
  float *first = tb_arena_allocate(arena, each, sizeof *first);
  float *noise = tb_arena_allocate(arena, STEPS * each, sizeof *noise);
  double *numbers = tb_arena_allocate(arena, TB_CHAIN_ARRAYS * STEPS + DIMS, sizeof *numbers);
  tb_chain chain;
  if (!first || !noise || !numbers)
    return TB_NO_MEMORY;
  double *counts = numbers + TB_CHAIN_ARRAYS * STEPS;
  draw(0, "start of the chain", 0, first);
  for (uint32_t k = 0; k < STEPS; k++)
    draw(k, "noise of the chain", k * each, noise);
  chain_of(numbers, &chain);
  counts_of(counts);
  arrays[(*count)++] =
      (tb_array){ .name = "start", .type = TB_ARRAY_FLOAT32, .rank = 2, .dims = { BATCH, DIMS }, .data = first };
  arrays[(*count)++] =
      (tb_array){ .name = "noise", .type = TB_ARRAY_FLOAT32, .rank = 3, .dims = { STEPS, BATCH, DIMS }, .data = noise };
  arrays[(*count)++] =
      (tb_array){ .name = "beta", .type = TB_ARRAY_FLOAT64, .rank = 1, .dims = { STEPS }, .data = chain.beta };
  arrays[(*count)++] =
      (tb_array){ .name = "counts", .type = TB_ARRAY_FLOAT64, .rank = 1, .dims = { DIMS }, .data = counts };
  return TB_OK;
}

static const tb_descent dds_lgcp = { .dtype = TB_FLOAT32,
                                     .replicas = 1,
                                     .update = TB_UPDATE_ADAM,
                                     .lr = 1e-4,
                                     .parameters = parameters,
                                     .block = block,
                                     .start = start,
                                     .n_inputs = 1,
                                     .inputs = { { "key", TB_INT32, 1, { 3 }, key, true } },
                                     .loss = loss,
                                     .more = more };
TB_DESCENT_ROW(dds_lgcp, dds_lgcp, "DDS on a log-Gaussian Cox process: d 1600, batch 100, 64 steps, width 64, Adam",
               "float32", 3);
