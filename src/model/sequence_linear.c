/* The linear sequence model of the published study: logits at place t are a linear map of all embeddings up to t,
 *
 *   y_t = β_t + Σ_{s ≤ t} W_{t,s} e(x_s),   W [T,T,V,e] of which s > t is masked,   β [T,V]
 *
 * so every place has weights of its own, learnt only from strings that reach it. */
#include <math.h>
#include <stdio.h>

#include "model/blocks.h"
#include "model/sequence.h"
#include "model/tokens.h"

/* W is stored [T·V, T·e]: row (t, v), column (s, j). */
static bool list(const void *shape, size_t k, tb_block *block) {
  const tb_sequence_shape *s = shape;
  const size_t length = s->length, v = s->vocabulary, e = s->embedding;
  const double spread = 1 / sqrt((double)(length * e));
  const tb_block blocks[] = { { "E", v, e, TB_START_NORMAL, 1 },
                              { "W", length * v, length * e, TB_START_UNIFORM, spread },
                              { "b", length, v, TB_START_UNIFORM, spread } };
  if (k >= sizeof blocks / sizeof *blocks)
    return false;
  *block = blocks[k];
  return true;
}

static size_t parameters(const tb_sequence_shape *s) {
  return tb_blocks_count(list, s);
}

static bool block(const tb_sequence_shape *s, size_t k, char name[32], size_t *rows, size_t *cols) {
  return tb_block_read(list, s, k, name, rows, cols);
}

static void initialise(const tb_sequence_shape *s, tb_key key, double *theta) {
  tb_blocks_start(list, s, key, theta);
}

static tb_status check(tb_context *context, const tb_sequence_shape *s) {
  enum { MOST_SIZE = 1 << 14, MOST_PARAMETERS = 1 << 28 };
  if (s->vocabulary == 0 || s->vocabulary > MOST_SIZE || s->length == 0 || s->length > MOST_SIZE || s->embedding == 0 ||
      s->embedding > MOST_SIZE)
    return tb_fail(context, TB_USAGE, NULL, "vocabulary, length and embedding count from 1",
                   "a linear model of vocabulary %zu, length %zu, embedding %zu", s->vocabulary, s->length,
                   s->embedding);
  if (parameters(s) > MOST_PARAMETERS)
    return tb_fail(context, TB_USAGE, "option max_length", "it has a weight for every pair of places",
                   "a linear model of more than %d parameters", MOST_PARAMETERS);
  return TB_OK;
}

/* [T·V, T·e] with 1 where s ≤ t */
static tb_value causal(tb_graph *g, const tb_sequence_shape *s, tb_dtype dtype) {
  const size_t shape[] = { s->length, s->vocabulary, s->length, s->embedding };
  const tb_value reads = tb_iota(g, TB_FLOAT64, 4, shape, 2), at = tb_iota(g, TB_FLOAT64, 4, shape, 0);
  const tb_value seen = tb_cast(g, tb_less_equal(g, reads, at), dtype);
  return tb_reshape(g, seen, 2, (size_t[]){ s->length * s->vocabulary, s->length * s->embedding });
}

static tb_value logits(tb_graph *g, const tb_sequence_shape *s, tb_value theta, tb_value tokens, double rate,
                       tb_value keys) {
  const size_t rank = tb_rank(g, tokens), replicas = tb_dim(g, theta, 0);
  const size_t batch = tb_dim(g, tokens, rank - 2), length = tb_dim(g, tokens, rank - 1);
  const size_t v = s->vocabulary, e = s->embedding;
  tb_block_walk walk = { .graph = g, .list = list, .shape = s, .theta = theta };
  const tb_value x = tb_embed(g, tb_block_take(&walk), tokens); /* [R,B·T,e] */
  tb_value w = tb_multiply(g, tb_block_take(&walk), causal(g, s, tb_value_dtype(g, theta)));
  tb_value bias = tb_block_take(&walk); /* [R,length,V] */
  w = tb_slice(g, tb_slice(g, w, 1, 0, length * v), 2, 0, length * e);
  bias = tb_reshape(g, tb_slice(g, bias, 1, 0, length), 4, (size_t[]){ replicas, 1, length, v });
  const tb_value flat = tb_reshape(g, x, 3, (size_t[]){ replicas, batch, length * e });
  const tb_value y = tb_matmul(g, flat, false, w, true); /* [R,B,T·V] */
  return tb_add(g, tb_reshape(g, y, 4, (size_t[]){ replicas, batch, length, v }), bias);
}

/* The embeddings of all places so far. */
static bool memory(const tb_sequence_shape *s, size_t k, size_t *rows, bool *by_place) {
  *rows = s->embedding;
  *by_place = true;
  return k < 1;
}

static tb_value step(tb_graph *g, const tb_sequence_shape *s, tb_value theta, tb_value tokens, tb_value place,
                     const tb_value *past, tb_value *next) {
  const size_t replicas = tb_dim(g, theta, 0), batch = tb_dim(g, tokens, 1), columns = tb_dim(g, past[0], 3), one = 1;
  const size_t v = s->vocabulary, e = s->embedding, length = s->length;
  const size_t used = columns < length ? columns : length;
  tb_block_walk walk = { .graph = g, .list = list, .shape = s, .theta = theta };
  next[0] = tb_embed(g, tb_block_take(&walk), tb_reshape(g, tokens, 3, (size_t[]){ replicas, batch, 1 })); /* [R,B,e] */
  const tb_value here = tb_reshape(g, place, 1, &one); /* of this place's embedding */
  const tb_value at = s->last_place ? tb_fill(g, TB_INT32, 1, &one, (double)(length - 1)) : here;
  const tb_value w = tb_reshape(g, tb_block_take(&walk), 4, (size_t[]){ replicas, length, v, length * e });
  const tb_value bias = tb_gather(g, tb_block_take(&walk), 1, at); /* [R,1,V] */
  const tb_value row = tb_reshape(g, tb_gather(g, w, 1, at), 4, (size_t[]){ replicas, v, length, e });
  const tb_value from_past = tb_reshape(g, tb_transpose(g, tb_slice(g, row, 2, 0, used), (size_t[]){ 0, 1, 3, 2 }), 3,
                                        (size_t[]){ replicas, v, e * used });
  const tb_value own = tb_reshape(g, tb_gather(g, row, 2, here), 3, (size_t[]){ replicas, v, e });
  const tb_value seen = tb_reshape(g, tb_slice(g, past[0], 3, 0, used), 3, (size_t[]){ replicas, batch, e * used });
  return tb_add(g, tb_add(g, tb_matmul(g, seen, false, from_past, true), tb_matmul(g, next[0], false, own, true)),
                bias);
}

const tb_sequence_model tb_sequence_linear = {
  .name = "linear",
  .summary = "a linear map of all earlier embeddings, with weights of its own for every place",
  .formula = "y_t = β_t + Σ_{s ≤ t} W_{t,s} e(x_s)",
  .source = "the linear model of the published code",
  .check = check,
  .parameters = parameters,
  .block = block,
  .initialise = initialise,
  .logits = logits,
  .memory = memory,
  .step = step,
};
