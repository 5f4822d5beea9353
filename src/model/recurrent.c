/* The stack of recurrent.h. */
#include "model/recurrent.h"

#include <math.h>
#include <stdio.h>

#include "model/dropout.h"
#include "model/tokens.h"

/* ---- parameters ---- */

enum { IN_LAYER = 4 };

typedef struct network {
  const tb_cell *cell;
  const tb_recurrent_shape *shape;
} network;

static bool list(const void *user, size_t k, tb_block *block) {
  const network *n = user;
  const tb_recurrent_shape *s = n->shape;
  const double spread = 1 / sqrt((double)s->hidden);
  if (s->vocabulary && k-- == 0) {
    *block = (tb_block){ "E", s->vocabulary, s->inputs, TB_START_NORMAL, 1 };
    return true;
  }
  const size_t layer = k / IN_LAYER, gates = n->cell->gates * s->hidden;
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

size_t tb_recurrent_parameters(const tb_cell *cell, const tb_recurrent_shape *shape) {
  return tb_blocks_count(list, &(network){ cell, shape });
}

bool tb_recurrent_block(const tb_cell *cell, const tb_recurrent_shape *shape, size_t k, char name[32], size_t *rows,
                        size_t *cols) {
  return tb_block_read(list, &(network){ cell, shape }, k, name, rows, cols);
}

void tb_recurrent_initialise(const tb_cell *cell, const tb_recurrent_shape *shape, tb_key key, double *theta) {
  tb_blocks_start(list, &(network){ cell, shape }, key, theta);
}

tb_status tb_recurrent_check(tb_context *context, const tb_cell *cell, const tb_recurrent_shape *s) {
  enum { MOST_SIZE = 1 << 20, MOST_LAYERS = 1000, MOST_PARAMETERS = 1 << 28 };
  if (s->inputs == 0 || s->inputs > MOST_SIZE || s->hidden == 0 || s->hidden > MOST_SIZE || s->layers == 0 ||
      s->layers > MOST_LAYERS || s->vocabulary > MOST_SIZE)
    return tb_fail(context, TB_USAGE, NULL, "inputs, hidden and layers count from 1",
                   "%s of vocabulary %zu, %zu inputs, %zu hidden units, %zu layers", cell->name, s->vocabulary,
                   s->inputs, s->hidden, s->layers);
  if (tb_recurrent_parameters(cell, s) > MOST_PARAMETERS)
    return tb_fail(context, TB_USAGE, NULL, "take fewer hidden units or layers", "%s of more than %d parameters",
                   cell->name, MOST_PARAMETERS);
  return TB_OK;
}

/* ---- all steps of a layer ---- */

/* carry [R,B,H] each; slice z of the inputs [R,B,G·H]; constants V and, where the biases are apart, c */
static tb_status body(void *user, tb_graph *g, tb_value step, size_t n_carry, const tb_value *carry, size_t n_slice,
                      const tb_value *slices, size_t n_const, const tb_value *consts, tb_value *carry_out, size_t n_out,
                      tb_value *outs) {
  const tb_cell *cell = user;
  cell->advance(g, slices[0], consts[0], consts[n_const - 1], carry, carry_out);
  outs[0] = carry_out[0];
  return TB_OK;
}

typedef struct weights {
  tb_value input, state, input_bias, state_bias; /* W, V, b (or b + c), c */
} weights;

static weights take(tb_block_walk *walk, const tb_cell *cell) {
  weights w = { .input = tb_block_take(walk), .state = tb_block_take(walk) };
  w.input_bias = tb_block_take(walk);
  w.state_bias = tb_block_take(walk);
  if (cell->joined)
    w.input_bias = tb_add(walk->graph, w.input_bias, w.state_bias);
  return w;
}

/* x[R,n,in] → z [R,n,G·H] */
static tb_value from_inputs(tb_graph *g, const weights *w, tb_value x) {
  return tb_add(g, tb_matmul(g, x, false, w->input, true), w->input_bias);
}

/* x[R,T·B,in] → h [T,R,B,H] */
static tb_value layer(tb_block_walk *walk, const network *n, tb_value x, size_t length, size_t batch) {
  tb_graph *g = walk->graph;
  const size_t replicas = tb_dim(g, x, 0), hidden = n->shape->hidden;
  const weights w = take(walk, n->cell);
  tb_value z = tb_reshape(g, from_inputs(g, &w, x), 4, (size_t[]){ replicas, length, batch, n->cell->gates * hidden });
  z = tb_transpose(g, z, (size_t[]){ 1, 0, 2, 3 });
  const tb_value zero = tb_fill(g, tb_value_dtype(g, x), 3, (size_t[]){ replicas, batch, hidden }, 0);
  const tb_value start[TB_MOST_CARRIES] = { zero, zero }, consts[] = { w.state, w.state_bias };
  tb_value states, last[TB_MOST_CARRIES];
  tb_scan(g, length, false, body, (void *)(uintptr_t)n->cell, n->cell->carries, start, 1, &z, n->cell->joined ? 1 : 2,
          consts, last, 1, &states);
  return states;
}

/* x[R,T·B,in] → h of the last layer [T,R,B,H] */
static tb_value stack(tb_block_walk *walk, const network *n, tb_value x, size_t length, size_t batch) {
  tb_graph *g = walk->graph;
  const size_t replicas = tb_dim(g, x, 0);
  tb_value states = { -1 };
  for (size_t l = 0; l < n->shape->layers; l++) {
    if (l > 0)
      x = tb_reshape(g, tb_transpose(g, states, (size_t[]){ 1, 0, 2, 3 }), 3,
                     (size_t[]){ replicas, length * batch, n->shape->hidden });
    states = layer(walk, n, x, length, batch);
  }
  return states;
}

tb_value tb_recurrent_states(tb_graph *g, const tb_cell *cell, const tb_recurrent_shape *s, tb_value theta,
                             tb_value x) {
  const size_t replicas = tb_dim(g, x, 0), length = tb_dim(g, x, 1), batch = tb_dim(g, x, 2);
  const network n = { cell, s };
  tb_block_walk walk = { .graph = g, .list = list, .shape = &n, .theta = theta };
  return stack(&walk, &n, tb_reshape(g, x, 3, (size_t[]){ replicas, length * batch, s->inputs }), length, batch);
}

tb_value tb_recurrent_logits(tb_graph *g, const tb_cell *cell, const tb_recurrent_shape *s, tb_value theta,
                             tb_value tokens, double rate, tb_value keys) {
  const size_t rank = tb_rank(g, tokens), replicas = tb_dim(g, theta, 0);
  const size_t batch = tb_dim(g, tokens, rank - 2), length = tb_dim(g, tokens, rank - 1);
  const network n = { cell, s };
  tb_block_walk walk = { .graph = g, .list = list, .shape = &n, .theta = theta };
  tb_dropout dropout = { .rate = rate, .keys = keys };
  const tb_value by_step = tb_transpose(g, tokens, NULL); /* [T,B] or [R,T,B] */
  const tb_value states = stack(&walk, &n, tb_embed(g, tb_block_take(&walk), by_step), length, batch);
  const tb_value h = tb_reshape(g, tb_transpose(g, states, (size_t[]){ 1, 2, 0, 3 }), 3, /* [R, B·T, H] */
                                (size_t[]){ replicas, batch * length, s->hidden });
  return tb_reshape(g, tb_block_affine(&walk, tb_drop(g, &dropout, h)), 4,
                    (size_t[]){ replicas, batch, length, s->vocabulary });
}

/* ---- one step of all layers ---- */

tb_value tb_recurrent_step(tb_graph *g, const tb_cell *cell, const tb_recurrent_shape *s, tb_value theta,
                           tb_value tokens, const tb_value *memory, tb_value *next) {
  const size_t replicas = tb_dim(g, theta, 0), batch = tb_dim(g, tokens, 1);
  const network n = { cell, s };
  tb_block_walk walk = { .graph = g, .list = list, .shape = &n, .theta = theta };
  const tb_value column = tb_reshape(g, tokens, 3, (size_t[]){ replicas, batch, 1 });
  tb_value x = tb_embed(g, tb_block_take(&walk), column); /* [R,B,in] */
  for (size_t l = 0; l < s->layers; l++) {
    const weights w = take(&walk, cell);
    const size_t at = l * cell->carries;
    cell->advance(g, from_inputs(g, &w, x), w.state, w.state_bias, memory + at, next + at);
    x = next[at];
  }
  return tb_block_affine(&walk, x);
}
