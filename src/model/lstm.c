/* The stack of lstm.h.  What a layer does with its inputs does not depend on its state, so it is one product over all
 * steps; the scan adds what depends on the state. */
#include "model/lstm.h"

#include <math.h>
#include <stdio.h>

#include "model/blocks.h"
#include "model/tokens.h"

/* ---- parameters ---- */

enum { IN_LAYER = 4 };

static bool list(const void *shape, size_t k, tb_block *block) {
  const tb_lstm_shape *s = shape;
  const double spread = 1 / sqrt((double)s->hidden);
  if (s->vocabulary && k-- == 0) {
    *block = (tb_block){ "E", s->vocabulary, s->inputs, TB_START_NORMAL, 1 };
    return true;
  }
  const size_t layer = k / IN_LAYER, gates = 4 * s->hidden;
  *block = (tb_block){ .start = TB_START_UNIFORM, .spread = spread };
  if (layer < s->layers) {
    const char names[] = "WVbc";
    const size_t in = layer == 0 ? s->inputs : s->hidden;
    const size_t shapes[IN_LAYER][2] = { { gates, in }, { gates, s->hidden }, { 1, gates }, { 1, gates } };
    snprintf(block->name, sizeof block->name, "layer%zu.%c", layer + 1, names[k % IN_LAYER]);
    block->rows = shapes[k % IN_LAYER][0];
    block->cols = shapes[k % IN_LAYER][1];
    return true;
  }
  k -= IN_LAYER * s->layers;
  if (!s->vocabulary || k > 1)
    return false;
  snprintf(block->name, sizeof block->name, k == 0 ? "U" : "u");
  block->rows = k == 0 ? s->vocabulary : 1;
  block->cols = k == 0 ? s->hidden : s->vocabulary;
  return true;
}

size_t tb_lstm_parameters(const tb_lstm_shape *shape) {
  return tb_blocks_count(list, shape);
}

bool tb_lstm_block(const tb_lstm_shape *shape, size_t k, char name[32], size_t *rows, size_t *cols) {
  return tb_block_read(list, shape, k, name, rows, cols);
}

void tb_lstm_initialise(const tb_lstm_shape *shape, tb_key key, double *theta) {
  tb_blocks_start(list, shape, key, theta);
}

tb_status tb_lstm_check(tb_context *context, const tb_lstm_shape *s) {
  enum { MOST_SIZE = 1 << 20, MOST_LAYERS = 1000, MOST_PARAMETERS = 1 << 28 };
  if (s->inputs == 0 || s->inputs > MOST_SIZE || s->hidden == 0 || s->hidden > MOST_SIZE || s->layers == 0 ||
      s->layers > MOST_LAYERS || s->vocabulary > MOST_SIZE)
    return tb_fail(context, TB_USAGE, NULL, "inputs, hidden and layers count from 1",
                   "an LSTM of vocabulary %zu, %zu inputs, %zu hidden units, %zu layers", s->vocabulary, s->inputs,
                   s->hidden, s->layers);
  if (tb_lstm_parameters(s) > MOST_PARAMETERS)
    return tb_fail(context, TB_USAGE, NULL, "take fewer hidden units or layers", "an LSTM of more than %d parameters",
                   MOST_PARAMETERS);
  return TB_OK;
}

/* ---- one layer ---- */

/* carry h, s [R,B,H]; slice z from the inputs [R,B,4H]; constant V [R,4H,H] */
static tb_status cell(void *user, tb_graph *g, tb_value step, size_t n_carry, const tb_value *carry, size_t n_slice,
                      const tb_value *slices, size_t n_const, const tb_value *consts, tb_value *carry_out, size_t n_out,
                      tb_value *outs) {
  const size_t hidden = tb_dim(g, carry[0], 2);
  const tb_value z = tb_add(g, slices[0], tb_matmul(g, carry[0], false, consts[0], true));
  const tb_value input = tb_sigmoid(g, tb_slice(g, z, 2, 0, hidden));
  const tb_value forget = tb_sigmoid(g, tb_slice(g, z, 2, hidden, hidden));
  const tb_value update = tb_tanh(g, tb_slice(g, z, 2, 2 * hidden, hidden));
  const tb_value output = tb_sigmoid(g, tb_slice(g, z, 2, 3 * hidden, hidden));
  carry_out[1] = tb_add(g, tb_multiply(g, forget, carry[1]), tb_multiply(g, input, update));
  carry_out[0] = tb_multiply(g, output, tb_tanh(g, carry_out[1]));
  outs[0] = carry_out[0];
  return TB_OK;
}

