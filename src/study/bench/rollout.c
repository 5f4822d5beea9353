/* rollout, rollout64 and dds_funnel: the DDS chain on the funnel with the full drift network, path gradient, Adam;
 * dds_funnel is a training step exactly as published, its entries of the gradient cut to ±1 and its rate 0.005 ·
 * 0.95^(k/50). */
#include "diffusion/rollout.h"
#include "study/bench/descent.h"

#include <tiebreak/random.h>

enum { DIMS = 10, STEPS = 128, BATCH = 300 };

static const tb_drift_shape drift = { .dims = DIMS, .width = 64, .layers = 2 };
static const double horizon = 6.4, sigma = 1.075, alpha = 0.6875;

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

static tb_value loss(tb_graph *g, tb_value theta, const tb_value *data) {
  const tb_density funnel = tb_density_funnel(DIMS, 3);
  double numbers[TB_CHAIN_ARRAYS * STEPS];
  tb_chain chain;
  tb_chain_fill(TB_CHAIN_DDS, TB_CHAIN_COS4, true, STEPS, horizon, sigma, alpha, numbers, &chain);
  const tb_rollout_shape shape = { .drift = drift, .chain = &chain, .batch = BATCH, .density = &funnel };
  const tb_rollout paths = tb_rollout_build(g, &shape, theta, data[0]);
  return tb_rollout_loss(g, &paths, tb_rollout_terminal(g, &shape, &paths, &funnel));
}

static void draw(tb_dtype dtype, uint32_t step, const char *use, size_t at, size_t count, void *out) {
  const tb_key now = { .seed = 0, .step = step, .use = tb_use(use) };
  if (dtype == TB_FLOAT64)
    tb_random_normal(now, 0, count, (double *)out + at);
  else
    tb_random_normal_float(now, 0, count, (float *)out + at);
}

/* The draws of the first step, so that a peer can check its loss, and the grid. */
static tb_status more(tb_arena *arena, tb_dtype dtype, size_t *count, tb_array *arrays) {
  const size_t each = (size_t)BATCH * DIMS, width = dtype == TB_FLOAT64 ? sizeof(double) : sizeof(float);
  const tb_array_type type = dtype == TB_FLOAT64 ? TB_ARRAY_FLOAT64 : TB_ARRAY_FLOAT32;
  void *first = tb_arena_allocate(arena, each, width), *noise = tb_arena_allocate(arena, STEPS * each, width);
  tb_chain chain;
  if (!first || !noise || tb_chain_new(arena, TB_CHAIN_DDS, TB_CHAIN_COS4, true, STEPS, horizon, sigma, alpha, &chain))
    return TB_NO_MEMORY;
  draw(dtype, 0, "start of the chain", 0, each, first);
  for (uint32_t k = 0; k < STEPS; k++)
    draw(dtype, k, "noise of the chain", k * each, each, noise);
  arrays[(*count)++] = (tb_array){ .name = "start", .type = type, .rank = 2, .dims = { BATCH, DIMS }, .data = first };
  arrays[(*count)++] =
      (tb_array){ .name = "noise", .type = type, .rank = 3, .dims = { STEPS, BATCH, DIMS }, .data = noise };
  arrays[(*count)++] =
      (tb_array){ .name = "times", .type = TB_ARRAY_FLOAT64, .rank = 1, .dims = { STEPS }, .data = chain.times };
  arrays[(*count)++] =
      (tb_array){ .name = "beta", .type = TB_ARRAY_FLOAT64, .rank = 1, .dims = { STEPS }, .data = chain.beta };
  return TB_OK;
}

#define SIZES "batch 300, 128 steps, d 10, two hidden layers of 64, GELU, Adam"

/* The last arguments: the row's rate of learning and what else it does with the gradient. */
#define ROLLOUT(id, type, type_name, text, default_steps, ...)                                                         \
  static const tb_descent id = { .dtype = type,                                                                        \
                                 .replicas = 1,                                                                        \
                                 .update = TB_UPDATE_ADAM,                                                             \
                                 .parameters = parameters,                                                             \
                                 .block = block,                                                                       \
                                 .start = start,                                                                       \
                                 .n_inputs = 1,                                                                        \
                                 .inputs = { { "key", TB_INT32, 1, { 3 }, key, true } },                               \
                                 .loss = loss,                                                                         \
                                 .more = more,                                                                         \
                                 __VA_ARGS__ };                                                                        \
  TB_DESCENT_ROW(id, id, text, type_name, default_steps)

ROLLOUT(rollout, TB_FLOAT32, "float32", "sampler roll-out: " SIZES, 20, .lr = 1e-3);
ROLLOUT(rollout64, TB_FLOAT64, "float64", "sampler roll-out: " SIZES, 10, .lr = 1e-3);
ROLLOUT(dds_funnel, TB_FLOAT32, "float32", "DDS on the funnel, a step of the published 11,000: " SIZES, 40, .lr = 5e-3,
        .lr_factor = 0.95, .lr_every = 50, .clip_entry = 1);
