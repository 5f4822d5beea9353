/* The network of drift_net.h. */
#include "diffusion/drift_net.h"

#include <math.h>
#include <stdio.h>

#include "model/blocks.h"

static const double slowest = 0.1, fastest = 100, most_drift = 1e4, most_score = 1e2;

/* ---- parameters ---- */

/* Layer l of a perceptron: inputs → width → … → outputs; block k is weights or bias of layer k/2. */
static void perceptron(tb_block *block, const char *letters, size_t k, size_t layers, size_t inputs, size_t width,
                       size_t outputs, bool starts_at_zero) {
  const size_t layer = k / 2, in = layer == 0 ? inputs : width;
  const bool last = layer + 1 == layers;
  block->rows = last ? outputs : width;
  block->cols = in;
  block->spread = 1 / sqrt((double)in);
  block->start = last && starts_at_zero ? TB_START_ZERO : TB_START_NORMAL;
  if (k % 2 == 1)
    *block = (tb_block){ .rows = 1, .cols = block->rows };
  snprintf(block->name, sizeof block->name, "%c%zu", letters[k % 2], layer + 1);
}

static bool list(const void *shape, size_t k, tb_block *block) {
  const tb_drift_shape *s = shape;
  const size_t h = s->width, state_layers = s->layers + 1, gate_layers = s->layers + 2;
  *block = (tb_block){ .name = "p", .rows = 1, .cols = h };
  if (k-- == 0)
    return true;
  if (k < 4)
    perceptron(block, "Tt", k, 2, 2 * h, h, h, false);
  else if ((k -= 4) < 2 * state_layers)
    perceptron(block, "Ss", k, state_layers, s->dims + h, h, s->dims, true);
  else if ((k -= 2 * state_layers) < 2 * gate_layers)
    perceptron(block, "Gg", k, gate_layers, 2 * h, h, s->dims, true);
  else
    return false;
  return true;
}

size_t tb_drift_parameters(const tb_drift_shape *shape) {
  return tb_blocks_count(list, shape);
}

bool tb_drift_block(const tb_drift_shape *shape, size_t k, char name[32], size_t *rows, size_t *cols) {
  return tb_block_read(list, shape, k, name, rows, cols);
}

void tb_drift_initialise(const tb_drift_shape *shape, tb_key key, double *theta) {
  tb_blocks_start(list, shape, key, theta);
}

tb_status tb_drift_check(tb_context *context, const tb_drift_shape *s) {
  enum { MOST_SIZE = 1 << 20, MOST_PARAMETERS = 1 << 28 };
  if (s->dims == 0 || s->dims > MOST_SIZE || s->width < 2 || s->width > MOST_SIZE || s->layers == 0 ||
      s->layers > TB_DRIFT_LAYERS)
    return tb_fail(context, TB_USAGE, NULL, "width counts from 2, layers from 1 to 16",
                   "a drift network of %zu dimensions, width %zu, %zu layers", s->dims, s->width, s->layers);
  if (tb_drift_parameters(s) > MOST_PARAMETERS)
    return tb_fail(context, TB_USAGE, "option width", "take a smaller width",
                   "a drift network of more than %d parameters", MOST_PARAMETERS);
  return TB_OK;
}

/* ---- what depends on time ---- */

/* e(t) [R,K,2h] of times[K] and phases[R,1,h] */
static tb_value features(tb_graph *g, const tb_drift_shape *s, tb_value phases, tb_value times) {
  const tb_dtype dtype = tb_value_dtype(g, times);
  const double apart = (fastest - slowest) / (double)(s->width - 1);
  const tb_value number = tb_iota(g, TB_FLOAT64, 2, (size_t[]){ 1, s->width }, 1);
  const tb_value speed = tb_cast(g, tb_shift(g, tb_scale(g, number, apart), slowest), dtype);
  const tb_value column = tb_reshape(g, times, 2, (size_t[]){ tb_dim(g, times, 0), 1 });
  const tb_value angle = tb_add(g, tb_multiply(g, column, speed), phases);
  return tb_concat(g, 2, 2, (tb_value[]){ tb_sin(g, angle), tb_cos(g, angle) });
}

/* [R,K,n] → [K,R,1,n] */
static tb_value by_step(tb_graph *g, tb_value a) {
  const size_t dims[] = { tb_dim(g, a, 1), tb_dim(g, a, 0), 1, tb_dim(g, a, 2) };
  return tb_reshape(g, tb_transpose(g, a, (size_t[]){ 1, 0, 2 }), 4, dims);
}

tb_drift tb_drift_prepare(tb_graph *g, const tb_drift_shape *s, tb_value theta, tb_value times) {
  tb_block_walk walk = { .graph = g, .list = list, .shape = s, .theta = theta };
  tb_drift drift = { .count = 1 };
  const tb_value time = features(g, s, tb_block_take(&walk), times);
  const tb_value hidden = tb_gelu(g, tb_block_affine(&walk, time));
  const tb_value embedding = tb_block_affine(&walk, hidden); /* T(e(t)) [R,K,h] */
  const tb_value first = tb_block_take(&walk), first_bias = tb_block_take(&walk);
  drift.weights[0] = tb_slice(g, first, 2, 0, s->dims);
  const tb_value from_time = tb_matmul(g, embedding, false, tb_slice(g, first, 2, s->dims, s->width), true);
  drift.bias = by_step(g, tb_add(g, from_time, first_bias));
  for (size_t k = 0; k < 2 * s->layers; k++)
    drift.weights[drift.count++] = tb_block_take(&walk);
  tb_value gate = tb_block_affine(&walk, time);
  for (size_t l = 0; l < s->layers + 1; l++)
    gate = tb_block_affine(&walk, tb_gelu(g, gate));
  drift.gate = by_step(g, gate);
  return drift;
}

/* ---- a step ---- */

static tb_value clip(tb_graph *g, tb_value a, double most) {
  const tb_dtype dtype = tb_value_dtype(g, a);
  return tb_minimum(g, tb_maximum(g, a, tb_scalar(g, dtype, -most)), tb_scalar(g, dtype, most));
}

tb_value tb_drift_step(tb_graph *g, const tb_drift_shape *s, const tb_value *weights, tb_value bias, tb_value gate,
                       tb_value y, tb_value score) {
  tb_value z = tb_add(g, tb_matmul(g, y, false, weights[0], true), bias);
  for (size_t l = 0; l < s->layers; l++)
    z = tb_add(g, tb_matmul(g, tb_gelu(g, z), false, weights[1 + 2 * l], true), weights[2 + 2 * l]);
  return tb_add(g, clip(g, z, most_drift), tb_multiply(g, gate, clip(g, score, most_score)));
}