/* x[R,T·B,in] → h [T,R,B,H] */
static tb_value layer(tb_block_walk *walk, const tb_lstm_shape *s, tb_value x, size_t length, size_t batch) {
  tb_graph *g = walk->graph;
  const size_t replicas = tb_dim(g, x, 0), gates = 4 * s->hidden;
  const tb_value from_input = tb_block_take(walk), from_state = tb_block_take(walk);
  const tb_value input_bias = tb_block_take(walk), state_bias = tb_block_take(walk);
  const tb_value bias = tb_add(g, input_bias, state_bias);
  tb_value z = tb_add(g, tb_matmul(g, x, false, from_input, true), bias); /* [R,T·B,4H] */
  z = tb_reshape(g, z, 4, (size_t[]){ replicas, length, batch, gates });
  z = tb_transpose(g, z, (size_t[]){ 1, 0, 2, 3 });
  const tb_value zero = tb_fill(g, tb_value_dtype(g, x), 3, (size_t[]){ replicas, batch, s->hidden }, 0);
  tb_value states, last[2];
  tb_scan(g, length, false, cell, NULL, 2, (tb_value[]){ zero, zero }, 1, &z, 1, &from_state, last, 1, &states);
  return states;
}

/* x[R,T·B,in] → h of the last layer [T,R,B,H] */
static tb_value stack(tb_block_walk *walk, const tb_lstm_shape *s, tb_value x, size_t length, size_t batch) {
  tb_graph *g = walk->graph;
  const size_t replicas = tb_dim(g, x, 0);
  tb_value states = { -1 };
  for (size_t l = 0; l < s->layers; l++) {
    if (l > 0)
      x = tb_reshape(g, tb_transpose(g, states, (size_t[]){ 1, 0, 2, 3 }), 3,
                     (size_t[]){ replicas, length * batch, s->hidden });
    states = layer(walk, s, x, length, batch);
  }
  return states;
}

tb_value tb_lstm_states(tb_graph *g, const tb_lstm_shape *s, tb_value theta, tb_value x) {
  const size_t replicas = tb_dim(g, x, 0), length = tb_dim(g, x, 1), batch = tb_dim(g, x, 2);
  tb_block_walk walk = { .graph = g, .list = list, .shape = s, .theta = theta };
  return stack(&walk, s, tb_reshape(g, x, 3, (size_t[]){ replicas, length * batch, s->inputs }), length, batch);
}

tb_value tb_lstm_logits(tb_graph *g, const tb_lstm_shape *s, tb_value theta, tb_value tokens) {
  const size_t rank = tb_rank(g, tokens), replicas = tb_dim(g, theta, 0);
  const size_t batch = tb_dim(g, tokens, rank - 2), length = tb_dim(g, tokens, rank - 1);
  tb_block_walk walk = { .graph = g, .list = list, .shape = s, .theta = theta };
  const tb_value by_step = tb_transpose(g, tokens, NULL); /* [T,B] or [R,T,B] */
  const tb_value states = stack(&walk, s, tb_embed(g, tb_block_take(&walk), by_step), length, batch);
  const tb_value h = tb_reshape(g, tb_transpose(g, states, (size_t[]){ 1, 2, 0, 3 }), 3, /* [R, B·T, H] */
                                (size_t[]){ replicas, batch * length, s->hidden });
  return tb_reshape(g, tb_block_affine(&walk, h), 4, (size_t[]){ replicas, batch, length, s->vocabulary });
}
